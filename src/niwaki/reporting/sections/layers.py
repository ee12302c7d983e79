"""The base and the chosen model layer by layer: what is left of each, and its numbers on the int8 grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from niwaki.reporting.charts.layers import MEASURES, Pair, codes_charts, layer_name, layers_chart, pairs_of
from niwaki.reporting.charts.sensitivity import sensitivity_chart
from niwaki.reporting.chosen import Which, base_key, c_layers
from niwaki.reporting.document import Block, Figure, Grid, Section, Text
from niwaki.reporting.sections.tables import plain_csv
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.records import float_record

FOLDED = 16  # layers: a longer table is shown on demand


def layers_section(view: View, words: Words) -> Section:
    """From the evidence; for a study without it, the channels in its records."""
    heading = words("layers.heading")
    pairs = pairs_of(view.evidence.layers) if view.evidence else []
    if not pairs:
        widths = _widths(view)
        grid = [_widths_grid(widths, words)] if widths.get("base") else []
        return Section("layers", heading, (Text(words("layers.none"), "warning"), *grid))
    chosen = any(pair.chosen for pair in pairs)
    blocks: list[Block] = [Text(words("layers.lead" if chosen else "layers.lead.base"), "lead")]
    stored = _stored(view, pairs, ("base", "chosen") if chosen else ("base",))
    blocks += [Figure(layers_chart(pairs, words)), _grid(pairs, stored, chosen, words)]
    assert view.evidence is not None
    if view.evidence.sensitivity is not None:
        blocks.append(Figure(sensitivity_chart(view.evidence.sensitivity, words)))
    blocks += [Figure(chart) for chart in codes_charts(view.evidence.codes, words)]
    return Section("layers", heading, tuple(blocks))


def _stored(view: View, pairs: Sequence[Pair], networks: Sequence[Which]) -> dict[str, dict[str, int]]:
    """Bytes in the C by layer, for networks with known ones; the empty name has what belongs to none of `pairs`."""
    names = {pair.base.name for pair in pairs}
    found: dict[str, dict[str, int]] = {}
    for network in networks:
        if (layers := c_layers(view, network)) is not None:
            found[network] = {}
            for node, size in layers.items():
                name = layer_name(node) if layer_name(node) in names else ""
                found[network][name] = found[network].get(name, 0) + size
    return found


def _grid(pairs: Sequence[Pair], stored: Mapping[str, Mapping[str, int]], chosen: bool, words: Words) -> Grid:
    heads = [words("layers.layer"), words("layers.kind")]
    for measure in MEASURES:
        name = words.column(f"layer.{measure}")
        heads += [f"{name}, {words('base')}", f"{name}, {words('chosen')}"] if chosen else [name]
    in_c = words.column("layer.c")
    heads += [f"{in_c}, {words(network)}" if chosen else in_c for network in stored]
    rows = [(*_row(pair, chosen), *_of_c(stored, pair.base.name)) for pair in pairs]
    if any("" in sizes for sizes in stored.values()):
        blanks = ["–"] * (len(heads) - 2 - len(stored))
        rows.append((words("layers.rest"), "–", *blanks, *_of_c(stored, "")))
    notes = [words("layers.note")]
    if stored:
        sums = " → ".join(f"{sum(sizes.values()):,}" for sizes in stored.values())
        notes.append(words("layers.note.c", sums=sums))
    return Grid("table-layers", words("layers.table"), tuple(heads), tuple(rows), plain_csv(heads, rows),
                frozenset({0, 1}), tuple(notes), folded=len(rows) > FOLDED)  # fmt: skip


def _of_c(stored: Mapping[str, Mapping[str, int]], name: str) -> tuple[str, ...]:
    return tuple(f"{sizes[name]:,}" if name in sizes else "–" for sizes in stored.values())


def _row(pair: Pair, chosen: bool) -> tuple[str, ...]:
    cells = [pair.base.name, pair.base.kind]
    for measure in MEASURES:
        cells.append(f"{getattr(pair.base, measure):,}")
        if chosen:
            cells.append("–" if pair.chosen is None else f"{getattr(pair.chosen, measure):,}")
    return tuple(cells)


def _widths(view: View) -> dict[str, Mapping[str, int]]:
    found: dict[str, Mapping[str, int]] = {}
    base = view.results(base_key(view) or "")
    if base is not None:
        found["base"] = base.widths
    key = view.choice.key if view.choice else None
    chosen = float_record(view.records, key).results if key is not None and key in view.records else None
    if chosen is not None:
        found["chosen"] = chosen.widths
    return found


def _widths_grid(widths: Mapping[str, Mapping[str, int]], words: Words) -> Grid:
    name = words.column("layer.channels")
    heads = (words("layers.layer"), *(f"{name}, {words(network)}" for network in widths))
    rows = tuple(
        (layer, *(f"{of[layer]:,}" if layer in of else "–" for of in widths.values())) for layer in widths["base"]
    )
    return Grid("table-layers", words("layers.table"), heads, rows, plain_csv(heads, rows), folded=len(rows) > FOLDED)
