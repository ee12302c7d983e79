"""Lifetimes of buffers if some steps run by stripes: windows, and an output in the place of what its loop has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from niwaki.codegen.graph.program import Step, Stripes
from niwaki.emit.arena import Lives, lives_of
from niwaki.emit.memory import Life


def lives_by_stripes(
    steps: Sequence[Step], sizes: Mapping[str, int], stripes: Sequence[Stripes] = ()
) -> dict[str, Life]:  # fmt: skip
    """As `lives_of` has them, but all that passes from one to the next is needed as long as the loop runs.

    A window of which nothing is kept is needed only from the step that fills it to the one that reads it.
    """
    lives = lives_of(steps, sizes)
    for some in stripes:
        loop = range(some.start, some.end)
        rows = {steps[index].output: passage.out_row for index, passage in zip(loop, some.passages, strict=True)}
        for name, life in lives.items():
            if name in some.transient:
                first = min(lives[other].first for other in rows if other in lives and some.place_of(other) == name)
                lives[name] = Life(name, some.windows[name] * rows[name], first, life.last)
            elif name in some.windows:
                lives[name] = Life(name, some.windows[name] * rows[name], loop[0], loop[-1])
            elif name in rows and name not in some.shared:
                lives[name] = Life(name, life.size, loop[0], max(life.last, loop[-1]))
            elif name in some.sources:
                lives[name] = replace(life, last=max(life.last, loop[-1]))
    return lives


def overlaid(found: Lives, stripes: Stripes) -> Lives:
    """Let a tensor that a loop makes overwrite the rows of one that it reads: they lie as far apart as it lags.

    Only if nothing needs the one that it reads after the loop. The same lives if that saves nothing.
    """
    best, saved = found, 0
    for (made, source), lag in stripes.lags.items():
        if found.roots.get(made) != made or source not in found.roots:
            continue
        root = found.roots[source]
        new, old = found.lives[made], found.lives[root]
        size = max(lag + old.size, new.size)
        if old.last != stripes.end - 1 or new.first != stripes.start or old.size + new.size - size <= saved:
            continue
        saved = old.size + new.size - size
        both = Life(made, size, old.first, new.last, stripes.end, new.size)
        roots = {name: made if place == root else place for name, place in found.roots.items()}
        moved = {name: lag for name, place in found.roots.items() if place == root}
        best = Lives({name: life for name, life in found.lives.items() if name != root} | {made: both}, roots, moved)
    return best
