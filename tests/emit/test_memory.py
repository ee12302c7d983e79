"""The arena: buffers that are needed at the same time share no byte, and it is no larger than necessary."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.emit.memory import Life, check_plan, lifetimes_bytes, plan_arena


def test_buffers_of_other_times_share_their_place() -> None:
    lives = [Life("a", 100, 0, 1), Life("b", 60, 1, 2), Life("c", 100, 2, 3), Life("d", 30, 3, 3)]
    offsets, size = plan_arena(lives)
    assert size == lifetimes_bytes(lives) == 160
    check_plan(lives, offsets)
    assert offsets["a"] == offsets["c"]


def test_greedy_by_size_alone_would_need_more() -> None:
    """Largest first leaves a hole here; another order does not."""
    lives = [Life("a", 3, 0, 1), Life("b", 4, 1, 2), Life("c", 5, 2, 3), Life("d", 2, 3, 4), Life("e", 4, 0, 0)]
    offsets, size = plan_arena(lives)
    check_plan(lives, offsets)
    assert size == lifetimes_bytes(lives) == 9


def test_the_last_one_is_placed_around_the_others() -> None:
    lives = [Life("image", 1024, 0, 0), Life("pool1", 1176, 0, 1), Life("pool2", 400, 1, 2)]
    offsets, size = plan_arena(lives, last="image")
    assert (offsets["pool1"], offsets["image"], size) == (0, 1176, 2200)
    assert max(offsets["pool1"] + 1176, offsets["pool2"] + 400) == 1576  # without the image


def test_hundreds_of_buffers_are_planned_in_seconds() -> None:
    """No order reaches what is alive at once, so that all tries are made; there are fewer of many."""
    draw = random.Random(3)
    starts = [draw.randrange(500) for _ in range(500)]
    lives = [
        Life(str(index), draw.randrange(1, 999), at, at + draw.randrange(1, 60)) for index, at in enumerate(starts)
    ]
    offsets, size = plan_arena(lives)
    check_plan(lives, offsets)
    assert lifetimes_bytes(lives) < size < 1.5 * lifetimes_bytes(lives)


def test_nothing_needs_nothing() -> None:
    assert plan_arena([]) == ({}, 0)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 8), st.integers(0, 3)), max_size=9))
def test_no_plan_overlaps(rows: list[tuple[int, int, int]]) -> None:
    lives = [Life(str(index), size, first, first + span) for index, (size, first, span) in enumerate(rows)]
    offsets, size = plan_arena(lives)
    for index, a in enumerate(lives):
        for b in lives[index + 1 :]:
            if a.first <= b.last and b.first <= a.last:
                assert offsets[a.name] + a.size <= offsets[b.name] or offsets[b.name] + b.size <= offsets[a.name]
    assert lifetimes_bytes(lives) <= size <= sum(life.size for life in lives)


def test_an_overlap_is_found() -> None:
    with pytest.raises(AssertionError, match="a and b overlap"):
        check_plan([Life("a", 4, 0, 1), Life("b", 4, 1, 2)], {"a": 0, "b": 3})
