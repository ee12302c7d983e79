"""A program within a limit of RAM: as it is, or with some of its steps by stripes of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.lowering import hwc
from niwaki.codegen.graph.passage import passage_of
from niwaki.codegen.graph.program import INPUT, Program, Step, Stripes
from niwaki.emit.arena import Lives, apart, lives_of, share_in_place
from niwaki.emit.memory import Life, check_plan, lifetimes_bytes, plan_arena
from niwaki.emit.stripe_lives import lives_by_stripes, overlaid
from niwaki.emit.stripes import parts_from, stripes_of
from niwaki.errors import ModelError

_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # of the sources, in one pass
_PLANNED = 8  # forms with the fewest bytes alive, of which the smallest is looked for


def fit(graph: Graph, program: Program, limit: int) -> Program:
    """The program in an arena of at most `limit` bytes: with the fewest calls of kernels, then the fewest moved bytes.

    Raises ModelError, with the smallest RAM that it could have and why, if no form fits.
    """
    found = within(graph, program, limit)
    if found is None:
        raise ModelError(_refusal(graph, program, limit))
    return found


def within(graph: Graph, program: Program, limit: int) -> Program | None:
    """The same; None if no form fits."""
    if program.arena_bytes <= limit:
        return program
    forms = [(found, _lives(program, found)) for found in forms_of(graph, program, limit)]
    forms.sort(key=lambda form: (form[0].calls, form[0].moved, form[0].start, form[0].end))
    for stripes, lives in forms:
        if lifetimes_bytes(lives) <= limit and (smaller := planned(program, stripes)).arena_bytes <= limit:
            return smaller
    return None


def forms_of(graph: Graph, program: Program, limit: int) -> Iterator[Stripes]:
    """Stripes of every part that holds the steps at which more bytes are alive than `limit`."""
    over = [step for step, alive in enumerate(_alive(_plain_lives(program))) if alive > limit]
    first, last = (over[0], over[-1]) if over else (0, 0)
    heights = _heights(graph, program.steps)
    for start in range(first + 1):
        for part in parts_from(program.steps, start, heights):
            if part.end > last:
                tallest = max(part.sources.values(), default=1)
                yield from (stripes_of(part, rows) for rows in _ROWS if rows < tallest)


def _heights(graph: Graph, steps: Sequence[Step]) -> dict[str, int]:
    """The rows of the tensors that have any, as far as kernels say so."""
    source = graph.tensors[graph.input]
    known = {INPUT: hwc(source)[0]} if len(source.shape) == 3 else {}
    for step in steps:
        passage = passage_of(step, next((known[name] for name in step.inputs if name in known), None))
        if passage is not None:
            known.setdefault(step.output, passage.out_h)
    return known


def _plain_lives(program: Program) -> list[Life]:
    return apart(share_in_place(program.steps, lives_of(program.steps, program.sizes)))


def _alive(lives: Sequence[Life]) -> list[int]:
    """Bytes at each step."""
    steps = range(max((life.last for life in lives), default=-1) + 1)
    return [sum(life.at(step) for life in lives if life.first <= step <= life.last) for step in steps]


def _lives(program: Program, stripes: Stripes) -> list[Life]:
    return apart(_shared(program, stripes))


def _shared(program: Program, stripes: Stripes) -> Lives:
    lives = lives_by_stripes(program.steps, program.sizes, [stripes])
    return overlaid(share_in_place(program.steps, lives, [stripes]), stripes)


def planned(program: Program, stripes: Stripes) -> Program:
    """The program with places for what its stripes keep."""
    shared = _shared(program, stripes)
    lives = apart(shared)
    offsets, arena = plan_arena(lives, last=INPUT)
    check_plan(lives, offsets)
    places = {name: offsets[root] + shared.moved.get(name, 0) for name, root in shared.roots.items()}
    rows = {program.steps[i].output: p.out_row for i, p in enumerate(stripes.passages, stripes.start)}
    sizes = {name: stripes.windows.get(stripes.place_of(name), 0) * rows.get(name, 0) for name in places}
    sizes = {name: size or program.sizes[name] for name, size in sizes.items()}
    inside = [name for name in places if name != INPUT or program.arrange_input]
    return replace(
        program, offsets=places, sizes=sizes, arena_bytes=arena, stripes=(stripes,),
        arena_without_input=max((places[name] + sizes[name] for name in inside), default=0),
    )  # fmt: skip


def smallest(graph: Graph, program: Program) -> tuple[Program, list[Life]]:
    """The program in the smallest arena that any form of it has, and what is alive in it."""
    best, lives = program, _plain_lives(program)
    forms = [(lifetimes_bytes(found), found, form) for form, found in _least(graph, program)]
    for _, found, form in sorted(forms, key=lambda one: one[0])[:_PLANNED]:
        if (smaller := planned(program, form)).arena_bytes < best.arena_bytes:
            best, lives = smaller, found
    return best, lives


def _refusal(graph: Graph, program: Program, limit: int) -> str:
    """The smallest RAM of all forms, and what takes it."""
    best, lives = smallest(graph, program)
    output = graph.tensors[graph.output].size
    how = ""
    if best.stripes:
        names = [program.steps[index].name for index in (best.stripes[0].start, best.stripes[0].end - 1)]
        how = f" even with the layers {names[0]} to {names[1]} by stripes of rows"
    return (
        f"the model needs {best.arena_bytes + output:,} bytes of RAM{how} (arena {best.arena_bytes:,}, output "
        f"{output:,}; {_what(program, best.stripes, lives)}), more than the limit of {limit + output:,}: prune further "
        "or raise the limit"
    )


def _least(graph: Graph, program: Program) -> list[tuple[Stripes, list[Life]]]:
    peak = max(_alive(_plain_lives(program)), default=0)
    return [(form, _lives(program, form)) for form in forms_of(graph, program, peak - 1)]


def _what(program: Program, stripes: Sequence[Stripes], lives: Sequence[Life]) -> str:
    """The layer at which most is alive, and the most of that."""
    alive = _alive(lives)
    if not alive:
        return "nothing else"
    step = alive.index(max(alive))
    there = sorted((life for life in lives if life.first <= step <= life.last), key=lambda life: -life.at(step))
    made = {one.output: one.name for one in program.steps}
    windows = {name: rows for some in stripes for name, rows in some.windows.items()}
    under = {made: source for some in stripes for made, source in some.lags}

    def said(life: Life) -> str:
        name = "the image" if life.name == INPUT else made.get(life.name, life.name)
        if life.shrinks is not None:  # both lie there
            name = f"{'the image' if under[life.name] == INPUT else made[under[life.name]]} with {name} over it"
        rows = f"{windows[life.name]} rows of " if life.name in windows else ""
        return f"{rows}{name} {life.size:,}"

    return f"at {program.steps[step].name}: {', '.join(map(said, there[:3]))}"
