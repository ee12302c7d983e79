"""The summary of a pruning step: how much was requested, how much is removed, and why these differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from niwaki.models.structure import weighted_layers
from niwaki.training.ranking import in_scope, ratio_at
from niwaki.training.settings import PruneSettings

_EPSILON = 1e-6  # of a channel


@dataclass(frozen=True)
class Widths:
    """The layers in scope of a network at the end of a step: widths before the first step (if known) and now."""

    ratios: dict[str, float]
    """The fraction that each layer should have lost by now."""
    original: dict[str, int]
    after: dict[str, int]
    ranked_together: bool
    usual: float = 0.0
    """The fraction for layers without a ratio of their own."""
    multiple: int = 1

    @property
    def asked(self) -> float:
        """The fraction of all channels that the settings remove by now."""
        if len(set(self.ratios.values())) < 2 or any(name not in self.original for name in self.after):
            return next(iter(self.ratios.values()), self.usual)
        gone = sum(self.ratios[name] * count for name, count in self.original.items())
        return gone / sum(self.original.values())

    @property
    def reached(self) -> float | None:
        """The fraction of the channels that is removed; None if the original widths are unknown."""
        if not self.after or any(name not in self.original for name in self.after):
            return None
        return 1 - sum(self.after.values()) / sum(self.original.values())

    def notes(self, whole: Mapping[str, str]) -> tuple[str, ...]:
        """A sentence with both ratios if they differ by more than a channel of each layer, or a layer stayed whole."""
        reached = self.reached
        reasons = sentences(whole)
        if reached is not None:
            reasons += self._beyond() or ([] if whole else self._apart(reached))
        if not reasons:
            return ()
        gone = "" if reached is None else f"; {100 * reached:.3g} % of the channels in scope are gone"
        return (f"{100 * self.asked:.3g} % of the channels asked for{gone}: {'; '.join(reasons)}",)

    def _beyond(self) -> list[str]:
        """Layers that lost more than the ratio requests plus a channel of rounding."""
        over = [name for name, count in self.after.items() if self._ideal(name) - count > 1 + _EPSILON]
        if not over or self.ranked_together:
            return []
        return [f"{', '.join(over)} lost more than that: each part of a layer loses whole channels by itself"]

    def _apart(self, reached: float) -> list[str]:
        if self.multiple > 1 and reached < self.asked:
            return [f"widths are multiples of {self.multiple}"]
        if abs(reached - self.asked) * sum(self.original.values()) <= len(self.after) + _EPSILON:
            return []
        narrow = [name for name, count in self.after.items() if count == 1 and self._ideal(name) < 1]
        if reached < self.asked and narrow:
            return [f"{', '.join(narrow)} {'have' if len(narrow) > 1 else 'has'} one channel left, the minimum"]
        return ["in the global ranking, channels that several layers lose together count once"]

    def _ideal(self, name: str) -> float:
        return self.original[name] * (1 - self.ratios[name])


def widths_in_scope(
    model: nn.Module, settings: PruneSettings, step: int, original: Mapping[str, int], after: Mapping[str, int]
) -> Widths:
    """The widths `after` a step, and the `original` ones, of the layers in the scope of `settings`."""
    layers = [name for name, layer in weighted_layers(model) if name in after and in_scope(name, layer, settings)]
    known = {name: original[name] for name in layers if name in original}
    now = {name: after[name] for name in layers}
    ratios = {name: ratio_at(settings, step, name) for name in layers}
    together = settings.distribution == "global"
    return Widths(ratios, known, now, together, ratio_at(settings, step), settings.multiple)


def nothing_to_prune(reasons: Mapping[str, str]) -> str:
    """The line for a network in which no layer can lose channels."""
    said = "there is nothing to prune: no convolution or linear layer in scope but the classifier's output"
    return f"{said} can lose channels; {'; '.join(sentences(reasons))}" if reasons else said


def sentences(reasons: Mapping[str, str]) -> list[str]:
    """One sentence for each reason, with its layers."""
    layers: dict[str, list[str]] = {}
    for name, why in reasons.items():
        layers.setdefault(why, []).append(name)
    return [f"{', '.join(names)} {'stay' if len(names) > 1 else 'stays'} whole: {why}" for why, names in layers.items()]


def nothing_removed(step: int, settings: PruneSettings, removed: Mapping[str, int]) -> tuple[str, ...]:
    """The note for a step that removed nothing."""
    if any(removed.values()):
        return ()
    return (
        f"step {step} of {settings.steps} removed nothing: {settings.ratio * step / settings.steps:.0%} of these "
        "widths is less than one channel more than in the previous step; use fewer steps or a higher ratio",
    )
