"""The report of a search: the answer, the front, the history, what each layer keeps, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import stdev

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series, Unit, to_csv
from niwaki.files import write_whole
from niwaki.reporting.document import Block, Document, Facts, Figure, Grid, Listing, Section, Text
from niwaki.reporting.page import to_html
from niwaki.reporting.words import Language, Words, words_in
from niwaki.search.answer import Figures
from niwaki.search.outcome import REPORT, Answer
from niwaki.search.remarks import Remark
from niwaki.search.tried import SearchNote, Tried, from_note, front
from niwaki.study.store import Store

COSTS = {"constants": "bytes", "ram": "bytes", "macs": "count", "flash": "bytes", "instructions": "count"}
"""What accuracy is drawn against, and the units."""
DEPTH = 20.0  # points below the best: lower ones would flatten the rest


def build_search_report(answer: Answer, language: Language = "en") -> Path:
    """Write `report.html` into the folder of a search and return its path.

    Raises StoreError if the search cannot be read, SpecError for an unknown language.
    """
    words = words_in(language)
    note = Store(answer.folder).load(SearchNote)
    tried = [from_note(one) for one in note.tried] if note is not None else []
    page = to_html(search_document(answer, tried, note.subject if note else "", words))
    path = answer.folder / REPORT
    write_whole(path, page.encode())
    return path


def search_document(answer: Answer, tried: Sequence[Tried], subject: str, words: Words) -> Document:
    """The report as data."""
    sections = (
        Section("answer", words("answer.heading"), tuple(_answer(answer, words))),
        Section("front", words("search.front"), tuple(_fronts(answer, tried, words))),
        Section("history", words("search.history"), tuple(_history(tried, words))),
        Section("layers", words("search.layers"), (_layers(answer, words),)),
        Section("reasons", words("search.reasons"), tuple(_reasons(answer, words))),
    )
    byline = words("search.byline", count=len(tried), subject=subject, seconds=f"{answer.seconds:,.0f}")
    title = words("search.title", subject=subject, fit=answer.fit)
    return Document(words.language, title, byline, (), sections, (), "search")


def _answer(answer: Answer, words: Words) -> Iterator[Block]:
    chosen, test = answer.chosen, answer.chosen.test
    percent = f"{chosen.validation.accuracy:.2f}"
    yield Text(
        words("search.lead", validation=percent, test=f"{test.accuracy:.2f}") if test
        else words("search.lead.untested", validation=percent),
        "lead",
    )  # fmt: skip
    heads = ("", words("search.chosen"), words("search.runner_up"))
    both = [_facts(one, words) for one in (chosen, answer.runner_up)]
    rows = tuple((name, *(facts.get(name, "") for facts in both)) for name in both[0])
    yield Grid("chosen", words("search.both"), heads, rows, to_csv(heads, rows))
    verified = words("search.forms.agree" if answer.verified else "search.forms.disagree")
    yield Facts(((words("search.forms"), verified),))


def _facts(one: Figures | None, words: Words) -> dict[str, str]:
    if one is None:
        return {}
    found = {
        words("search.validation"): f"{one.validation.accuracy:.2f}",
        words("search.test"): f"{one.test.accuracy:.2f}" if one.test else "",
        words("search.cost.constants"): f"{one.footprint.constant_bytes:,}",
        words("search.cost.ram"): f"{one.footprint.ram_bytes:,}",
        words("search.cost.macs"): f"{one.tried.figures['macs']:,.0f}",
    }
    for name in ("flash", "stack", "instructions"):
        if name in one.target:
            said_as = words(f"search.cost.{name}")
            said_as = words("search.cost.estimated", cost=said_as) if name in one.estimated else said_as
            found[said_as] = f"{one.target[name]:,.0f}"
    if one.latency is not None:
        found[words("search.latency.here")] = f"{one.latency:,.1f}"
    way = ", ".join(words.name(part) for part in one.score.way.split(", "))
    found[words("search.trained")] = words("search.trained.as", epochs=words.count("epochs", one.score.epochs), way=way)
    return found


def _fronts(answer: Answer, tried: Sequence[Tried], words: Words) -> Iterator[Block]:
    epochs = _compared(tried)
    yield Text(words("search.front.lead", epochs=words.count("epochs", epochs)))
    for cost in (name for name in COSTS if any(name in one.figures for one in tried)):
        chart = _front(cost, answer, tried, epochs, words)
        if not chart.is_empty:
            yield Figure(chart)
    yield from _in_full(tried, words)


def _in_full(tried: Sequence[Tried], words: Words) -> Iterator[Block]:
    """The candidates that were trained longer than all others: what other budgets give."""
    most = max((one.epochs for one in tried), default=0)
    least = min(_compared(tried) + 1, most)
    longest = sorted((one for one in tried if one.epochs >= least > 0), key=lambda one: one.figures["constants"])
    if len(longest) < 2:
        return
    names = "cost.constants", "cost.ram", "cost.macs", "epochs", "validation", "std", "seeds", "channels", "bits"
    heads = tuple(words(f"search.{name}") for name in names)
    rows = tuple(
        (
            *(f"{one.figures[name]:,.0f}" for name in ("constants", "ram", "macs")), str(one.epochs),
            f"{one.validation:.2f}",
            f"{stdev(score.validation for score in one.last):.2f}" if len(one.last) > 1 else "", str(len(one.last)),
            ", ".join(map(str, one.shape.widths.values())), ", ".join(map(str, one.shape.bits.values())),
        )
        for one in longest
    )  # fmt: skip
    yield Grid("full", words("search.full"), heads, rows, to_csv(heads, rows))


def _compared(tried: Sequence[Tried]) -> int:
    """The most epochs for which at least three candidates, or all of them, were trained."""
    counts: dict[int, int] = {}
    for one in tried:
        for epochs in {score.epochs for score in one.scores}:
            counts[epochs] = counts.get(epochs, 0) + 1
    most = min(3, max(counts.values(), default=0))
    return max((epochs for epochs, count in counts.items() if count >= most), default=0)


def _front(cost: str, answer: Answer, tried: Sequence[Tried], epochs: int, words: Words) -> Chart:
    chosen = answer.chosen.tried.shape.id
    able = [(one, at) for one in tried if cost in one.figures and (at := one.at(epochs)) is not None]
    best = max((at for _, at in able), default=0.0)
    points = tuple(_point(one, cost, at, chosen, words) for one, at in able if at >= best - DEPTH)
    line = tuple(_point(one, cost, one.at(epochs) or 0.0, chosen, words) for one in front(tried, cost, epochs))
    line = tuple(point for point in line if float(point.y) >= best - DEPTH)
    name = words(f"search.cost.{cost}")
    unit: Unit = "bytes" if COSTS[cost] == "bytes" else "count"
    panel = Panel(
        Axis(name, "log", unit), Axis(words("search.validation"), unit="percent"),
        (
            Series(words("search.candidates"), points, 0, joined=False),
            Series(words("search.front.line"), line, 1),
        ),
    )  # fmt: skip
    return Chart(
        f"front-{cost}", "lines", words("search.front.title", cost=name),
        words("search.front.after", epochs=words.count("epochs", epochs)),
        words("search.front.alt", count=len(points), cost=name), (panel,),
    )  # fmt: skip


def _point(one: Tried, cost: str, accuracy: float, chosen: str, words: Words) -> Point:
    widths = ", ".join(str(width) for width in one.shape.widths.values())
    name = words(f"search.cost.{cost}")
    tip = f"{accuracy:.2f} %\n{one.figures[cost]:,.0f} {name}\n{words('search.channels')} {widths}\n"
    return Point(max(one.figures[cost], 1.0), accuracy, tip, chosen=one.shape.id == chosen)


def _history(tried: Sequence[Tried], words: Words) -> Iterator[Block]:
    first = min((score.epochs for one in tried for score in one.scores), default=0)
    values = [(number, at, one) for number, one in enumerate(tried, 1) if (at := one.at(first)) is not None]
    if not values:
        return
    best = 0.0
    points, steps = [], []
    for number, at, one in values:
        best = max(best, at)
        points.append(
            Point(float(number), at, f"{words('search.candidate.number', number=number)}\n{at:.2f} %\n{one.shape.id}\n")
        )
        steps.append(Point(float(number), best, f"{words('search.best.of', number=number)}\n{best:.2f} %\n"))
    panel = Panel(
        Axis(words("search.candidate"), unit="count"), Axis(words("search.validation"), unit="percent"),
        (
            Series(words("search.candidates"), tuple(points), 0, joined=False),
            Series(words("search.best"), tuple(steps), 1, stepped=True),
        ),
    )  # fmt: skip
    yield Figure(
        Chart("history", "lines", words("search.order"),
              words("search.order.after", epochs=words.count("epochs", first)),
              words("search.order.alt", count=len(points)), (panel,))
    )  # fmt: skip
    failed = [f"{one.shape.id}: {one.reason}" for one in tried if one.reason]
    if failed:
        yield Listing(words("search.failed"), tuple(failed))


def _layers(answer: Answer, words: Words) -> Grid:
    shape = answer.chosen.tried.shape
    heads = tuple(words(f"search.{key}") for key in ("layer", "channels", "bits", "bytes"))
    sizes = answer.chosen.footprint.layer_bytes
    rows = tuple(
        (layer, str(shape.widths.get(layer, "")), str(bits), f"{sizes.get(layer, 0):,}")
        for layer, bits in shape.bits.items()
    )
    notes = (words("search.layers.note"),)
    return Grid("layers", words("search.layers.table"), heads, rows, to_csv(heads, rows), notes=notes)


def _reasons(answer: Answer, words: Words) -> Iterator[Block]:
    if answer.binding:
        yield Listing(words("search.budget"), tuple(said(line, words) for line in answer.binding))
    if answer.notes:
        yield Listing(words("search.remarks"), tuple(said(line, words) for line in answer.notes))


def said(remark: Remark, words: Words) -> str:
    """A remark in the language of the report; values that are keys themselves, too."""
    values = {
        name: words(value) if isinstance(value, str) and value.startswith("search.") else value
        for name, value in remark.values.items()
    }
    return words(remark.key, **values)
