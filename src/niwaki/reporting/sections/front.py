"""What size buys: the front of accuracy against parameters, MACs, flash and RAM."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.reporting.charts.front import Network, front, front_chart, measured, networks
from niwaki.reporting.chosen import Which, c_needs, tested_accuracy
from niwaki.reporting.document import Block, Figure, Grid, Section, Text
from niwaki.reporting.sections.tables import plain_csv
from niwaki.reporting.tables import step_tables
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.result_files import ModelFacts


def front_section(view: View, words: Words) -> Section:
    """The networks of the study against what they cost."""
    chosen_in = view.spec.select.experiment if view.spec.select else None
    found = networks(step_tables(view, words), view.choice, chosen_in, words)
    found = with_forms(view, found, words)
    if not found:
        return Section("front", words("front.heading"), (Text(words("front.none"), "warning"),))
    blocks: list[Block] = [Text(words("front.lead"), "lead"), Figure(front_chart(found, words))]
    if len(measured(found, "flash")) < 2:
        blocks.append(Text(words("front.few"), "note"))
    blocks.append(_grid(found, words))
    return Section("front", words("front.heading"), tuple(blocks))


def with_forms(view: View, found: list[Network], words: Words) -> list[Network]:
    """With the base and the chosen model in int8, which are not trials of the study if nothing quantizes them."""
    evidence = view.evidence
    if evidence is None:
        return found
    more = []
    networks_in_float: dict[Which, ModelFacts | None] = {"base": evidence.base, "chosen": evidence.chosen}
    for name, about in networks_in_float.items():
        results = view.results(about.key) if about else None
        accuracy, needs = tested_accuracy(view, f"{name}_int8"), c_needs(view, name)
        if accuracy is None or results is None or needs.flash is None:
            continue
        costs = {"params": float(results.params), "macs": float(results.macs), "flash": float(needs.flash)}
        costs |= {} if needs.ram is None else {"ram": float(needs.ram)}
        network = Network(words(f"{name}_int8"), accuracy, costs, True, name == "chosen")
        found = [n for n in found if not _alike(n, network)]
        more.append(network)
    return [*found, *more]


def _alike(one: Network, other: Network) -> bool:
    """Whether two int8 networks are the same: ONNX Runtime and the reference may differ for a few images."""
    return one.int8 and one.costs == other.costs and abs(one.accuracy - other.accuracy) < 0.5


def _grid(found: Sequence[Network], words: Words) -> Grid:
    """The networks on the front over parameters, the largest first."""
    known = measured(found, "params")
    kept = front([(network.costs["params"], network.accuracy) for network in known])
    on = [known[index] for index in reversed(kept)]
    heads = (words("front.network"), words.column("accuracy"), words.column("params"), words.column("macs"))
    rows = tuple(
        (n.name + (f" · {words('chosen')}" if n.chosen else ""), f"{n.accuracy:.2f}", f"{n.costs['params']:,.0f}",
         f"{n.costs['macs']:,.0f}") for n in on
    )  # fmt: skip
    strong = frozenset(index for index, network in enumerate(on) if network.chosen)
    return Grid("table-front", words("front.table"), heads, rows, plain_csv(heads, rows), strong=strong,
                folded=len(rows) > 8)  # fmt: skip
