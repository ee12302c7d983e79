"""What a search would try, without reading a label or training: the space, its costs, the share that fits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.notify import Notify
from niwaki.search.candidates import Costs, Proposal, figures, infeasible
from niwaki.search.compress import make_members
from niwaki.search.limits import COMPILED, EXACT
from niwaki.search.measured import OnTarget, check_target, estimated
from niwaki.search.request import TRIALS, Wanted
from niwaki.search.sampling import LEAST_SHARE
from niwaki.search.space import Space
from niwaki.search.subject import open_subject
from niwaki.tabular import Column, Tabular

_DRAWN = 200  # candidates, for the share that fits
_COLUMNS: tuple[Column, ...] = (("", "left"), ("whole network", "right"), ("smallest candidate", "right"))


@dataclass(frozen=True)
class DryRun:
    """The space of a search and what it costs."""

    groups: dict[str, tuple[int, int]]
    bits: dict[str, tuple[int, ...]]
    members: int
    whole: dict[str, float]
    smallest: dict[str, float]
    share: float
    """Of candidates drawn at random: those that keep to the limits known before training."""
    infeasible: str | None
    epochs: dict[str, int]
    fit: str
    estimated: tuple[str, ...] = ()
    """Of the costs, what is estimated, with a margin."""

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "fit": self.fit,
            "widths": {name: list(ends) for name, ends in self.groups.items()},
            "bits": {name: list(choice) for name, choice in self.bits.items()},
            "members": self.members,
            "whole": self.whole,
            "smallest": self.smallest,
            "feasible_share": self.share,
            "infeasible": self.infeasible,
            "estimated": list(self.estimated),
            "epochs": self.epochs,
        }

    def table(self) -> Tabular:
        """The costs of both ends; below, the space."""
        rows = tuple((name, f"{value:,.0f}", f"{self.smallest[name]:,.0f}") for name, value in self.whole.items())
        widths = ", ".join(f"{name} {low} to {high}" for name, (low, high) in self.groups.items())
        bits = ", ".join(f"{name} {'/'.join(map(str, choice))}" for name, choice in self.bits.items())
        more = f"; {self.members} networks of the factory" if self.members > 1 else ""
        epochs = self.epochs
        notes = [
            f"channels: {widths}{more}", f"bits: {bits}",
            f"{100 * self.share:.0f} % of {_DRAWN} candidates drawn at random keep to {self.fit}",
            f"{epochs['trials']} candidates train for {epochs['search']} epochs, finalists for {epochs['finals']}",
        ]  # fmt: skip
        if self.estimated:
            notes.append(f"estimated, with a margin, since this machine lacks the tools: {', '.join(self.estimated)}")
        if self.infeasible:
            notes.append(f"nothing fits: {self.infeasible}")
        return Tabular(_COLUMNS, rows, "the space of the search", tuple(notes))


def dry_run(wanted: Wanted, space: Space, notify: Notify) -> DryRun:
    """The space and its costs. Raises NiwakiError for bad input."""
    wanted.check(space)
    target = check_target(wanted.target, wanted.limits, wanted.minimized)
    subject = open_subject(wanted.model, wanted.data, space.data, trust=wanted.trust, notify=notify)
    members = make_members(subject, space, notify, trust=wanted.trust)
    costs, limits = Costs(members, wanted.limits.ram), wanted.limits
    first = members[0]
    whole, smallest = figures(costs.of(first.largest)), figures(costs.of(first.smallest))
    why = infeasible(costs, limits)
    if target is not None:
        counted = "instructions" in (wanted.minimized, *(limit.quantity for limit in limits.of(COMPILED)))
        measured = OnTarget(target, costs, counted)
        whole, smallest = measured.all_of(first.largest), measured.all_of(first.smallest)
        broken = [limit for limit in limits.of((*EXACT, *COMPILED)) if not limit.allows(smallest[limit.quantity])]
        why = (
            why
            or "; ".join(f"{limit.text}: the smallest has {smallest[limit.quantity]:,.0f}" for limit in broken)
            or None
        )
    settings = space.search
    trials = wanted.trials or TRIALS
    kept = sum(round(trials * settings.keep**index) * epochs for index, epochs in enumerate(settings.steps))
    finalists = settings.finalists + (0 if wanted.minimized else len(settings.smaller))
    further = settings.further(settings.final_epochs)
    return DryRun(
        dict(first.widths), dict(first.bits), len(members), whole, smallest, _share(costs, wanted), why,
        {"trials": trials, "search": kept, "finals": finalists * wanted.seeds * further},
        limits.text, () if target is None else tuple(name for name in estimated(target) if name in whole),
    )  # fmt: skip


def _share(costs: Costs, wanted: Wanted) -> float:
    draw = np.random.default_rng(0)
    fitting = 0
    for _ in range(_DRAWN):
        member = costs.members[int(draw.integers(len(costs.members)))]
        bits = {layer: int(draw.choice(choice)) for layer, choice in member.bits.items()}
        shares = {group.name: float(np.exp(draw.uniform(np.log(LEAST_SHARE), 0))) for group in member.blueprint.groups}
        fitting += costs.fits(member.scaled(Proposal(member.number, bits, shares), 1.0), wanted.limits)
    return fitting / _DRAWN
