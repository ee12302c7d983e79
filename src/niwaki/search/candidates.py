"""Candidates: widths and bits of a network, cut so that they fill a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from niwaki.emit.generate import least_ram
from niwaki.errors import SpecError
from niwaki.files import canonical_json, sha256_of
from niwaki.search.blueprint import Blueprint, Cost
from niwaki.search.limits import EXACT, Limits
from niwaki.study.spec import ModelSpec

STRIPED, UNSTRIPED = "ram_limit", "ram_without_stripes"
"""Figures of a candidate whose layers run by stripes of rows: the limit that this keeps to, and its RAM otherwise."""
_HALVINGS = 14  # of the range of scales: finer than one channel in 120


@dataclass(frozen=True)
class Member:
    """A network of the family that is searched: the user's, or its factory with other arguments."""

    number: int
    model: ModelSpec
    blueprint: Blueprint
    bits: Mapping[str, tuple[int, ...]]
    """What each layer may have, most first."""
    widths: Mapping[str, tuple[int, int]]
    """The fewest and the most channels of each group."""

    @property
    def smallest(self) -> Shape:
        """The candidate with the fewest channels and bits."""
        return Shape(self.number, {name: least for name, (least, _) in self.widths.items()}, self._bits(-1))

    @property
    def largest(self) -> Shape:
        """The candidate with the most channels and bits."""
        return Shape(self.number, {name: most for name, (_, most) in self.widths.items()}, self._bits(0))

    def cost(self, shape: Shape, ram_limit: int | None = None) -> Cost:
        """What the C of a candidate needs."""
        return self.blueprint.cost(shape.widths, shape.bits, ram_limit)

    def scaled(self, proposal: Proposal, scale: float) -> Shape:
        """The candidate of a proposal at a scale: each group keeps its share of the channels, times the scale."""
        widths = {}
        for group in self.blueprint.groups:
            least, most = self.widths[group.name]
            wanted = round(group.width * proposal.shares[group.name] * scale / group.parts) * group.parts
            widths[group.name] = min(max(wanted, least), most)
        return Shape(self.number, widths, proposal.bits)

    def _bits(self, end: int) -> dict[str, int]:
        return {layer: choice[end] for layer, choice in self.bits.items()}


@dataclass(frozen=True)
class Proposal:
    """What a sampler asks for: a member, the bits of each layer, each group's share of its channels before scaling."""

    member: int
    bits: Mapping[str, int]
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Shape:
    """Widths and bits of a member: all that decides what a candidate costs."""

    member: int
    widths: Mapping[str, int]
    bits: Mapping[str, int]

    @cached_property
    def id(self) -> str:
        """A short name, the same for the same network."""
        return sha256_of(canonical_json([self.member, dict(self.widths), dict(self.bits)]))[:10]


@dataclass
class Costs:
    """The costs of shapes, each worked out once."""

    members: list[Member]
    ram_limit: int | None = None
    """Where it takes that, layers run by stripes of rows."""
    _known: dict[str, Cost] = field(default_factory=dict)

    def of(self, shape: Shape) -> Cost:
        """What the C of a candidate needs."""
        if shape.id not in self._known:
            self._known[shape.id] = self.members[shape.member].cost(shape, self.ram_limit)
        return self._known[shape.id]

    def fits(self, shape: Shape, limits: Limits, share: float = 1.0) -> bool:
        """Whether a shape keeps to the limits that are known before training, each times `share`."""
        found = figures(self.of(shape))
        return all(found[limit.quantity] <= limit.limit * share + 1e-9 for limit in limits.of(EXACT))


def figures(cost: Cost) -> dict[str, float]:
    """A cost by the words of a budget; for layers by stripes of rows also the limit of RAM, and the RAM without it."""
    found: dict[str, float] = {"constants": cost.constants, "ram": cost.ram, "macs": cost.macs}
    if cost.stripes is not None:
        found |= {STRIPED: cost.stripes.limit, UNSTRIPED: cost.stripes.whole_ram}
    return found


def filled(costs: Costs, proposal: Proposal, fits: Callable[[Shape], bool]) -> Shape | None:
    """The largest candidate of a proposal that fits: scaled up as far as it goes, then channel by channel.

    None if not even its smallest fits.
    """
    member = costs.members[proposal.member]
    high = 1.0 / min(proposal.shares.values())
    largest = member.scaled(proposal, high)
    if fits(largest):
        return largest
    low = 0.0
    found = member.scaled(proposal, low)
    if not fits(found):
        return None
    bottom, top = math.log(1e-3), math.log(high)
    for _ in range(_HALVINGS):
        middle = (bottom + top) / 2
        tried = member.scaled(proposal, math.exp(middle))
        if fits(tried):
            bottom, found = middle, tried
        else:
            top = middle
    return _topped_up(costs, found, fits)


def _topped_up(costs: Costs, shape: Shape, fits: Callable[[Shape], bool]) -> Shape:
    """The shape with one more step of channels wherever that still fits, the last groups first."""
    member = costs.members[shape.member]
    for group in member.blueprint.groups:
        wider = min(shape.widths[group.name] + group.parts, member.widths[group.name][1])
        tried = Shape(shape.member, {**shape.widths, group.name: wider}, shape.bits)
        if wider > shape.widths[group.name] and fits(tried):
            shape = tried
    return shape


def infeasible(costs: Costs, limits: Limits) -> str | None:
    """Why no candidate can keep to the limits known before training; None if one can.

    Each quantity is compared with its least over all members: their smallest candidates.
    """
    smallest = [member.smallest for member in costs.members]
    if any(costs.fits(shape, limits) for shape in smallest):
        return None
    reasons = []
    for limit in limits.of(EXACT):
        least = min(smallest, key=lambda shape: figures(costs.of(shape))[limit.quantity])
        found = figures(costs.of(least))[limit.quantity]
        if limit.quantity == "ram":
            found = least_ram(costs.members[least.member].blueprint.graph(least.widths, least.bits))
        if found > limit.limit:
            reasons.append(
                f"{limit.text}: the smallest candidate needs {found:,.0f}{_why(costs, least, limit.quantity)}"
            )
    if not reasons:
        reasons.append("each limit could be kept alone, but no candidate keeps to all of them")
    return "; ".join(reasons)


def _why(costs: Costs, shape: Shape, quantity: str) -> str:
    """What takes the most of a quantity in the smallest candidate."""
    blueprint = costs.members[shape.member].blueprint
    if quantity == "constants":
        layer, size = max(costs.of(shape).layer_bytes.items(), key=lambda entry: entry[1])
        return f" ({size:,} of them for {layer})"
    if quantity == "ram":
        graph = blueprint.graph(shape.widths, shape.bits)
        image = graph.tensors[graph.input]
        return f" ({image.size:,} of them for the image of {'×'.join(map(str, image.shape))})"
    return ""


def check_members(members: list[Member]) -> None:
    """Raise SpecError if there is only one candidate: there is nothing to search."""
    if len(members) == 1 and members[0].smallest.id == members[0].largest.id:
        raise SpecError("space: there is one candidate only: the space is empty: allow more widths or bits")
