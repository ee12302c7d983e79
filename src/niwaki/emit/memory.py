"""One arena for all activations: buffers share memory only if their lifetimes do not overlap."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TRIES = 2000
_TRIES_SHRINKING = 40
_COMPARISONS = 20_000_000  # pairs of buffers over all attempts: beyond 100 buffers there are fewer attempts


@dataclass(frozen=True)
class Life:
    """A buffer of `size` bytes, needed from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int
    shrinks: int | None = None
    """The step from which on fewer bytes are needed, at its beginning."""
    rest: int = 0

    def meets(self, other: Life) -> bool:
        """Whether both are needed at the same time."""
        return self.first <= other.last and other.first <= self.last

    def at(self, step: int) -> int:
        """The bytes needed at a step."""
        return self.size if self.shrinks is None or step < self.shrinks else self.rest

    def beside(self, other: Life) -> int:
        """The most bytes needed while the other is needed too."""
        return self.at(max(self.first, other.first))


def lifetimes_bytes(lives: Sequence[Life]) -> int:
    """The most bytes alive at one step: no arena can be smaller."""
    steps = range(max((life.last for life in lives), default=-1) + 1)
    return max((sum(life.at(step) for life in lives if life.first <= step <= life.last) for step in steps), default=0)


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
    shrinking = any(life.shrinks is not None for life in lives)
    most, place = (_TRIES_SHRINKING, _place_shrinking) if shrinking else (_TRIES, _place)
    tries = max(len(orders), min(most, _COMPARISONS // max(1, len(lives)) ** 2))
    for attempt in range(tries):
        order = orders[attempt] if attempt < len(orders) else draw.sample(rest, len(rest))
        offsets = place([*order, *end])
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


def _place_shrinking(order: Sequence[Life]) -> dict[str, int]:
    """The same if some buffers need fewer bytes later on."""
    offsets: dict[str, int] = {}
    placed: list[Life] = []
    for life in order:
        near = [(offsets[other.name], other.beside(life), life.beside(other)) for other in placed if other.meets(life)]
        free = (
            offset for offset in sorted({0, *(begin + size for begin, size, _ in near)})
            if all(offset + own <= begin or offset >= begin + size for begin, size, own in near)
        )  # fmt: skip
        offsets[life.name] = next(free)
        placed.append(life)
    return offsets


def check_plan(lives: Sequence[Life], offsets: Mapping[str, int]) -> None:
    """Raise AssertionError if two buffers that are needed at the same time share a byte."""
    for index, a in enumerate(lives):
        for b in lives[index + 1 :]:
            a_end, b_end = offsets[a.name] + a.beside(b), offsets[b.name] + b.beside(a)
            apart = a_end <= offsets[b.name] or b_end <= offsets[a.name]
            assert apart or not a.meets(b), f"{a.name} and {b.name} overlap"
