"""One arena for all activations: buffers share memory only if their lifetimes do not overlap."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TRIES = 2000
_COMPARISONS = 20_000_000  # pairs of buffers over all attempts: beyond 100 buffers there are fewer attempts


@dataclass(frozen=True)
class Life:
    """A buffer of `size` bytes, needed from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: Life) -> bool:
        """Whether both are needed at the same time."""
        return self.first <= other.last and other.first <= self.last


def lifetimes_bytes(lives: Sequence[Life]) -> int:
    """The most bytes alive at one step: no arena can be smaller."""
    steps = range(max((life.last for life in lives), default=-1) + 1)
    return max((sum(life.size for life in lives if life.first <= step <= life.last) for step in steps), default=0)


def plan_arena(lives: Sequence[Life], *, last: str | None = None) -> tuple[dict[str, int], int]:
    """Offsets by name, and the bytes of the whole arena.

    It places the buffers one by one at the lowest free offset, in several orders, and keeps the best; if none reaches
    the bytes alive, it tries orders drawn with a fixed seed. It places the buffer named `last` after all others, so
    that an arena without it is as small as possible.
    """
    bound = lifetimes_bytes(lives)
    end = [life for life in lives if life.name == last]
    rest = [life for life in lives if life.name != last]
    orders = [
        sorted(rest, key=lambda x: (-x.size, x.first)),
        sorted(rest, key=lambda x: (x.first, -x.size)),
        sorted(rest, key=lambda x: (-(x.last - x.first), -x.size)),
        sorted(rest, key=lambda x: (-x.last, -x.size)),
    ]
    draw = random.Random(0)
    best: tuple[dict[str, int], int] | None = None
    tries = max(len(orders), min(_TRIES, _COMPARISONS // max(1, len(lives)) ** 2))
    for attempt in range(tries):
        order = orders[attempt] if attempt < len(orders) else draw.sample(rest, len(rest))
        offsets = _place([*order, *end])
        size = max((offsets[life.name] + life.size for life in lives), default=0)
        if best is None or size < best[1]:
            best = offsets, size
        if best[1] == bound:
            break
    assert best is not None
    return best


def _place(order: Sequence[Life]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    placed: list[Life] = []
    for life in order:
        offset = 0
        for other in sorted((o for o in placed if o.meets(life)), key=lambda o: offsets[o.name]):
            if offset + life.size <= offsets[other.name]:
                break
            offset = max(offset, offsets[other.name] + other.size)
        offsets[life.name] = offset
        placed.append(life)
    return offsets


def check_plan(lives: Sequence[Life], offsets: Mapping[str, int]) -> None:
    """Raise AssertionError if two buffers that are needed at the same time share a byte."""
    for index, a in enumerate(lives):
        for b in lives[index + 1 :]:
            apart = offsets[a.name] + a.size <= offsets[b.name] or offsets[b.name] + b.size <= offsets[a.name]
            assert apart or not a.meets(b), f"{a.name} and {b.name} overlap"
