"""Addresses as nested loops: what a copy, a broadcast or a permutation is to a kernel that walks with strides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEPTH = 5
"""The most loops that a kernel has."""


@dataclass(frozen=True)
class Loop:
    """`count` rounds; each address grows by its step from one to the next."""

    count: int
    steps: tuple[int, ...]


def loops_of(*addresses: np.ndarray) -> list[Loop] | None:
    """Loops, the outermost first, that visit several lists of addresses together; None if it takes more than DEPTH.

    Every list has the same length and is one address for each round of the innermost loop, in order.

    >>> loops_of(np.array([0, 3, 1, 4, 2, 5]))
    [Loop(count=3, steps=(1,)), Loop(count=2, steps=(3,))]
    """
    rest, found = np.stack([part.reshape(-1) for part in addresses]), list[Loop]()
    while rest.shape[1] > 1:
        loop = _innermost(rest)
        if loop is None or len(found) == DEPTH:
            return None
        found.insert(0, loop)
        rest = rest[:, :: loop.count]
    return found


def in_one(first: np.ndarray, then: np.ndarray) -> np.ndarray | None:
    """Two changes of place as one; None if a copy and a cut are loops, and the C would need a table of places for one.

    >>> in_one(np.array([0, 3, 1, 4, 2, 5]), np.array([0, 1, 2, 3])).tolist()
    [0, 3, 1, 4]
    """
    both: np.ndarray = first[then]
    is_cut = len(then) < len(first) and (np.diff(then) > 0).all()
    if is_cut and loops_of(both) is None and loops_of(first) is not None and loops_of(then) is not None:
        return None
    return both


def _innermost(rest: np.ndarray) -> Loop | None:
    """The longest inner loop that divides all addresses evenly."""
    total, steps = rest.shape[1], rest[:, 1] - rest[:, 0]
    straight = (np.diff(rest, axis=1) == steps[:, None]).all(axis=0)
    most = total if straight.all() else int(straight.argmin()) + 1
    for count in range(most, 1, -1):
        if total % count == 0 and straight.reshape(-1)[_inside(total, count)].all():
            return Loop(count, tuple(steps.tolist()))
    return None


def _inside(total: int, count: int) -> np.ndarray:
    """The places of differences within rounds of `count`, of all `total` - 1."""
    inside: np.ndarray = np.arange(total - 1) % count != count - 1
    return inside
