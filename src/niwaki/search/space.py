"""What a search may change: widths, bits, arguments of the factory; and how candidates are trained."""

from __future__ import annotations

import itertools
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from niwaki.errors import SpecError, explain
from niwaki.files import TOML_LIMIT, parse_toml, read_at_most
from niwaki.search.blueprint import Blueprint
from niwaki.training.settings import Bits, QatSettings, TrainSettings

MOST_MEMBERS = 32  # combinations of the factory's arguments
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
Values = dict[str, Any]
"""Settings or arguments by name."""
TRAIN: Values = {
    "batch_size": 128, "optimizer": "adamw", "lr": 4e-3, "weight_decay": 1e-2, "decay": "weights",
    "schedule": "one-cycle", "shift": 1,
}  # fmt: skip
"""The recipe of the guide to small networks."""
QAT: Values = {"lr": 5e-4, "shift": 1}


class SearchSettings(BaseModel):
    """How the search goes: none of it depends on the number of workers."""

    model_config = _STRICT

    seed: int = Field(0, ge=0, lt=2**32, description="of what the sampler proposes")
    batch: int = Field(8, ge=1, le=1000, description="candidates that are asked for at a time")
    rungs: tuple[int, ...] = Field((3, 9), description="epochs by the end of each rung; all candidates reach the first")
    keep: float = Field(0.4, gt=0, le=1, description="share of a rung's candidates that go on to the next one")
    final_epochs: int = Field(60, ge=1, le=100_000, description="epochs of a finalist, with those of the rungs")
    finalists: int = Field(3, ge=1, le=100, description="candidates that are trained in full, with every seed")
    smaller: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.25, 0.125), description="shares of the budget; the best candidate within each is trained in full too"
    )
    questions: bool = Field(True, description="try out by measuring, after the first batch, how candidates train best")

    @field_validator("rungs")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or any(later <= earlier for earlier, later in itertools.pairwise((0, *value))):
            raise ValueError("give numbers of epochs that rise, such as [3, 9]")
        return value

    @property
    def steps(self) -> tuple[int, ...]:
        """The epochs that each rung adds: a candidate goes on from where the rung before left it."""
        return tuple(later - earlier for earlier, later in itertools.pairwise((0, *self.rungs)))

    def further(self, epochs: int) -> int:
        """The epochs that the last training adds, of a finalist that has so many in all."""
        return epochs - self.rungs[-1] if epochs > self.rungs[-1] else epochs


class Space(BaseModel):
    """What may change. Names of layers and groups may be patterns (`block1.*`); the first that fits counts."""

    model_config = _STRICT

    bits: tuple[Bits, ...] = Field((8, 4, 2), description="bits that a layer's weights may have")
    layer_bits: dict[str, tuple[Bits, ...]] = Field({}, description='other bits of some layers: { "fc3" = [8] }')
    widths: dict[str, tuple[int, int]] = Field({}, description='fewest and most channels: { "conv1" = [2, 6] }')
    args: dict[str, list[Any]] = Field({}, description="arguments of the factory to choose from: { depth = [1, 2] }")
    start: Literal["auto", "scratch", "inherited"] = Field(
        "auto", description="new weights, those of the given network, or what does better early in the search"
    )
    data: Values = Field({}, description="settings of the data, as in [data]: limit, validation, preprocessing")
    train: Values = Field({}, description="settings of training that differ from the usual ones, as in [train]")
    qat: Values = Field({}, description="the same for training with rounding, as in [quantize.train]")
    trainer: str | None = Field(
        None, pattern=r"^[\w.]+:[\w.]+$",
        description="your own training function in place of niwaki's, package.module:callable",
    )  # fmt: skip
    search: SearchSettings = SearchSettings()

    @model_validator(mode="after")
    def _not_empty(self) -> Space:
        for name, choice in {"bits": self.bits, **self.layer_bits, **self.args}.items():
            if not choice:
                raise ValueError(f"{name} has nothing to choose from: the space is empty")
        for name, (least, most) in self.widths.items():
            if not 1 <= least <= most:
                raise ValueError(f"widths.{name} = [{least}, {most}]: the space is empty: give [fewest, most]")
        for own in ("epochs", "teacher"):
            if own in self.train or own in self.qat:
                raise ValueError(f"{own} is set by the search")
        for kind, make in ((TrainSettings, self.recipe), (QatSettings, self.rounding)):
            try:
                make(1)
            except ValidationError as error:
                raise ValueError(explain(error, kind)) from None
        return self

    def recipe(self, epochs: int, **changed: Any) -> TrainSettings:
        """How a candidate is trained for so many epochs."""
        return TrainSettings(**{**TRAIN, "epochs": epochs, **self.train, **changed})

    def rounding(self, epochs: int, **changed: Any) -> QatSettings:
        """How a candidate with fewer than 8 bits is then trained with rounding."""
        return QatSettings(**{**QAT, "epochs": max(1, round(epochs / 6)), **self.qat, **changed})

    def members(self) -> list[Values]:
        """Every combination of the factory's arguments. Raises SpecError if there are too many."""
        found = [dict(zip(self.args, values, strict=True)) for values in itertools.product(*self.args.values())]
        if len(found) > MOST_MEMBERS:
            raise SpecError(f"space: args have {len(found)} combinations: at most {MOST_MEMBERS} can be tried")
        return found

    def bits_of(self, blueprint: Blueprint) -> dict[str, tuple[Bits, ...]]:
        """The bits that each layer may have, most first. Raises SpecError for a pattern that no layer fits."""
        _check_names(self.layer_bits, blueprint.layers, "layer_bits", "layer")
        last = blueprint.layers[-1]
        usual = dict.fromkeys(blueprint.layers, self.bits)
        if 8 in self.bits:
            usual[last] = (8, *(bits for bits in self.bits if bits == 4))  # the scores: 2 bits never pay there
        found = {}
        for layer in blueprint.layers:
            own = next((choice for pattern, choice in self.layer_bits.items() if fnmatchcase(layer, pattern)), None)
            found[layer] = tuple(sorted(set(own or usual[layer]), reverse=True))
        return found

    def widths_of(self, blueprint: Blueprint) -> dict[str, tuple[int, int]]:
        """The fewest and most channels of each group, multiples of its parts.

        Raises SpecError for a pattern that no group fits, and for a range without any width.
        """
        _check_names(self.widths, [group.name for group in blueprint.groups], "widths", "group")
        found = {}
        for group in blueprint.groups:
            asked = next((ends for pattern, ends in self.widths.items() if fnmatchcase(group.name, pattern)), None)
            least, most = asked or (group.parts, group.width)
            low, high = -(-least // group.parts), min(most, group.width) // group.parts
            if low > high:
                raise SpecError(
                    f"space: widths.{group.name} = [{least}, {most}]: the space is empty: the group has "
                    f"{group.width} channels" + (f" in {group.parts} parts" if group.parts > 1 else "")
                )
            found[group.name] = (low * group.parts, high * group.parts)
        return found


def load_space(path: Path | None) -> Space:
    """The space in a TOML file; the usual one for None. Raises SpecError naming the file, the key and the remedy."""
    if path is None:
        return Space()
    try:
        values = parse_toml(read_at_most(path, TOML_LIMIT))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(f"{path}: not valid TOML: {error}") from error
    return checked_space(values, str(path))


def checked_space(values: object, name: str = "space") -> Space:
    """A space from plain values. Raises SpecError naming the key and what is allowed."""
    try:
        return Space.model_validate(values)
    except ValidationError as error:
        raise SpecError(f"{name}: {explain(error, Space)}") from error


def _check_names(patterns: Values, known: Any, key: str, kind: str) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise SpecError(f"space: {key}: no {kind} is called {pattern!r}; there are {', '.join(known)}")
