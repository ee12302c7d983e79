"""The picture of the parts of niwaki, drawn from the contract on imports: `make picture` writes docs/architecture.svg.

An arrow leads from a part to one that it may import. An arrow is left out if a longer way leads there too, so that
few remain and what a box reaches stays the same.
"""

from __future__ import annotations

import ast
import random
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise, permutations
from pathlib import Path

import niwaki
from tests.arrows import Lines, contract

PICTURE = Path(__file__).parents[1] / "docs" / "architecture.svg"
SOURCES = Path(niwaki.__file__).parent
HOME = {"__main__": "cli", "__init__": "api", "arguments": "api"}
"""Modules that are drawn in the box of another part; those without a home share the box GROUND."""
GROUND = "ground"
WIDE, HIGH, ACROSS, DOWN, EDGE = 210, 58, 24, 32, 20  # pixels: a box, the room between boxes, the margin
STYLE = """
.page { fill: #ffffff } .box { fill: #f4f6f4; stroke: #5b6b5e } .way { fill: none; stroke: #5b6b5e; stroke-width: 1.4 }
.head { fill: #5b6b5e } .name { font: 600 14px system-ui, sans-serif; fill: #16211a }
.owns { font: 11.5px system-ui, sans-serif; fill: #3c4a40 }
@media (prefers-color-scheme: dark) {
  .page { fill: #12161a } .box { fill: #1d242a; stroke: #8fa296 } .way { stroke: #8fa296 } .head { fill: #8fa296 }
  .name { fill: #eef3ef } .owns { fill: #bccabf }
}
"""
STARTS = 60
Arrows = Mapping[str, frozenset[str]]
Layers = list[list[str]]


@dataclass(frozen=True)
class Layout:
    """Where everything is: the layers from top to bottom, and the column of each box and of each bend of an arrow."""

    layers: Layers
    columns: Mapping[str, float]
    ways: tuple[tuple[str, ...], ...]
    """For each arrow the boxes at its ends, with its bends between them."""


def boxes(lines: Lines) -> dict[str, list[str]]:
    """The boxes with the parts that each holds, top to bottom."""
    held: dict[str, list[str]] = {}
    for part in lines:
        package = (SOURCES / part).is_dir() or part in HOME.values()
        held.setdefault(part if package else HOME.get(part, GROUND), []).append(part)
    return held


def arrows(lines: Lines) -> Arrows:
    """The arrows between boxes without those that a longer way replaces."""
    held = boxes(lines)
    box = {part: name for name, parts in held.items() for part in parts}
    direct = {name: {box[other] for part in parts for other in lines[part]} - {name} for name, parts in held.items()}
    beyond = {name: {far for other in direct[name] for far in _reached(other, direct)} for name in direct}
    return {name: frozenset(direct[name] - beyond[name]) for name in direct}


def _reached(name: str, direct: Mapping[str, set[str]]) -> set[str]:
    return set(direct[name]).union(*(_reached(other, direct) for other in direct[name]))


def lay_out(ways: Arrows) -> Layout:
    """A box stands one layer above the highest box that it leads to; an arrow that passes layers bends in each."""
    level: dict[str, int] = {}
    while len(level) < len(ways):
        ready = [name for name in ways if name not in level and all(other in level for other in ways[name])]
        level |= {name: 1 + max((level[other] for other in ways[name]), default=-1) for name in ready}
    layers: Layers = [[name for name in ways if level[name] == at] for at in range(max(level.values()), -1, -1)]
    routes = []
    for name in ways:
        for other in sorted(ways[name]):
            bends = [f"{name}>{other}>{at}" for at in range(level[name] - 1, level[other], -1)]
            for at, bend in zip(range(level[name] - 1, level[other], -1), bends, strict=True):
                layers[len(layers) - 1 - at].append(bend)
            routes.append((name, *bends, other))
    steps = {step for route in routes for step in pairwise(route)}
    layers = _in_order(layers, steps)
    return Layout(layers, _columns(layers, steps), tuple(routes))


def _in_order(layers: Layers, steps: set[tuple[str, str]]) -> Layers:
    """Each layer in the order in which the fewest arrows cross: the best of a few starts, the same ones each time."""
    tried = []
    for start in range(STARTS):
        chance = random.Random(start)
        tried.append(_settled([chance.sample(layer, len(layer)) for layer in layers], steps))
    return min(tried, key=lambda order: (_all_crossings(order, steps), _length(order, steps)))


def _settled(layers: Layers, steps: set[tuple[str, str]]) -> Layers:
    """Layer by layer, down and up: an order that crosses few arrows from and to its neighbours."""
    for _ in range(3):
        for at in [*range(1, len(layers)), *range(len(layers) - 2, -1, -1)]:
            around = layers[max(at - 1, 0) : at] + layers[at + 1 : at + 2]
            layers[at] = _placed(layers[at], around, steps)
    return layers


def _placed(layer: list[str], around: Layers, steps: set[tuple[str, str]]) -> list[str]:
    """Each box goes where in its layer it lets the fewest arrows cross, until none moves."""
    ends = {
        name: [[to for to, end in enumerate(other) if (name, end) in steps or (end, name) in steps] for other in around]
        for name in layer
    }
    crossed = {
        (left, right): sum(
            one > other
            for ours, theirs in zip(ends[left], ends[right], strict=True)
            for one in ours
            for other in theirs
        )
        for left, right in permutations(layer, 2)
    }
    order, moved = list(layer), True
    while moved:
        moved = False
        for name in layer:
            rest = [other for other in order if other != name]
            costs = [
                sum(crossed[other, name] for other in rest[:at]) + sum(crossed[name, other] for other in rest[at:])
                for at in range(len(order))
            ]
            best = min(range(len(order)), key=costs.__getitem__)
            if costs[best] < costs[order.index(name)]:
                order, moved = [*rest[:best], name, *rest[best:]], True
    return order


def _all_crossings(layers: Layers, steps: set[tuple[str, str]]) -> int:
    return sum(_crossings(tuple(upper), [lower], steps) for upper, lower in pairwise(layers))


def _length(layers: Layers, steps: set[tuple[str, str]]) -> float:
    columns = _columns(layers, steps)
    return sum(abs(columns[one] - columns[other]) for one, other in sorted(steps))


def _crossings(order: tuple[str, ...], around: Layers, steps: set[tuple[str, str]]) -> int:
    count = 0
    for other in around:
        ends = [
            (at, to)
            for at, name in enumerate(order)
            for to, end in enumerate(other)
            if (name, end) in steps or (end, name) in steps
        ]
        count += sum((a - c) * (b - d) < 0 for a, b in ends for c, d in ends)
    return count


def _columns(layers: Layers, steps: set[tuple[str, str]]) -> dict[str, float]:
    """Columns near those of what a box is tied to, one apart for boxes, less for bends."""
    near: dict[str, list[str]] = {}
    for one, other in sorted(steps):
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    columns = {name: float(at) for layer in layers for at, name in enumerate(layer)}
    for _ in range(60):
        for layer in layers:
            wish = {name: _mean(columns, near[name], ">" in name) for name in layer}
            columns |= _apart(layer, wish)
    least = min(column + 0.5 * (">" in name) for name, column in columns.items())  # a bend is drawn in mid-column
    return {name: round((column - least) * 4) / 4 for name, column in columns.items()}


def _mean(columns: Mapping[str, float], near: list[str], bend: bool) -> float:
    """Bends lie below one another rather than below boxes: long arrows are straight."""
    weights = [8 if bend and ">" in name else 1 for name in near]
    return sum(weight * columns[name] for weight, name in zip(weights, near, strict=True)) / sum(weights)


def _apart(layer: list[str], wish: Mapping[str, float]) -> dict[str, float]:
    """The wishes of a layer, moved as little as its order and its gaps need: groups of neighbours move as one."""
    offsets = [0.0]
    for one, other in pairwise(layer):
        offsets.append(offsets[-1] + (0.4 if ">" in one and ">" in other else 0.7 if ">" in one + other else 1.0))
    groups: list[list[float]] = []
    for name, offset in zip(layer, offsets, strict=True):
        groups.append([wish[name] - offset])
        while len(groups) > 1 and sum(groups[-2]) / len(groups[-2]) > sum(groups[-1]) / len(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    starts = [sum(group) / len(group) for group in groups for _ in group]
    return {name: start + offset for name, start, offset in zip(layer, starts, offsets, strict=True)}


def draw(lines: Lines) -> str:
    """The SVG."""
    held = boxes(lines)
    layout = lay_out(arrows(lines))
    row = {name: at for at, layer in enumerate(layout.layers) for name in layer}
    place = {name: (_x(layout.columns[name]), EDGE + at * (HIGH + DOWN)) for name, at in row.items()}
    width = round(max(x + WIDE / (1 + (">" in name)) for name, (x, _) in place.items())) + EDGE
    height = len(layout.layers) * (HIGH + DOWN) - DOWN + 2 * EDGE
    body = [f'<rect class="page" width="{width}" height="{height}" rx="8"/>']
    body += [_way([place[name] for name in route]) for route in layout.ways]
    for name, parts in held.items():
        body += _box(name, parts, *place[name], lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="The parts of niwaki and what each may import">\n<style>{STYLE}</style>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _x(column: float) -> float:
    return EDGE + column * (WIDE + ACROSS)


def _way(points: list[tuple[float, float]]) -> str:
    """A smooth line from below a box through the bends to above another, with a head."""
    middle = [(x + WIDE / 2, y) for x, y in points]
    stops = [(middle[0][0], middle[0][1] + HIGH)]
    for x, y in middle[1:-1]:
        stops += [(x, y), (x, y + HIGH)]
    end = middle[-1]
    stops.append((end[0], end[1] - 7))
    path = f"M{stops[0][0]:g},{stops[0][1]:g}"
    for at, ((x, y), (to, bottom)) in enumerate(pairwise(stops)):
        half = (y + bottom) / 2
        path += f" V{bottom:g}" if at % 2 else f" C{x:g},{half:g} {to:g},{half:g} {to:g},{bottom:g}"
    head = f"M{end[0]:g},{end[1]:g} l-4,-8 h8 z"
    return f'<path class="way" d="{path}"/><path class="head" d="{head}"/>'


def _box(name: str, parts: list[str], x: float, y: float, lines: Lines) -> Iterator[str]:
    title, owns = (", ".join(parts), "") if name == GROUND else (name, _owns(name))
    texts = [("name", line) for line in textwrap.wrap(title, 24)] + [("owns", line) for line in textwrap.wrap(owns, 30)]
    top = y + HIGH / 2 + 5 - 7.5 * (len(texts) - 1)
    allowed = "; ".join(f"{part} may import {', '.join(lines[part]) or 'no other part'}" for part in parts)
    yield f"<g><title>{escape(allowed)}</title>"
    yield f'<rect class="box" x="{x:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="6"/>'
    for at, (kind, line) in enumerate(texts):
        spot = f'x="{x + WIDE / 2:g}" y="{top + 15 * at:g}" text-anchor="middle"'
        yield f'<text class="{kind}" {spot}>{escape(line)}</text>'
    yield "</g>"


def _owns(part: str) -> str:
    """How the docstring of a part begins: up to a colon, or the sentence."""
    file = SOURCES / part / "__init__.py" if (SOURCES / part).is_dir() else SOURCES / f"{part}.py"
    sentence = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
    return sentence.partition(":")[0].removesuffix(".")


if __name__ == "__main__":
    PICTURE.write_text(draw(contract()))
