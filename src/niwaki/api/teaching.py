"""Teachers in Python: modules, model files, or the model itself before it is pruned."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from niwaki.data.dataset import Dataset
from niwaki.errors import SpecError
from niwaki.models import modelfile
from niwaki.models.class_names import remembered
from niwaki.models.modelfile import ModelInfo
from niwaki.training.teachers import Teacher, make_teacher

Named = nn.Module | str | Path
Named_or_several = Named | Sequence[Named] | None


def teachers_of(
    given: Named_or_several, data: Dataset, base: nn.Module | None = None, *, trust: bool = False
) -> list[Teacher]:
    """The teachers that a user names; "base" is `base`, if there is one.

    A module is copied, and gets images as `data` prepares them. Raises SpecError for anything else, ModelError for a
    teacher that takes other images, knows other classes or needs trust.
    """
    return [_teacher(one, data, base, trust) for one in several(given)]


def several(given: Named_or_several) -> Sequence[Named]:
    """The teachers one by one. Raises SpecError as `teachers_of` does."""
    named: object = [] if given is None else given
    named = [named] if isinstance(named, nn.Module | str | Path) else named
    if not isinstance(named, Sequence) or not all(isinstance(one, nn.Module | str | Path) for one in named):
        raise SpecError(f"teacher = {given!r}: expected a module, a model file, or a list of them")
    return named


def _teacher(given: Named, data: Dataset, base: nn.Module | None, trust: bool) -> Teacher:
    if given == "base" and base is not None:
        given = base
    if isinstance(given, nn.Module):
        info = ModelInfo(
            factory="module", input_shape=data.input_shape, labels=remembered(given) or data.labels,
            preprocessing=data.preprocessing,
        )  # fmt: skip
        return make_teacher(copy.deepcopy(given).cpu().eval(), info, data)
    model, info = modelfile.load_with_info(Path(given), trust=trust)
    return make_teacher(model, info, data, name=str(given))
