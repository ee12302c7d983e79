"""Lifetimes of the buffers of a program, and which buffers may take the place of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from niwaki.codegen.graph.program import INPUT, OUTPUT, Step, Stripes
from niwaki.emit.memory import Life


@dataclass(frozen=True)
class Lives:
    """Lifetimes by buffer, and for each buffer the one whose place it takes."""

    lives: dict[str, Life]
    roots: dict[str, str]
    moved: dict[str, int] = field(default_factory=dict)
    """How far behind the beginning of such a place a buffer lies, if it does."""


def lives_of(steps: Sequence[Step], sizes: Mapping[str, int]) -> dict[str, Life]:
    """From the step that first writes a buffer to the last one that reads it; the image exists before step 0."""
    first, last = {INPUT: 0}, {INPUT: 0}
    for index, step in enumerate(steps):
        for name in step.inputs:
            last[name] = index
        if step.output != OUTPUT:
            first.setdefault(step.output, index)
            last[step.output] = index
    return {name: Life(name, sizes[name], first[name], last[name]) for name in first}


def share_in_place(steps: Sequence[Step], lives: dict[str, Life], stripes: Sequence[Stripes] = ()) -> Lives:
    """Let a step that can work in place overwrite an input that nothing reads afterwards."""
    roots = {name: name for name in lives}
    roots |= {name: some.place_of(name) for some in stripes for name in some.shared}
    inside = {index for some in stripes for index in range(some.start, some.end)}
    for index, step in enumerate(steps):
        if index in inside or step.output == OUTPUT or not may_be_in_place(step) or lives[step.output].first != index:
            continue
        for name in dict.fromkeys(step.inputs):
            root = roots[name]
            old, new = lives[root], lives[step.output]
            if old.last == index and new.size <= old.size and root != INPUT:
                roots[step.output] = root
                lives[root] = replace(old, last=new.last)
                break
    return Lives(lives, roots)


def may_be_in_place(step: Step) -> bool:
    """A sum, a table, a rescaled tensor, and a maximum without padding read ahead of what they write."""
    if step.kernel == "max_pool":
        return step.fields["pad_top"] == 0 and step.fields["pad_left"] == 0
    return step.kernel in ("add", "fine_add", "lookup", "lines", "normalize", "softmax") or (
        step.kernel == "requantize" and step.fields["rows"] == 1 and "at" not in step.fields
    )


def apart(lives: Lives) -> list[Life]:
    """The buffers that need a place of their own."""
    return [life for name, life in lives.lives.items() if lives.roots[name] == name]
