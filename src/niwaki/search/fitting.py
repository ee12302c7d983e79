"""From a proposal to the largest candidate that keeps to the limits, those on a target included."""

from __future__ import annotations

from dataclasses import dataclass, field

from niwaki.search.candidates import Costs, Proposal, Shape, figures, filled
from niwaki.search.limits import COMPILED, EXACT, Limits
from niwaki.search.measured import OnTarget, proxies

_ATTEMPTS = 6
_CODE, _PER_MAC = 4000.0, 1.5  # of a first guess, before anything was measured


@dataclass
class Fitter:
    """Finds the candidate of a proposal that fills the budget, or a share of it.

    On a target, it measures the candidate and corrects what it takes for the bytes of code and the instructions for
    each multiply-accumulate, which differ from candidate to candidate.
    """

    costs: Costs
    limits: Limits
    on_target: OnTarget | None = None
    reference: dict[str, float] = field(default_factory=dict)
    """What a share of 1 means for quantities without a limit: those of the largest candidate."""
    standing: dict[str, float] = field(default_factory=dict)
    """Limits that stand for others known only after training."""

    def fit(self, proposal: Proposal, share: float = 1.0) -> Shape | None:
        """The largest candidate of a proposal within this share of every limit; None if there is none."""
        if self.on_target is None or not self.limits.of(COMPILED):
            return filled(self.costs, proposal, lambda shape: self._within(shape, share, {}))
        ratio = {"code": _CODE, "per_mac": _PER_MAC}
        slack = 1.0
        for attempt in range(_ATTEMPTS):
            asked = {name: limit * slack for name, limit in proxies(self.limits, ratio).items()}
            shape = filled(self.costs, proposal, lambda shape, asked=asked: self._within(shape, share, asked))  # type: ignore[misc]
            if shape is None:
                shape, slack = self.costs.members[proposal.member].scaled(proposal, 0.0), 0.0
            found = self.on_target.all_of(shape)
            if not self.limits.broken(found, COMPILED):
                return shape
            if slack == 0.0:
                return None
            ratio["code"] = found["flash"] - found["constants"]
            ratio["per_mac"] = found.get("instructions", _PER_MAC) / max(found["macs"], 1)
            slack *= 1.0 if attempt < 2 else 0.98
        return None

    def _within(self, shape: Shape, share: float, extra: dict[str, float]) -> bool:
        found = figures(self.costs.of(shape))
        limits = {**self.standing, **extra}
        for name in self.standing.keys() & extra.keys():
            limits[name] = min(self.standing[name], extra[name])
        for limit in self.limits.of(EXACT):
            limits[limit.quantity] = min(limit.limit, limits.get(limit.quantity, limit.limit))
        if share < 1.0:
            for name, whole in self.reference.items():
                limits.setdefault(name, whole)
        return all(found[name] <= share * most + 1e-9 for name, most in limits.items())
