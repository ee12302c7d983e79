"""What size buys: the front of accuracy against parameters, MACs and flash."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.report.charts.front import Network, front, front_chart, networks
from niwaki.report.compose.tables import plain_csv
from niwaki.report.document import Block, Figure, Grid, Section, Text
from niwaki.report.tables import Table
from niwaki.report.view import View
from niwaki.report.words import Words


def front_section(view: View, tables: Sequence[Table], words: Words) -> Section:
    """The networks of the study against what they cost."""
    chosen_in = view.spec.select.experiment if view.spec.select else None
    found = networks(tables, view.choice, chosen_in, words)
    if not found:
        return Section("front", words("front.heading"), (Text(words("front.none"), "warning"),))
    blocks: list[Block] = [Text(words("front.lead"), "lead"), Figure(front_chart(found, words))]
    flash = sum("flash" in network.costs for network in found)
    if flash < 2:
        blocks.append(Text(words("front.few"), "note"))
    blocks.append(_grid(found, words))
    return Section("front", words("front.heading"), tuple(blocks))


def _grid(found: Sequence[Network], words: Words) -> Grid:
    """The networks on the front over parameters, the largest first."""
    kept = front([(network.costs["params"], network.accuracy) for network in found])
    on = [found[index] for index in reversed(kept)]
    heads = (words("front.network"), words.column("accuracy"), words.column("params"), words.column("macs"))
    rows = tuple(
        (n.name + (f" · {words('chosen')}" if n.chosen else ""), f"{n.accuracy:.2f}", f"{n.costs['params']:,.0f}",
         f"{n.costs['macs']:,.0f}") for n in on
    )  # fmt: skip
    strong = frozenset(index for index, network in enumerate(on) if network.chosen)
    return Grid("table-front", words("front.table"), heads, rows, plain_csv(heads, rows), strong=strong,
                folded=len(rows) > 8)  # fmt: skip
