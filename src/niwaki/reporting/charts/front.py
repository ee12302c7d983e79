"""Accuracy against size: every network of the study, the front of those that no other one beats, and the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series
from niwaki.reporting.charts.measures import number
from niwaki.reporting.columns import row_name
from niwaki.reporting.tables import Row, Table
from niwaki.reporting.words import Words
from niwaki.study.result_files import Choice

COSTS = ("params", "macs", "flash", "ram")
OF_INT8 = ("flash", "ram")
DEPTH = 20  # points below the best: lower ones would flatten the rest


@dataclass(frozen=True)
class Network:
    """A network of the study with its metrics averaged over the seeds. `costs` lacks what was not measured."""

    name: str
    accuracy: float
    costs: dict[str, float]
    int8: bool
    chosen: bool


def networks(tables: Sequence[Table], choice: Choice | None, chosen_in: str | None, words: Words) -> list[Network]:
    """Every network in the tables, which show all steps, once; among equal ones, the chosen one stays."""
    found: dict[tuple[object, ...], Network] = {}
    for table in tables:
        for row in table.rows:
            if "accuracy" not in row.figures:
                continue
            chosen = choice is not None and table.name == chosen_in and is_choice(table, row, choice)
            network = _network(table, row, chosen, words)
            identity = (network.accuracy, row.figures["validation"].mean, tuple(sorted(network.costs.items())))
            if identity not in found or chosen:
                found[identity] = network
    return list(found.values())


def is_choice(table: Table, row: Row, choice: Choice) -> bool:
    """Whether a row is the chosen one: the last of the chosen value, in float or in int8."""
    if choice.key is None or row.base or row.value != choice.value:
        return False
    return row is [r for r in table.rows if r.value == row.value and r.quantized == row.quantized][-1]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points (cost, accuracy) that no other one beats: no more costly, no less accurate, and better in one of the
    two.

    In order of cost. The first of equal points stands for all.

    >>> front([(3, 90), (1, 80), (2, 79), (3, 85)])
    [1, 0]
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index))
    best, kept = float("-inf"), []
    for index in order:
        if points[index][1] > best:
            kept.append(index)
            best = points[index][1]
    return kept


def front_chart(found: Sequence[Network], words: Words) -> Chart:
    """Accuracy against parameters, MACs, flash and RAM, a panel each if at least two networks have the value.

    Flash and RAM show int8 networks; parameters and MACs, which int8 does not change, show float ones.
    """
    panels = tuple(_panel(known, cost, words) for cost in COSTS if len(known := measured(found, cost)) > 1)
    title = words("chart.front")
    described = words("chart.described", title=title, panels=", ".join(p.x.title for p in panels))
    return Chart("figure-front", "lines", title, words("caption.front"), described, panels)


def measured(found: Sequence[Network], cost: str) -> list[Network]:
    """The networks that are compared by a cost."""
    return [n for n in found if cost in n.costs and n.int8 == (cost in OF_INT8)]


def _network(table: Table, row: Row, chosen: bool, words: Words) -> Network:
    costs = {cost: row.figures[cost].mean for cost in COSTS if cost in row.figures}
    name = f"{row_name(table, row, words)} ({words.name(table.title)})"
    return Network(name, row.figures["accuracy"].mean, costs, row.quantized is not None, chosen)


def _panel(found: Sequence[Network], cost: str, words: Words) -> Panel:
    known = measured(found, cost)
    kept = front([(n.costs[cost], n.accuracy) for n in known])
    floor = max(network.accuracy for network in known) - DEPTH
    drawn = {index for index, network in enumerate(known) if network.accuracy >= floor or network.chosen}
    on = [_point(known[index], cost, words) for index in kept if index in drawn]
    off = [_point(known[index], cost, words) for index in sorted(drawn - set(kept))]
    unit = "bytes" if cost in OF_INT8 else "count"
    x = Axis(words.column(cost), "log", unit="bytes" if unit == "bytes" else "count")
    y = Axis(words.column("accuracy"), unit="percent")
    return Panel(x, y, (  # titled by its x axis: all share one y axis
        Series(words("series.dominated"), tuple(off), 5, joined=False),
        Series(words("series.front"), tuple(on), 0, stepped=True),
    ), x.title)  # fmt: skip


def _point(network: Network, cost: str, words: Words) -> Point:
    unit = "bytes" if cost in OF_INT8 else "count"
    tip = "\n".join((
        network.name + (f" · {words('chosen')}" if network.chosen else ""),
        f"{number(network.accuracy, 'percent')}",
        f"{words.column(cost)}: {number(network.costs[cost], 'bytes' if unit == 'bytes' else 'count')}",
    ))  # fmt: skip
    return Point(network.costs[cost], network.accuracy, tip, chosen=network.chosen,
                 label=words("chosen") if network.chosen else "")  # fmt: skip
