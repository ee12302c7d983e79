"""How long each buffer is needed, and which buffers share a place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from niwaki.codegen.graph.program import INPUT, OUTPUT, Step
from niwaki.emit.arena import apart, lives_of, share_in_place
from niwaki.emit.memory import Life

SIZES = {INPUT: 9, "a": 8, "b": 8, "c": 8, "d": 8}


def step(kernel: str, inputs: str, output: str, **fields: int) -> Step:
    return Step(kernel, "", tuple(name if len(name) == 1 else INPUT for name in inputs.split()), output, fields)


def shared(steps: Sequence[Step], **sizes: int) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """The buffers that take the place of another, and the steps in which each place is needed."""
    lives = share_in_place(steps, lives_of(steps, SIZES | sizes))
    taken = {name: root for name, root in lives.roots.items() if name != root}
    return taken, {life.name: (life.first, life.last) for life in apart(lives)}


def test_a_buffer_is_needed_from_its_first_writer_to_its_last_reader() -> None:
    steps = [step("conv", "image", "a"), step("conv", "a", "b"), step("add", "a b", "c"), step("dense", "c", OUTPUT)]
    assert lives_of(steps, SIZES) == {
        INPUT: Life(INPUT, 9, 0, 0), "a": Life("a", 8, 0, 2), "b": Life("b", 8, 1, 2), "c": Life("c", 8, 2, 3),
    }  # fmt: skip
    late = [*steps[:2], step("add", "image b", OUTPUT)]
    assert lives_of(late, SIZES)[INPUT] == Life(INPUT, 9, 0, 2)
    assert lives_of([], SIZES) == {INPUT: Life(INPUT, 9, 0, 0)}


def test_what_is_written_in_parts_or_never_read_is_needed_until_its_last_writer() -> None:
    parts = [step("conv", "image", "a"), step("pad", "image", "b"), step("pad", "a", "c"), step("pad", "b", "c")]
    lives = lives_of(parts, SIZES)
    assert (lives["c"].first, lives["c"].last) == (2, 3)
    assert lives_of(parts[:1], SIZES)["a"] == Life("a", 8, 0, 0)


def test_a_sum_is_written_over_an_input_that_nothing_reads_after_it() -> None:
    begin = [step("conv", "image", "a"), step("conv", "a", "b")]
    last = [step("add", "a b", "c"), step("dense", "c", OUTPUT)]
    assert shared([*begin, *last]) == ({"c": "a"}, {INPUT: (0, 0), "a": (0, 3), "b": (1, 2)})
    again = [*begin, last[0], step("add", "c a", OUTPUT)]  # a is read once more: b gives its place
    assert shared(again) == ({"c": "b"}, {INPUT: (0, 0), "a": (0, 3), "b": (1, 3)})


def test_one_place_is_handed_on_from_sum_to_sum() -> None:
    steps = [step("conv", "image", "a"), step("add", "a a", "b"), step("add", "b b", "c"), step("dense", "c", "d")]
    assert shared(steps) == ({"b": "a", "c": "a"}, {INPUT: (0, 0), "a": (0, 3), "d": (3, 3)})


@pytest.mark.parametrize(("size", "taken"), [(7, {"b": "a"}), (8, {"b": "a"}), (9, {})])
def test_a_place_must_be_large_enough(size: int, taken: dict[str, str]) -> None:
    assert shared([step("conv", "image", "a"), step("add", "a a", "b")], b=size)[0] == taken


def test_the_caller_s_image_and_output_are_no_place_to_share() -> None:
    assert shared([step("add", "image image", "a"), step("add", "a a", OUTPUT)])[0] == {}


def test_only_the_first_writer_of_a_buffer_picks_its_place() -> None:
    """Later parts go where the first went, whatever they read."""
    scale = {"rows": 1}
    steps = [
        step("conv", "image", "a"), step("conv", "image", "b"),
        step("requantize", "a", "c", **scale), step("requantize", "b", "c", **scale), step("dense", "c", OUTPUT),
    ]  # fmt: skip
    assert shared(steps) == ({"c": "a"}, {INPUT: (0, 1), "a": (0, 4), "b": (1, 3)})


@pytest.mark.parametrize(
    ("kernel", "fields", "in_place"),
    [
        ("add", {}, True),
        ("max_pool", {"pad_top": 0, "pad_left": 0}, True),
        ("max_pool", {"pad_top": 1, "pad_left": 0}, False),
        ("max_pool", {"pad_top": 0, "pad_left": 1}, False),
        ("requantize", {"rows": 1}, True),
        ("requantize", {"rows": 2}, False),
        ("requantize", {"rows": 1, "at": 0}, False),  # into a part of a larger tensor
        ("conv", {"rows": 1, "pad_top": 0, "pad_left": 0}, False),
    ],
)
def test_kernels_that_read_ahead_of_what_they_write(kernel: str, fields: dict[str, int], in_place: bool) -> None:
    steps = [step("conv", "image", "a"), step(kernel, "a", "b", **fields), step("add", "b b", "c")]
    assert ("b" in shared(steps)[0]) == in_place
    assert "c" in shared(steps)[0]
