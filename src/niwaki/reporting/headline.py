"""The answer of a study: the chosen model against the base, and why it was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from niwaki.reporting.columns import figure_text, shown_value, signed
from niwaki.reporting.longer import longer_of, of_the_chosen
from niwaki.reporting.tables import Figure, Row, Table
from niwaki.reporting.times import COLUMNS
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.budget import Budget
from niwaki.study.losses import Loss
from niwaki.study.records import float_record
from niwaki.study.select import judge, latencies
from niwaki.study.spec import SelectSpec

NETWORKS = ("base", "base_int8", "chosen", "chosen_int8")
FASTER = {"torch": ("torch", "torch"), "ort": ("onnx", "ONNX Runtime"), "c": ("c", "C")}


@dataclass(frozen=True)
class Line:
    """One measure: a text for each of `NETWORKS`, and how many times less the chosen network needs than the base.

    `points` is a difference instead, where a ratio would say nothing (accuracy).
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
    """A figure of the answer in large: what it is, what it was, and the gain."""

    name: str
    was: str
    now: str
    gain: str
    loss: bool = False


@dataclass(frozen=True)
class Answer:
    """`lines` is empty where nothing was chosen; `reason` says then why."""

    lines: tuple[Line, ...]
    reason: str
    headlines: tuple[Headline, ...]
    value: str = ""


@dataclass(frozen=True)
class Chosen:
    """The rows of the experiment that the choice was made in."""

    table: Table
    base: Row
    final: Row  # in float
    int8: Row | None
    alike: Row | None = None
    """With several seeds: the row of another experiment with the int8 network of the same C, over all of them."""


def answer(view: View, tables: Sequence[Table], words: Words) -> Answer:
    """What the study answers."""
    found = chosen_rows(view, tables)
    if found is None or view.spec.select is None:
        return Answer((), _no_choice(view, tables, words), ())
    lines = tuple(line for line in _lines(view, found, words) if any(line.cells))
    longer = of_the_chosen(
        longer_of(view, tables), found.base.figures.get("accuracy"), _accuracy(view, found, words).points, words
    )
    reason = " ".join([_reason(found, view.spec.select, words), *longer, *_refused(view, found.table, words)])
    return Answer(lines, reason, tuple(_headlines(lines, words)), shown_value(found.table, found.final))


def chosen_rows(view: View, tables: Sequence[Table]) -> Chosen | None:
    """The base, the chosen network in float and, if the experiment quantizes, in int8; None without a choice."""
    if view.spec.select is None or view.choice is None or view.choice.get("key") is None:
        return None
    table = next((table for table in tables if table.name == view.spec.select.experiment), None)
    if table is None:
        return None
    value = view.choice["value"]
    rows = [row for row in table.rows if not row.base and row.value == value and row.figures]
    base = next((row for row in table.rows if row.base and row.value in (None, value) and row.figures), None)
    floats = [row for row in rows if row.quantized is None]
    if base is None or not (floats or rows):
        return None
    final = floats[-1] if floats else base
    return Chosen(table, base, final, next((row for row in rows if row.quantized), None), _over_seeds(view, tables))


def _over_seeds(view: View, tables: Sequence[Table]) -> Row | None:
    flash = needs_of(view)["chosen"].get("flash")
    of_c = (row for t in tables for row in t.rows if row.quantized == "static" and "accuracy" in row.figures)
    return next((r for r in of_c if r.figures["accuracy"].n > 1 and _mean(r, "flash") == flash), None)


def _mean(row: Row, name: str) -> float | None:
    return row.figures[name].mean if name in row.figures else None


def _no_choice(view: View, tables: Sequence[Table], words: Words) -> str:
    select = view.spec.select
    if select is None:
        return words("answer.no_select")
    if view.choice is None or view.choice["key"] is not None:  # chosen, but not all that it is compared with is there
        return words("answer.not_yet")
    table = next((table for table in tables if table.name == select.experiment), None)
    dead = _refused(view, table, words)
    said = words("answer.none.dead" if dead else "answer.none", budget=budget_text(select, words), of=select.experiment)
    return " ".join([said, *dead])


def _refused(view: View, table: Table | None, words: Words) -> list[str]:
    """A sentence on what is within the budget, but lost a class; none if nothing is."""
    if view.spec.select is None or table is None:
        return []
    judged = judge(view.spec.select, view.trials, view.records, latencies(view.timings))
    listed = []
    for candidate in judged.refused:
        row = next((row for row in table.rows if not row.base and row.value == candidate.value), None)
        lost = next(seed.loss for seed in candidate.seeds if seed.loss)
        value = (shown_value(table, row) if row else "") or words("answer.refused.candidate")
        listed.append(loss_text(lost, view.data["labels"], words, value))
    return [words("answer.refused", list=" ".join(listed))] if listed else []


def loss_text(loss: Loss, labels: Sequence[str], words: Words, value: str) -> str:
    """Why a network is dead, in a sentence of its own."""
    if loss.only is not None:
        return words("answer.refused.only", value=value, label=words.name(labels[loss.only]))
    return words(
        "answer.refused.lost", value=value, labels=", ".join(words.name(labels[index]) for index in loss.classes)
    )


def _lines(view: View, found: Chosen, words: Words) -> list[Line]:
    lines = [_accuracy(view, found, words), _measure("params", found, words), _measure("macs", found, words)]
    lines.append(_bytes(view, found, words))
    lines += [_need(view, name, words) for name in ("flash", "ram", "board_flash", "board_ram", "board_stack")]
    lines += [_time(view, name, words) for name in FASTER]
    if view.bench is None or not view.bench.get("rows"):
        lines.append(_study_time(found, words))
    return lines


def _accuracy(view: View, found: Chosen, words: Words) -> Line:
    base, final = found.base.figures.get("accuracy"), found.final.figures.get("accuracy")
    of = found.int8 or found.alike
    int8 = of.figures.get("accuracy") if of else None
    int8_text = figure_text(int8, 2) if int8 else _tested(view, "chosen_int8")
    cells = (figure_text(base, 2), _tested(view, "base_int8"), figure_text(final, 2), int8_text)
    last = int8.mean if int8 else _accuracy_of(view, "chosen_int8")
    if last is None and final:
        last = final.mean
    points = None if last is None or base is None else round(last, 2) - round(base.mean, 2)  # of what is shown
    return Line(words.column("accuracy"), cells, points=points)


def _accuracy_of(view: View, name: str) -> float | None:
    confusion = ((view.evidence or {}).get("confusion") or {}).get(name)
    if not confusion:
        return None
    right: int = sum(row[index] for index, row in enumerate(confusion))
    return 100 * right / sum(map(sum, confusion))


def _tested(view: View, name: str) -> str:
    accuracy = _accuracy_of(view, name)
    return "" if accuracy is None else f"{accuracy:.2f}"


def _measure(name: str, found: Chosen, words: Words) -> Line:
    base, final = found.base.figures.get(name), found.final.figures.get(name)
    was, now = figure_text(base, 0), figure_text(final, 0)
    return Line(words.column(name), (was, was, now, now), _ratio(base, final))


def _bytes(view: View, found: Chosen, words: Words) -> Line:
    """Weights: of float as its records count them, of int8 as the int8 network's constants."""
    base, final = found.base.figures.get("bytes"), found.final.figures.get("bytes")
    flash = needs_of(view)
    int8 = [f"{value:,}" if (value := flash[name].get("flash")) else "" for name in ("base", "chosen")]
    smallest = flash["chosen"].get("flash")
    ratio = base.mean / smallest if base and smallest else _ratio(base, final)
    cells = (figure_text(base, 0), int8[0], figure_text(final, 0), int8[1])
    return Line(words("answer.constants"), cells, ratio)


def needs_of(view: View) -> dict[str, dict[str, Any]]:
    """What the generated C of both needs, by name; empty where it is not known."""
    base = ((view.evidence or {}).get("base") or {}).get("int8") or {}
    chosen = ((view.verification or {}).get("exported") or {}).get("c") or {}
    found: dict[str, dict[str, Any]] = {}
    for name, needs in (("base", base), ("chosen", chosen)):
        board = needs.get("board") or {}
        found[name] = {k: needs[k] for k in ("flash", "ram") if k in needs}
        found[name] |= {f"board_{k}": board[k] for k in ("flash", "ram", "stack") if k in board}
    return found


def _need(view: View, name: str, words: Words) -> Line:
    found = needs_of(view)
    same_ram = all(needs.get("board_ram") in (None, needs.get("ram")) for needs in found.values())
    if name == "flash" or (name == "board_ram" and same_ram):  # stands in another line already
        return Line("", ("", "", "", ""))
    was, now = found["base"].get(name), found["chosen"].get(name)
    cells = ("", f"{was:,}" if was else "", "", f"{now:,}" if now else "")
    return Line(words(f"answer.{name}"), cells, was / now if was and now else None)


def _time(view: View, name: str, words: Words) -> Line:
    """The median of one image in one runtime: of C and ONNX Runtime also in int8."""
    form, runtime = FASTER[name]
    rows = (view.bench or {}).get("rows") or []
    is_c = name == "c"
    by = {(row["file"], row["form"]): row for row in rows if row["runtime"] == runtime}
    floats = [None if is_c else by.get((file, form)) for file in ("base", "chosen")]
    int8 = [by.get((file, form if is_c else "onnx-int8")) for file in ("base", "chosen")]
    cells = (_us(floats[0]), _us(int8[0]), _us(floats[1]), _us(int8[1]))
    first, last = (int8[0], int8[1]) if is_c else (floats[0], floats[1])
    ratio = first["median_us"] / last["median_us"] if first and last else None
    return Line(words(f"answer.time.{name}"), cells, ratio)


def _us(row: Mapping[str, Any] | None) -> str:
    return "" if row is None else f"{row['median_us']:,.1f}"


def _study_time(found: Chosen, words: Words) -> Line:
    """Without times of the forms: those of the study's tables."""
    name = next((column for column in COLUMNS if column in found.final.figures), "latency_1")
    base, final = found.base.figures.get(name), found.final.figures.get(name)
    cells = (figure_text(base, 1) if base else "", "", figure_text(final, 1) if final else "", "")
    return Line(words.column(name), cells, _ratio(base, final))


def _ratio(base: Figure | None, final: Figure | None) -> float | None:
    return base.mean / final.mean if base and final and final.mean else None


def _headlines(lines: Sequence[Line], words: Words) -> list[Headline]:
    """Accuracy, parameters, bytes and time, in large."""
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
    """How many times less the chosen model needs, or how many times more where that is a loss."""
    return words(f"headline.{of}.{'loss' if loss else 'gain'}", ratio=times_text(1 / ratio if loss else ratio))


def budget_text(select: SelectSpec, words: Words) -> str:
    """The budget in words."""
    return words("and").join(_limit(limit, words) for limit in select.limits)


def _limit(limit: Budget, words: Words) -> str:
    stated = limit.text.partition("=")[2].strip().removesuffix("%").rstrip()
    if limit.at_least:
        return words("budget.at_least", quantity=words(f"budget.{limit.quantity}"), limit=stated)
    if limit.quantity == "accuracy_drop":
        return words("budget.accuracy_drop", limit=stated)
    return words("budget.other", quantity=words(f"budget.{limit.quantity}"), limit=stated)


def times_text(ratio: float) -> str:
    """How many times, with as many digits as it deserves.

    >>> times_text(24.81), times_text(6.45)
    ('25', '6.5')
    """
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _reason(found: Chosen, select: SelectSpec, words: Words) -> str:
    """Why this one: the rule with the figures, and the candidates that are beyond the budget."""
    finals = _finals(found.table)
    chosen = found.int8 or found.final
    drop = _drop(found.base, chosen)
    gains = drop is not None and round(drop, 2) < 0
    said = words(
        "answer.reason.gains" if gains else "answer.reason",
        value=shown_value(found.table, chosen) or words("chosen"), count=len(finals),
        minimize=words(f"minimize.{select.minimize}"), budget=budget_text(select, words),
        drop="–" if drop is None else f"{abs(drop):.2f}",
    )  # fmt: skip
    limit = next((limit.limit for limit in select.limits if limit.quantity == "accuracy_drop"), None)
    beyond = [
        words("answer.beyond.one", value=shown_value(found.table, row), drop=f"{gap:.2f}")
        for row in finals
        if limit is not None and (gap := _drop(found.base, row)) is not None and gap > limit + 1e-9
    ]
    return said + (" " + words("answer.beyond", list=", ".join(beyond)) if beyond else "")


def _finals(table: Table) -> list[Row]:
    """The last row of every value: what the choice is among."""
    last: dict[str, Row] = {}
    for row in table.rows:
        if not row.base and row.figures:
            last[repr(row.value)] = row
    return list(last.values())


def _drop(base: Row, row: Row) -> float | None:
    ours, theirs = row.figures.get("validation"), base.figures.get("validation")
    return theirs.mean - ours.mean if ours and theirs else None


def base_key(view: View) -> str | None:
    """The stage of the base that the chosen model came from, else of the first trial, if it is done."""
    key = (view.choice or {}).get("key")
    if key is not None and key in view.records:
        key = float_record(view.records, key).key
    for trial in view.trials:
        if (key is None or key in trial.rows) and view.results(trial.rows[0]) is not None:
            return trial.rows[0]
    return None
