"""What a trained network loses if one layer alone loses channels or gets fewer bits: no training, only measuring."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from niwaki.data.dataset import Dataset, Split
from niwaki.data.split import first_of_each
from niwaki.errors import ModelError, SpecError
from niwaki.measure.accuracy import evaluate
from niwaki.measure.predict import torch_predictor
from niwaki.models.examine import check_answers, check_bare, check_numbers
from niwaki.models.generators import seeded
from niwaki.models.modelfile import PruningState
from niwaki.models.pixels import pixel_scale
from niwaki.models.structure import out_width, weighted_layers
from niwaki.tabular import Column, Tabular
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import COMPARED, Given, Shape, prune_step
from niwaki.training.qdq_network import LIMITS, first_steps, rounded
from niwaki.training.ranking import Surveyor
from niwaki.training.settings import PruneSettings
from niwaki.training.tracing import trace
from niwaki.training.train import tensor_of
from niwaki.training.unprunable import unprunable

PERCENTAGES = (25, 50, 75)
"""How many of a layer's channels are removed."""
BITS = (8, 4, 2)
"""What its weights are rounded to."""
IS_OUTPUT = "its channels are the network's outputs"
_COLUMNS: tuple[Column, ...] = (
    ("layer", "left"), ("channels", "right"), *((f"-{percent} %", "right") for percent in PERCENTAGES),
    *((f"{bits} bits", "right") for bits in BITS),
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What one change to the network costs."""

    loss: float
    """Points of accuracy lost; negative if it gained."""
    noise: float
    """What the choice of images alone explains, in points: the 95 % limit of a paired comparison."""

    @property
    def clear(self) -> bool:
        """Whether the loss, or the gain, is more than noise."""
        return abs(self.loss) > self.noise

    @property
    def cell(self) -> str:
        """It in a table."""
        return f"{self.loss:.2f} ± {self.noise:.2f}" if self.clear else "none"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {**asdict(self), "clear": self.clear}


@dataclass(frozen=True)
class LayerSensitivity:
    """What the network loses through one of its layers."""

    name: str
    channels: int
    """Output channels of a convolution, output features of a linear layer."""
    pruned: dict[int, Change | None]
    """By percentage of its channels removed; None if that is not possible."""
    rounded: dict[int, Change | None]
    """By the bits of its weights; None if that is not possible."""
    left: dict[int, int]
    """By percentage, the channels that remain, at least one."""
    tied: tuple[str, ...] = ()
    """The layers that lose the same channels with it."""
    reason: str = ""
    """Why something is not possible."""

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "channels": self.channels,
            "pruned": _plain(self.pruned),
            "rounded": _plain(self.rounded),
            "left": {str(percent): count for percent, count in self.left.items()},
            "tied": list(self.tied),
            "reason": self.reason,
        }


def _plain(changes: Mapping[int, Change | None]) -> dict[str, object]:
    return {str(key): change.to_dict() if change else None for key, change in changes.items()}


@dataclass(frozen=True)
class SensitivityReport:
    """What a network loses through each of its convolution and linear layers, in points of `accuracy` (percent)."""

    images: int
    accuracy: float
    layers: tuple[LayerSensitivity, ...]

    def __repr__(self) -> str:
        return f"<SensitivityReport layers: {len(self.layers)}, {self.accuracy:.2f} % of {self.images:,} images>"

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """A row for each layer, and below it what the numbers mean and why some are missing."""
        rows = tuple(
            (layer.name, str(layer.channels), *(
                change.cell if change else "–" for change in (*layer.pruned.values(), *layer.rounded.values())
            ))
            for layer in self.layers
        )  # fmt: skip
        caption = f"sensitivity: points of validation accuracy lost, of {self.accuracy:.2f} %, by one layer alone"
        return Tabular(_COLUMNS, rows, caption, (_MEANING.format(images=f"{self.images:,}"), *self._notes()))

    def _notes(self) -> Iterator[str]:
        groups = dict.fromkeys(tuple(sorted((layer.name, *layer.tied))) for layer in self.layers if layer.tied)
        for names in groups:
            yield f"{', '.join(names)}: lose channels together"
        reasons: dict[str, list[str]] = {}
        for layer in self.layers:
            if layer.reason:
                reasons.setdefault(layer.reason, []).append(layer.name)
        for reason, layers in reasons.items():
            yield f"{', '.join(layers)}: {reason}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: accuracy in percent, losses and their noise in points."""
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "layers": [layer.to_dict() for layer in self.layers],
        }


_MEANING = (
    "measured on {images} images, without training; ± is the 95 % limit of chance on these images, and none is a loss "
    "within it"
)


def sensitivity(model: nn.Module, data: Dataset, images: int | None = None) -> SensitivityReport:
    """`sensitivity_of` on the validation images, or on so many of them, in proportion from every class.

    Raises SpecError if `images` is below 1; DataError if a class would be left without images.
    """
    split = data.validation
    if images is not None:
        if images < 1:
            raise SpecError(f"images = {images}: give at least 1")
        chosen = first_of_each(split.labels, data.labels, images)
        split = Split(split.images[chosen], split.labels[chosen])
    return sensitivity_of(model, split, data.preprocessing.table(), data.num_classes)


def sensitivity_of(model: nn.Module, split: Split, table: np.ndarray, num_classes: int) -> SensitivityReport:
    """What `model` loses on `split` through each convolution and linear layer; the model stays unchanged.

    Each layer alone loses the 25, 50 and 75 % of its output channels with the lowest L1 norm, as `prune_step` removes
    them: layers tied to it lose theirs too. And its weights alone are rounded, per output channel: to 8 bits with the
    largest weight at 127, to 4 and 2 bits with the steps from which quantization-aware training starts. `table` is the
    scale of the preprocessing, float32 (C, 256).

    The noise of a loss is 1.96·√d / n for n images, of which d are recognized either only before or only after the
    change (the paired comparison of Q. McNemar, Psychometrika 12, 1947).

    Raises ModelError if the network's output is random, not finite or comes from no such layer.
    """
    check_bare(model)
    check_numbers(model)
    twin = copy.deepcopy(model).cpu().eval().requires_grad_(True)
    some = pixel_scale(table)(tensor_of(np.array(split.images[:COMPARED])))
    check_answers(twin, some)
    measure = _Measure(split, table, num_classes)
    before = measure.right(twin)
    pruned = _Pruned(twin, some, measure, before)
    layers, computed = [], unprunable(twin)
    for name, layer in weighted_layers(twin):
        if isinstance(layer, _ConvNd | nn.Linear):
            rounds, fixed = _rounded(twin, layer, computed.get(layer, ""), measure, before)
            tied, changes, left, whole = pruned.without(name)
            reasons = tuple(dict.fromkeys(why for why in (whole, fixed) if why))
            layers.append(LayerSensitivity(name, out_width(layer), changes, rounds, left, tied, "; ".join(reasons)))
    return SensitivityReport(len(split), 100 * float(before.mean()), tuple(layers))


def compare(before: np.ndarray, after: np.ndarray) -> Change:
    """The loss and its noise from which of the same images are recognized, bool (n,), before and after a change.

    >>> compare(np.array([True] * 8 + [False] * 2), np.array([True] * 7 + [False] * 2 + [True]))
    Change(loss=0.0, noise=27.718585822512665)
    """
    differing = int((before != after).sum())
    loss = 100 * (int(before.sum()) - int(after.sum())) / len(before)
    return Change(loss, 100 * 1.96 * math.sqrt(differing) / len(before))


@dataclass(frozen=True)
class _Measure:
    """Which images a network recognizes."""

    split: Split
    table: np.ndarray
    num_classes: int

    def right(self, model: nn.Module) -> np.ndarray:
        """Bool (n,). Raises StageFailed if scores are not finite."""
        predict, answers = torch_predictor(model, self.table), []

        def noted(images: np.ndarray) -> np.ndarray:
            scores = predict(images)
            answers.append(scores.argmax(axis=1))
            return scores

        evaluate(noted, self.split.images, self.split.labels, self.num_classes)
        found: np.ndarray = np.concatenate(answers) == self.split.labels
        return found


Removed = tuple[tuple[str, ...], dict[int, Change | None], dict[int, int], str]
"""Of one layer: the layers tied to it, the changes, the channels left, and why it stays whole."""


class _Pruned:
    """A network with channels of one group of layers removed, each group measured once."""

    def __init__(self, model: nn.Module, images: torch.Tensor, measure: _Measure, before: np.ndarray) -> None:
        self._model, self._images, self._measure, self._before = model, images, measure, before
        self._shape: Shape = tuple(images.shape[1:])  # type: ignore[assignment]
        self._widths = {name: out_width(layer) for name, layer in weighted_layers(model)}
        self._heads = find_heads(model, self._shape)
        self._whole: dict[str, str] = {}
        self._groups: dict[str, tuple[str, ...]] = {}
        self._known: dict[tuple[str, ...], tuple[dict[int, Change | None], dict[str, dict[int, int]], str]] = {}
        self._survey()

    def without(self, name: str) -> Removed:
        """What the network loses without channels of a layer."""
        group = self._groups.get(name)
        if group is None:
            why = IS_OUTPUT if name in self._heads else self._whole.get(name, "its channels cannot be followed")
            return (), dict.fromkeys(PERCENTAGES), {}, why
        if group not in self._known:
            self._known[group] = self._measured(group)
        changes, left, why = self._known[group]
        return tuple(other for other in group if other != name), changes, left[name], why

    def _survey(self) -> None:
        """The groups of layers that lose channels together."""
        with warnings.catch_warnings(), torch.no_grad(), seeded(0):
            warnings.simplefilter("ignore")  # torch-pruning's remarks on layers that it does not know
            try:
                with torch.enable_grad():
                    graph = trace(self._model, self._shape)
                found = Surveyor(self._model, graph, PruneSettings(), self._heads, {}).survey()
            except ModelError as error:
                self._whole = dict.fromkeys(self._widths, str(error))
                return
        self._whole = found.whole
        for candidate in found.candidates:
            self._groups |= dict.fromkeys(candidate.widths, tuple(candidate.widths))

    def _measured(self, group: tuple[str, ...]) -> tuple[dict[int, Change | None], dict[str, dict[int, int]], str]:
        changes: dict[int, Change | None] = {}
        left: dict[str, dict[int, int]] = {name: {} for name in group}
        why = ""
        for percent in PERCENTAGES:
            smaller = copy.deepcopy(self._model)
            widths, reason = self._cut(smaller, group, percent)
            changes[percent] = None if reason else compare(self._before, self._measure.right(smaller))
            for name in () if reason else group:
                left[name][percent] = widths[name]
            why = why or reason
        return changes, left, why

    def _cut(self, model: nn.Module, group: tuple[str, ...], percent: int) -> tuple[Mapping[str, int], str]:
        """Remove channels of a group in place: the widths that remain, or why nothing was removed."""
        others = {name: "only one layer loses channels at a time" for name in self._widths if name not in group}
        # A first step that leaves every other layer whole and removes nothing is taken already.
        state = PruningState(step=1, scopes={}, whole=others)
        settings = PruneSettings(ratio=percent / 100, steps=2, importance="l1", distribution="uniform")
        try:
            given = Given(state, self._widths, self._images)
            report = prune_step(model, settings, self._shape, step=2, given=given)
        except ModelError as error:
            return {}, str(error)
        if not any(report.removed[name] for name in group):
            return {}, next((report.whole[name] for name in group if name in report.whole), "it lost no channel")
        return report.widths, ""


def _rounded(
    model: nn.Module, layer: nn.Module, computed: str, measure: _Measure, before: np.ndarray
) -> tuple[dict[int, Change | None], str]:
    """What the network loses with the weights of a layer rounded; and why they cannot be: they are `computed`."""
    weight = layer._parameters.get("weight")
    if computed or weight is None:
        return dict.fromkeys(BITS), computed or "its weight is no parameter"
    changes: dict[int, Change | None] = {}
    try:
        for bits in BITS:
            values = round_weights(weight.detach(), bits, axis=int(isinstance(layer, _ConvTransposeNd)))
            layer._parameters["weight"] = nn.Parameter(values)
            changes[bits] = compare(before, measure.right(model))
    finally:
        layer._parameters["weight"] = weight
    return changes, ""


def round_weights(weights: torch.Tensor, bits: int, axis: int) -> torch.Tensor:
    """Float32 `weights` rounded to 8, 4 or 2 bits with one step for each channel along `axis`, in the same shape."""
    if bits == 8:
        others = [dim for dim in range(weights.ndim) if dim != axis]
        steps = weights.abs().amax(others, keepdim=True).clamp_min(1e-8) / LIMITS[8][1]
    else:
        steps = first_steps(weights, bits, axis)
    return rounded(weights, steps, *LIMITS[bits])
