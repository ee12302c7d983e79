"""The answer of a study: the chosen model against the base, and why it was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niwaki.reporting.chosen import Chosen, c_needs, chosen_rows, tested_accuracy
from niwaki.reporting.columns import figure_text, shown_value, signed
from niwaki.reporting.longer import longer_of, of_the_chosen
from niwaki.reporting.reasons import no_choice, reason, refused
from niwaki.reporting.tables import Figure, Table
from niwaki.reporting.times import COLUMNS
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.result_files import FormTime

NETWORKS = ("base", "base_int8", "chosen", "chosen_int8")
FASTER = {"torch": ("torch", "torch"), "ort": ("onnx", "ONNX Runtime"), "c": ("c", "C")}


@dataclass(frozen=True)
class Line:
    """One measure: a text for each of `NETWORKS`, and how many times less the chosen network needs than the base.

    `points` is a difference instead, if a ratio would be meaningless (accuracy).
    """

    name: str
    cells: tuple[str, str, str, str]
    ratio: float | None = None
    points: float | None = None

    @property
    def loss(self) -> bool:
        """Whether the chosen network is worse than the base here: less accurate, or needing more."""
        return (self.points is not None and self.points < 0) or (
            self.ratio is not None and float(times_text(self.ratio)) < 1
        )


@dataclass(frozen=True)
class Headline:
    """A large figure of the answer: what it is, what it was, and the gain."""

    name: str
    was: str
    now: str
    gain: str
    loss: bool = False


@dataclass(frozen=True)
class Answer:
    """`lines` is empty if nothing was chosen; `reason` then says why."""

    lines: tuple[Line, ...]
    reason: str
    headlines: tuple[Headline, ...]
    value: str = ""


def answer(view: View, tables: Sequence[Table], words: Words) -> Answer:
    """The study's answer."""
    found = chosen_rows(view, tables)
    if found is None or view.spec.select is None:
        return Answer((), no_choice(view, tables, words), ())
    lines = tuple(line for line in _lines(view, found, words) if any(line.cells))
    longer = of_the_chosen(
        longer_of(view, tables), found.base.figures.get("accuracy"), _accuracy(view, found, words).points, words
    )
    said = " ".join([reason(found, view.spec.select, words), *longer, *refused(view, found.table, words)])
    return Answer(lines, said, tuple(_headlines(lines, words)), shown_value(found.table, found.final))


def _lines(view: View, found: Chosen, words: Words) -> list[Line]:
    lines = [_accuracy(view, found, words), _measure("params", found, words), _measure("macs", found, words)]
    lines.append(_bytes(view, found, words))
    lines += [_need(view, name, words) for name in ("flash", "ram", "board_flash", "board_ram", "board_stack")]
    lines += [_time(view, name, words) for name in FASTER]
    if view.bench is None or not view.bench.rows:
        lines.append(_study_time(found, words))
    return lines


def _accuracy(view: View, found: Chosen, words: Words) -> Line:
    base, final = found.base.figures.get("accuracy"), found.final.figures.get("accuracy")
    of = found.int8 or found.alike
    int8 = of.figures.get("accuracy") if of else None
    int8_text = figure_text(int8, 2) if int8 else _tested(view, "chosen_int8")
    cells = (figure_text(base, 2), _tested(view, "base_int8"), figure_text(final, 2), int8_text)
    last = int8.mean if int8 else tested_accuracy(view, "chosen_int8")
    if last is None and final:
        last = final.mean
    points = None if last is None or base is None else round(last, 2) - round(base.mean, 2)  # of what is shown
    return Line(words.column("accuracy"), cells, points=points)


def _tested(view: View, name: str) -> str:
    accuracy = tested_accuracy(view, name)
    return "" if accuracy is None else f"{accuracy:.2f}"


def _measure(name: str, found: Chosen, words: Words) -> Line:
    base, final = found.base.figures.get(name), found.final.figures.get(name)
    was, now = figure_text(base, 0), figure_text(final, 0)
    return Line(words.column(name), (was, was, now, now), _ratio(base, final))


def _bytes(view: View, found: Chosen, words: Words) -> Line:
    """Weights: for float from its records, for int8 the constants of the int8 network."""
    base, final = found.base.figures.get("bytes"), found.final.figures.get("bytes")
    was, smallest = c_needs(view, "base").flash, c_needs(view, "chosen").flash
    int8 = [f"{value:,}" if value else "" for value in (was, smallest)]
    ratio = base.mean / smallest if base and smallest else _ratio(base, final)
    cells = (figure_text(base, 0), int8[0], figure_text(final, 0), int8[1])
    return Line(words("answer.constants"), cells, ratio)


def _need(view: View, name: str, words: Words) -> Line:
    base, chosen = c_needs(view, "base"), c_needs(view, "chosen")
    same_ram = all(needs.board_ram in (None, needs.ram) for needs in (base, chosen))
    if name == "flash" or (name == "board_ram" and same_ram):  # another line shows it already
        return Line("", ("", "", "", ""))
    was, now = getattr(base, name), getattr(chosen, name)
    cells = ("", f"{was:,}" if was else "", "", f"{now:,}" if now else "")
    return Line(words(f"answer.{name}"), cells, was / now if was and now else None)


def _time(view: View, name: str, words: Words) -> Line:
    """The median time of one image in one runtime: for C and ONNX Runtime also in int8."""
    form, runtime = FASTER[name]
    rows = view.bench.rows if view.bench else ()
    is_c = name == "c"
    by: dict[tuple[str, str], FormTime] = {(row.file, row.form): row for row in rows if row.runtime == runtime}
    floats = [None if is_c else by.get((file, form)) for file in ("base", "chosen")]
    int8 = [by.get((file, form if is_c else "onnx-int8")) for file in ("base", "chosen")]
    cells = (_us(floats[0]), _us(int8[0]), _us(floats[1]), _us(int8[1]))
    first, last = (int8[0], int8[1]) if is_c else (floats[0], floats[1])
    ratio = first.median_us / last.median_us if first and last else None
    return Line(words(f"answer.time.{name}"), cells, ratio)


def _us(row: FormTime | None) -> str:
    return "" if row is None else f"{row.median_us:,.1f}"


def _study_time(found: Chosen, words: Words) -> Line:
    """If the forms were not timed: the times in the study's tables."""
    name = next((column for column in COLUMNS if column in found.final.figures), "latency_1")
    base, final = found.base.figures.get(name), found.final.figures.get(name)
    cells = (figure_text(base, 1) if base else "", "", figure_text(final, 1) if final else "", "")
    return Line(words.column(name), cells, _ratio(base, final))


def _ratio(base: Figure | None, final: Figure | None) -> float | None:
    return base.mean / final.mean if base and final and final.mean else None


def _headlines(lines: Sequence[Line], words: Words) -> list[Headline]:
    """Accuracy, parameters, bytes and time, in large figures."""
    by = {line.name: line for line in lines}
    found = []
    accuracy = by.get(words.column("accuracy"))
    if accuracy is not None and accuracy.points is not None:
        now, _, spread = (accuracy.cells[3] or accuracy.cells[2]).partition(" ± ")
        name = words("headline.accuracy") + (f" (± {spread})" if spread else "")  # in large, it would take two places
        gain = words("headline.points", points=signed(accuracy.points))
        found.append(Headline(name, f"{accuracy.cells[0]} %", f"{now} %", gain, loss=accuracy.loss))
    for key, name in (("params", words.column("params")), ("constants", words("answer.constants")),
                      ("time", words("answer.time.c"))):  # fmt: skip
        line = by.get(name)
        if line is None or line.ratio is None:
            continue
        was = line.cells[0] or line.cells[1]
        now = line.cells[3] or line.cells[2]
        text = words("headline.us", value=now) if key == "time" else now.split(" ")[0]
        gain = _gain(line.ratio, "time" if key == "time" else "count", line.loss, words)
        found.append(Headline(words(f"headline.{key}"), was.split(" ")[0], text, gain, line.loss))
    return found


def _gain(ratio: float, of: str, loss: bool, words: Words) -> str:
    """How many times less the chosen model needs, or how many times more if that is a loss."""
    return words(f"headline.{of}.{'loss' if loss else 'gain'}", ratio=times_text(1 / ratio if loss else ratio))


def times_text(ratio: float) -> str:
    """A factor with a sensible number of digits.

    >>> times_text(24.81), times_text(6.45)
    ('25', '6.5')
    """
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
