"""The report of a search: the answer, the front, the history, what each layer keeps, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import stdev

from niwaki.device.text import counted
from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series, Unit, to_csv
from niwaki.files import write_whole
from niwaki.reporting.document import Block, Document, Facts, Figure, Grid, Listing, Section, Text
from niwaki.reporting.page import to_html
from niwaki.search.answer import Figures
from niwaki.search.outcome import REPORT, Answer
from niwaki.search.tried import SearchNote, Tried, from_note, front
from niwaki.study.store import Store

COSTS = {"constants": "bytes", "ram": "bytes", "macs": "count", "flash": "bytes", "instructions": "count"}
"""What accuracy is drawn against, and the units."""
NAMES = {"ram": "RAM", "macs": "MACs"}
DEPTH = 20.0  # points below the best: lower ones would flatten the rest


def build_search_report(answer: Answer) -> Path:
    """Write `report.html` into the folder of a search and return its path. Raises StoreError if it cannot be read."""
    note = Store(answer.folder).load(SearchNote)
    tried = [from_note(one) for one in note.tried] if note is not None else []
    page = to_html(search_document(answer, tried, note.subject if note else ""))
    path = answer.folder / REPORT
    write_whole(path, page.encode())
    return path


def search_document(answer: Answer, tried: Sequence[Tried], subject: str) -> Document:
    """The report as data."""
    sections = (
        Section("answer", "The answer", tuple(_answer(answer))),
        Section("front", "Accuracy and cost", tuple(_fronts(answer, tried))),
        Section("history", "How the search went", tuple(_history(tried))),
        Section("layers", "What each layer keeps", (_layers(answer),)),
        Section("reasons", "Why this one", tuple(_reasons(answer))),
    )
    byline = f"{len(tried)} candidates of {subject}, {answer.seconds:,.0f} s"
    return Document("en", f"{subject} within {answer.fit}", byline, (), sections, (), "search")


def _answer(answer: Answer) -> Iterator[Block]:
    chosen, test = answer.chosen, answer.chosen.test
    on_test = f"{test.accuracy:.2f} % of the test images" if test else "no test images"
    yield Text(
        f"The integer network recognizes {chosen.validation.accuracy:.2f} % of the validation images, on which it was "
        f"chosen, and {on_test}.", "lead",
    )  # fmt: skip
    heads = ("", "chosen", "runner-up")
    both = [_facts(one) for one in (chosen, answer.runner_up)]
    rows = tuple((name, *(facts.get(name, "") for facts in both)) for name in both[0])
    yield Grid("chosen", "The chosen network and the runner-up", heads, rows, to_csv(heads, rows))
    verified = "all forms agree" if answer.verified else "forms disagree: see niwaki verify"
    yield Facts((("forms", f"chosen/: ONNX, int8 ONNX and C; {verified}"),))


def _facts(one: Figures | None) -> dict[str, str]:
    if one is None:
        return {}
    found = {"validation %": f"{one.validation.accuracy:.2f}", "test %": f"{one.test.accuracy:.2f}" if one.test else ""}
    found["constants"] = f"{one.footprint.constant_bytes:,}"
    found["RAM"] = f"{one.footprint.ram_bytes:,}"
    found["MACs"] = f"{one.tried.figures['macs']:,.0f}"
    found |= {name: f"{one.target[name]:,.0f}" for name in ("flash", "stack", "instructions") if name in one.target}
    found["trained"] = f"{counted(one.score.epochs, 'epoch')}, {one.score.way}"
    return found


def _fronts(answer: Answer, tried: Sequence[Tried]) -> Iterator[Block]:
    epochs = _compared(tried)
    yield Text(
        f"Every candidate after {counted(epochs, 'epoch')}, on validation images. The line joins those that no other "
        "one beats in both accuracy and cost."
    )
    for cost in (name for name in COSTS if any(name in one.figures for one in tried)):
        chart = _front(cost, answer, tried, epochs)
        if not chart.is_empty:
            yield Figure(chart)
    yield from _in_full(tried)


def _in_full(tried: Sequence[Tried]) -> Iterator[Block]:
    """The candidates that were trained longest: what other budgets give."""
    most = max((one.epochs for one in tried), default=0)
    longest = sorted((one for one in tried if one.epochs == most > 0), key=lambda one: one.figures["constants"])
    if len(longest) < 2:
        return
    heads = ("constants", "RAM", "MACs", "validation %", "± std", "seeds", "channels", "bits")
    rows = tuple(
        (
            *(f"{one.figures[name]:,.0f}" for name in ("constants", "ram", "macs")), f"{one.validation:.2f}",
            f"{stdev(score.validation for score in one.last):.2f}" if len(one.last) > 1 else "", str(len(one.last)),
            ", ".join(map(str, one.shape.widths.values())), ", ".join(map(str, one.shape.bits.values())),
        )
        for one in longest
    )  # fmt: skip
    yield Grid("full", f"Trained in full: {counted(most, 'epoch')}", heads, rows, to_csv(heads, rows))


def _compared(tried: Sequence[Tried]) -> int:
    """The most epochs for which at least three candidates, or all of them, were trained."""
    counts: dict[int, int] = {}
    for one in tried:
        for epochs in {score.epochs for score in one.scores}:
            counts[epochs] = counts.get(epochs, 0) + 1
    most = min(3, max(counts.values(), default=0))
    return max((epochs for epochs, count in counts.items() if count >= most), default=0)


def _front(cost: str, answer: Answer, tried: Sequence[Tried], epochs: int) -> Chart:
    chosen = answer.chosen.tried.shape.id
    able = [(one, at) for one in tried if cost in one.figures and (at := one.at(epochs)) is not None]
    best = max((at for _, at in able), default=0.0)
    points = tuple(_point(one, cost, at, chosen) for one, at in able if at >= best - DEPTH)
    line = tuple(_point(one, cost, one.at(epochs) or 0.0, chosen) for one in front(tried, cost, epochs))
    line = tuple(point for point in line if float(point.y) >= best - DEPTH)
    name = NAMES.get(cost, cost)
    unit: Unit = "bytes" if COSTS[cost] == "bytes" else "count"
    panel = Panel(
        Axis(name, "log", unit), Axis("validation %", unit="percent"),
        (Series("candidates", points, 0, joined=False), Series("front", line, 1)),
    )  # fmt: skip
    return Chart(
        f"front-{cost}", "lines", f"Accuracy against {name}", f"Candidates after {counted(epochs, 'epoch')}.",
        f"Validation accuracy of {len(points)} candidates against {name}.", (panel,),
    )  # fmt: skip


def _point(one: Tried, cost: str, accuracy: float, chosen: str) -> Point:
    widths = ", ".join(str(width) for width in one.shape.widths.values())
    tip = f"{accuracy:.2f} %\n{one.figures[cost]:,.0f} {NAMES.get(cost, cost)}\nchannels {widths}\n"
    return Point(max(one.figures[cost], 1.0), accuracy, tip, chosen=one.shape.id == chosen)


def _history(tried: Sequence[Tried]) -> Iterator[Block]:
    first = min((score.epochs for one in tried for score in one.scores), default=0)
    values = [(number, at, one) for number, one in enumerate(tried, 1) if (at := one.at(first)) is not None]
    if not values:
        return
    best = 0.0
    points, steps = [], []
    for number, at, one in values:
        best = max(best, at)
        points.append(Point(float(number), at, f"candidate {number}\n{at:.2f} %\n{one.shape.id}\n"))
        steps.append(Point(float(number), best, f"best of {number}\n{best:.2f} %\n"))
    panel = Panel(
        Axis("candidate", unit="count"), Axis("validation %", unit="percent"),
        (Series("candidates", tuple(points), 0, joined=False), Series("best so far", tuple(steps), 1, stepped=True)),
    )  # fmt: skip
    yield Figure(
        Chart("history", "lines", "The candidates in their order", f"After {counted(first, 'epoch')}, the first rung.",
              f"Validation accuracy of {len(points)} candidates in the order in which they were tried.", (panel,))
    )  # fmt: skip
    failed = [f"{one.shape.id}: {one.reason}" for one in tried if one.reason]
    if failed:
        yield Listing("Candidates without a result", tuple(failed))


def _layers(answer: Answer) -> Grid:
    shape = answer.chosen.tried.shape
    heads = ("layer", "channels", "bits", "bytes")
    sizes = answer.chosen.footprint.layer_bytes
    rows = tuple(
        (layer, str(shape.widths.get(layer, "")), str(bits), f"{sizes.get(layer, 0):,}")
        for layer, bits in shape.bits.items()
    )
    notes = ("A layer without a number has those of the group that it is tied to, or is the output.",)
    return Grid("layers", "Channels, bits and bytes of each layer", heads, rows, to_csv(heads, rows), notes=notes)


def _reasons(answer: Answer) -> Iterator[Block]:
    if answer.binding:
        yield Listing("The budget", answer.binding)
    if answer.notes:
        yield Listing("Remarks", answer.notes)
