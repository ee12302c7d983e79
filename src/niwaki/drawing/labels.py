"""Where labels go in a figure: those at the ends of lines apart from one another, a name where it covers least."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GAP = 13.0  # between labels at the ends of lines
APART = 2.0  # between texts side by side
NEAR = 3.0  # from the rim of a mark to its label
STEP = 3.0  # between the places to test along a line
ASCENT, DESCENT = 0.75, 0.25  # of the size of a text, above and below its baseline

Place = tuple[float, float]
Mark = tuple[Place, float, float]  # its middle, the radius of its rim, the width of the text beside it


@dataclass(frozen=True)
class Label:
    """A text of a given width around its middle `x`, with its baseline at `y`."""

    x: float
    y: float
    width: float
    size: float

    def covers(self, place: Place, margin: float = 2.0) -> bool:
        """Whether a place is behind the text, or within `margin` pixels of it."""
        px, py = place
        top, bottom = self.y - ASCENT * self.size - margin, self.y + DESCENT * self.size + margin
        return abs(px - self.x) <= self.width / 2 + margin and top <= py <= bottom

    def places(self) -> Iterator[Place]:
        """Places on the text, from its left end to its right one."""
        half = self.width / 2
        for y in (self.y, self.y - ASCENT * self.size):
            yield from along([(self.x - half, y), (self.x + half, y)])

    def meets(self, other: Label) -> bool:
        """Whether the two texts would overlap."""
        return (
            abs(self.x - other.x) < (self.width + other.width) / 2 + APART
            and self.y - ASCENT * self.size < other.y + DESCENT * other.size
            and other.y - ASCENT * other.size < self.y + DESCENT * self.size
        )

    def is_inside(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Whether all of it is between these ends."""
        return (
            left <= self.x - self.width / 2
            and self.x + self.width / 2 <= right
            and top <= self.y - ASCENT * self.size
            and self.y + DESCENT * self.size <= bottom
        )


def apart(places: Sequence[float], top: float, bottom: float) -> list[float]:
    """Sorted places, at least `GAP` from one another and as near to the given ones as that allows, by least squares.

    None is above `top` or below `bottom`, if they all fit between; otherwise `bottom` wins. A group that is moved apart
    keeps its middle: neighbours are pooled, as in isotonic regression, until they no longer overlap.

    >>> apart([10, 12, 90], 0, 100)
    [4.5, 17.5, 90.0]
    """
    groups: list[list[float]] = []  # places minus the gaps before them
    for index, place in enumerate(places):
        groups.append([place - index * GAP])
        while len(groups) > 1 and _mean(groups[-2]) >= _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    limit = bottom - (len(places) - 1) * GAP
    starts = [min(max(_mean(group), top), limit) for group in groups for _ in group]
    return [start + index * GAP for index, start in enumerate(starts)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def free_label(
    around_it: Mark, size: float, taken: Sequence[Place], texts: Sequence[Label], box: tuple[float, float, float, float]
) -> Label | None:
    """A label inside `box` that overlaps none of the `texts`, where it covers the fewest of the `taken` places.

    Among equally good places the first wins: above, below, right, left, then diagonal, close to the mark before further
    away. None if there is no room at all.
    """
    at, rim, width = around_it
    found = [Label(x, y, width, size) for x, y in _around(at, rim + NEAR, width, size)]
    free = [label for label in found if label.is_inside(*box) and not any(map(label.meets, texts))]
    return min(free, key=lambda label: sum(map(label.covers, taken)), default=None)


def _around(at: Place, away: float, width: float, size: float) -> Iterator[Place]:
    """Middle and baseline of texts around a place, in three distances."""
    middle = (ASCENT - DESCENT) / 2 * size  # from the middle of the letters down to their baseline
    for distance in (away, 2 * away, 3 * away):
        beside, over = distance + width / 2, distance + (ASCENT + DESCENT) / 2 * size
        aslant = 0.7 * distance + width / 2
        ways = ((0, -over), (0, over), (beside, 0), (-beside, 0), (aslant, over), (-aslant, -over), (aslant, -over),
                (-aslant, over))  # fmt: skip
        for dx, dy in ways:
            yield at[0] + dx, at[1] + dy + middle


def along(corners: Sequence[Place]) -> Iterator[Place]:
    """Places on a line through its corners, at most `STEP` from one another."""
    for (ax, ay), (bx, by) in itertools.pairwise(corners):
        count = max(1, math.ceil(math.hypot(bx - ax, by - ay) / STEP))
        for index in range(count + 1):
            yield ax + (bx - ax) * index / count, ay + (by - ay) * index / count


def around(middle: Place, radius: float) -> Iterator[Place]:
    """Places on the mark or ring with this middle."""
    x, y = middle
    yield middle
    for eighth in range(8):
        yield x + radius * math.cos(eighth * math.pi / 4), y + radius * math.sin(eighth * math.pi / 4)
