"""Two studies as one document: what they chose, which settings differ, and their results side by side."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series
from niwaki.errors import step
from niwaki.reporting.charts.classes import last_of
from niwaki.reporting.chosen import CNeeds, c_needs, chosen_rows
from niwaki.reporting.columns import figure_text, row_name, shown_value, signed
from niwaki.reporting.comparison import UNKNOWN, Both, Side, differing, is_beyond_noise, shared, sides
from niwaki.reporting.document import Block, Code, Document, Figure, Grid, Listing, Section, Text
from niwaki.reporting.sections.classes import confusions
from niwaki.reporting.sections.tables import plain_csv
from niwaki.reporting.tables import Table
from niwaki.reporting.view import View
from niwaki.reporting.words import Words

LONG = 16  # rows: a longer table is shown on demand


@step("comparing two studies")
def compare(first: View, second: View, words: Words) -> Document:
    """The content of a comparison of two studies, finished or not."""
    pair = sides(first, second, words)
    sections = (
        _answer(pair, words),
        _settings(pair, words),
        Section("experiments", words("compare.results"), tuple(_results(pair, words))),
        Section("classes", words("compare.classes"), tuple(_classes(pair, words))),
    )
    title = words("compare.title", first=_title(first, words), second=_title(second, words))
    byline = words("compare.byline", first=pair[0].name, second=pair[1].name)
    return Document(words.language, title, byline, tuple(_warnings(pair, words)), sections, _footer(pair, words))


def _title(view: View, words: Words) -> str:
    return words.name(view.spec.title) or view.folder.resolve().name


def _warnings(pair: Sequence[Side], words: Words) -> Iterator[str]:
    for side in pair:
        missing = len(side.view.stages) - len(side.view.records)
        if missing > 0:
            yield words("compare.unfinished", name=side.name, missing=missing, of=len(side.view.stages))
        if side.view.data.synthetic:
            yield words("compare.synthetic", name=side.name)
    if pair[0].view.data.fingerprint != pair[1].view.data.fingerprint:
        yield words("compare.other_data")


def _footer(pair: Sequence[Side], words: Words) -> tuple[Block, ...]:
    folders = " ".join(shlex.quote(str(side.view.folder)) for side in pair)
    return Text(words("compare.made", version=version("niwaki"))), Code(f"niwaki report {folders}")


# What was chosen -----------------------------------------------------------------------------------------------------


def _answer(pair: tuple[Side, Side], words: Words) -> Section:
    cells = [_chosen(side, words) for side in pair]
    names = list(dict.fromkeys(name for column in cells for name in column))
    heads = (words("answer.measure"), *(side.name for side in pair))
    rows = tuple((name, *(column.get(name, UNKNOWN) for column in cells)) for name in names)
    grid = Grid("table-answer-both", words("compare.chosen"), heads, rows, plain_csv(heads, rows))
    reasons = tuple(f"{side.name}: {side.view.choice.reason}" for side in pair if side.view.choice)
    blocks: list[Block] = [Text(words("compare.lead"), "lead"), grid]
    if reasons:
        blocks.append(Listing(words("compare.reasons"), reasons))
    return Section("answer", words("answer.heading"), tuple(blocks))


def _chosen(side: Side, words: Words) -> dict[str, str]:
    """The measures of the base and of the chosen model of one study."""
    found = chosen_rows(side.view, side.tables)
    if found is None:
        return {words("compare.value"): words("compare.none")}
    final, int8 = found.final.figures, found.int8.figures if found.int8 else {}
    shown = {
        words("compare.value"): shown_value(found.table, found.final),
        words("compare.base", of=words.column("accuracy")): figure_text(found.base.figures.get("accuracy"), 2),
        words.column("accuracy"): figure_text(final.get("accuracy"), 2),
        words("compare.int8", of=words.column("accuracy")): figure_text(int8.get("accuracy"), 2),
        words.column("params"): figure_text(final.get("params"), 0),
        words.column("macs"): figure_text(final.get("macs"), 0),
        words.column("bytes"): figure_text(final.get("bytes"), 0),
    }
    return shown | _needs(c_needs(side.view, "chosen"), words)


def _needs(needs: CNeeds, words: Words) -> dict[str, str]:
    named = {"flash": needs.flash, "ram": needs.ram}
    return {words.column(name): f"{value:,}" for name, value in named.items() if value is not None}


# Settings ------------------------------------------------------------------------------------------------------------


def _settings(pair: tuple[Side, Side], words: Words) -> Section:
    rows = tuple(differing(pair[0].view, pair[1].view))
    if not rows:
        return Section("settings", words("compare.settings"), (Text(words("compare.settings.alike"), "finding"),))
    heads = (words("compare.setting"), *(side.name for side in pair))
    grid = Grid("table-settings", words("compare.settings"), heads, rows, plain_csv(heads, rows),
                frozenset({0, 1, 2}), folded=len(rows) > LONG)  # fmt: skip
    return Section("settings", words("compare.settings"), (Text(words("compare.settings.lead"), "lead"), grid))


# Results -------------------------------------------------------------------------------------------------------------


def _results(pair: tuple[Side, Side], words: Words) -> Iterator[Block | Section]:
    first, second = ({table.name: table for table in side.tables} for side in pair)
    for name, table in first.items():
        rows = shared(table, second[name]) if name in second else []
        if rows:
            yield _experiment(pair, table, rows, words)
    alone = [f"{side.name}: {words.name(table.title)}" for side, other in ((pair[0], second), (pair[1], first))
             for table in side.tables if not _is_shared(table, other)]  # fmt: skip
    if alone:
        yield Listing(words("compare.alone"), tuple(alone))


def _is_shared(table: Table, other: dict[str, Table]) -> bool:
    return table.name in other and bool(shared(table, other[table.name]))


def _experiment(pair: tuple[Side, Side], table: Table, rows: Sequence[Both], words: Words) -> Section:
    known = [row for row in rows if row.gap("accuracy") is not None]
    beyond = sum(is_beyond_noise(pair[0].view, pair[1].view, row) for row in known)
    blocks: list[Block] = [Text(words("compare.beyond", beyond=beyond, of=len(known)), "finding")] if known else []
    if known:
        blocks.append(Figure(_chart(pair, table, known, words)))
    blocks.append(_grid(pair, table, rows, words))
    return Section(f"experiment-{table.name}", words.name(table.title), tuple(blocks))


def _chart(pair: tuple[Side, Side], table: Table, rows: Sequence[Both], words: Words) -> Chart:
    names = tuple(row_name(table, row.first, words) for row in rows)
    series = []
    for look, side in enumerate(pair):
        points = []
        for name, row in zip(names, rows, strict=True):
            figure = row.figures("accuracy")[look]
            assert figure is not None
            spread = (figure.mean - figure.std, figure.mean + figure.std) if figure.std else (None, None)
            points.append(Point(figure.mean, name, f"{side.name}\n{name}: {figure_text(figure, 2)} %", *spread))
        series.append(Series(side.name, tuple(points), look, joined=False))
    title = words("chart.accuracy", title=words.name(table.title))
    described = words("chart.described", title=title, panels=", ".join(side.name for side in pair))
    panel = Panel(Axis(words.column("accuracy"), unit="percent"), Axis("", "category", categories=names),
                  tuple(series))  # fmt: skip
    return Chart(f"figure-{table.name}-both", "dots", title, "", described, (panel,))


def _grid(pair: tuple[Side, Side], table: Table, rows: Sequence[Both], words: Words) -> Grid:
    accuracy, params = words.column("accuracy"), words.column("params")
    heads = (
        words("compare.row"), *(f"{accuracy}, {side.letter}" for side in pair), words("compare.gap"),
        *(f"{params}, {side.letter}" for side in pair),
    )  # fmt: skip
    cells = tuple(_cells(pair, table, row, words) for row in rows)
    return Grid(f"table-{table.name}-both", words.name(table.title), heads, cells, plain_csv(heads, cells),
                notes=(words("compare.noise"),), folded=len(cells) > LONG)  # fmt: skip


def _cells(pair: tuple[Side, Side], table: Table, row: Both, words: Words) -> tuple[str, ...]:
    gap = row.gap("accuracy")
    said = UNKNOWN if gap is None else signed(gap)
    if gap is not None and not is_beyond_noise(pair[0].view, pair[1].view, row):
        said = f"≈ {said}"
    return (
        row_name(table, row.first, words), *(figure_text(figure, 2) for figure in row.figures("accuracy")), said,
        *(figure_text(figure, 0) for figure in row.figures("params")),
    )  # fmt: skip


# Classes -------------------------------------------------------------------------------------------------------------


def _classes(pair: tuple[Side, Side], words: Words) -> Iterator[Block]:
    found = [confusions(side.view) for side in pair]
    labels = [side.view.data.labels for side in pair]
    if labels[0] != labels[1]:
        yield Text(words("compare.other_classes"), "warning")
        return
    if not all("base" in confusion for confusion in found):
        yield Text(words("classes.none"), "warning")
        return
    networks = [last_of(confusion) for confusion in found]
    recalls = [[_recall(row, index) for index, row in enumerate(confusion[network])]
               for confusion, network in zip(found, networks, strict=True)]  # fmt: skip
    shown = [f"{side.name}, {words(network)}" for side, network in zip(pair, networks, strict=True)]
    heads = (words("classes.class"), *(f"{name} (%)" for name in shown), words("compare.gap"))
    rows = tuple(
        (words.name(label), _percent(one), _percent(other),
         UNKNOWN if one is None or other is None else signed(other - one, 1))
        for label, one, other in zip(labels[0], *recalls, strict=True)
    )  # fmt: skip
    yield Grid("table-classes-both", words("classes.table"), heads, rows, plain_csv(heads, rows))


def _recall(row: Sequence[int], index: int) -> float | None:
    return 100 * row[index] / sum(row) if sum(row) else None


def _percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"
