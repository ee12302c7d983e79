"""Knowledge distillation: a network learns from the scores of others (Hinton, Vinyals, Dean, 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.data.classes import places_of
from niwaki.data.dataset import Dataset
from niwaki.errors import ModelError
from niwaki.models.examine import check_answers, check_numbers
from niwaki.models.modelfile import ModelInfo
from niwaki.models.pixels import pixel_scale
from niwaki.training.augment import count_views
from niwaki.training.settings import TrainSettings

MOST_BYTES = 2**28  # of answers that are kept


@dataclass(frozen=True)
class Teacher:
    """A trained network, and how it sees raw pixels: uint8 (N, C, H, W) to logits (N, classes) in the data's order."""

    model: nn.Module
    table: np.ndarray
    """The table of its preprocessing: float32 (C, 256)."""
    places: np.ndarray | None = None
    """The position of each class of the data among its own; None: the same."""


def make_teacher(model: nn.Module, info: ModelInfo, data: Dataset, *, name: str = "the teacher") -> Teacher:
    """The teacher in a model file. Raises ModelError if it takes other images or knows other classes than `data`."""
    if info.input_shape != data.input_shape:
        raise ModelError(f"{name} takes images of {info.input_shape}, but the data gives {data.input_shape}")
    places = places_of(data.labels, info.labels)
    if places is None:
        raise ModelError(
            f"{name} knows {len(info.labels)} classes, not the data's {len(data.labels)} by the same names: "
            "train a teacher on this data"
        )
    check_numbers(model)
    table = info.preprocessing.table()
    check_answers(model, pixel_scale(table)(torch.zeros(2, *data.input_shape, dtype=torch.uint8)))
    same = places.tolist() == list(range(len(places)))
    return Teacher(model, table, None if same else places)


class Lesson:
    """The teachers' answer for images: the mean of their probabilities at one temperature, float32 (N, classes).

    Each view of an image is asked for once, if there are few enough to keep the answers; else as it comes.
    """

    def __init__(self, teachers: Sequence[Teacher], images: torch.Tensor, settings: TrainSettings) -> None:
        self._ask = [_scores_of(teacher, images.device) for teacher in teachers]
        self._temperature, self._weight = settings.temperature, settings.teacher_weight
        self._images, self._views = len(images), count_views(settings)
        self._answers: torch.Tensor | None = None
        """float32 (views, images, classes), NaN if not asked for yet."""

    def of(self, pixels: torch.Tensor, chosen: torch.Tensor, view: torch.Tensor | None) -> torch.Tensor:
        """The answer for a batch `pixels`, uint8 (N, C, H, W): a `view` each of the training images `chosen`; none if
        there is no end of views.
        """
        if self._views is None or view is None:
            return self._probabilities(pixels)
        known = self._answers
        if known is None:
            answer = self._probabilities(pixels)
            if 4 * self._views * self._images * answer.shape[1] > MOST_BYTES:
                self._views = None
                return answer
            known = self._answers = answer.new_full((self._views, self._images, answer.shape[1]), torch.nan)
            known[view, chosen] = answer
        unknown = known[view, chosen, 0].isnan()
        if unknown.any():
            known[view[unknown], chosen[unknown]] = self._probabilities(pixels[unknown])
        return known[view, chosen]

    def loss(self, own: torch.Tensor, logits: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """The student's `own` loss, and the cross-entropy with the teachers' answer; T² keeps the gradients' size."""
        cold = F.log_softmax(logits / self._temperature, 1)
        distance = F.kl_div(cold, taught, reduction="batchmean") * self._temperature**2
        return (1 - self._weight) * own + self._weight * distance

    def _probabilities(self, pixels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            said = [F.softmax(ask(pixels) / self._temperature, 1) for ask in self._ask]
        return said[0] if len(said) == 1 else torch.stack(said).mean(0)


def _scores_of(teacher: Teacher, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    model, scale = teacher.model.to(device).eval(), pixel_scale(teacher.table, device)
    if teacher.places is None:
        return lambda pixels: model(scale(pixels))
    places = torch.from_numpy(teacher.places).to(device)
    return lambda pixels: model(scale(pixels)).index_select(1, places)
