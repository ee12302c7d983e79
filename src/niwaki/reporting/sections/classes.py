"""Which classes lost, which was taken for which, and the images with the most confident wrong predictions."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.reporting.charts.classes import ClassChange, class_changes, classes_chart, confusion_chart, last_of
from niwaki.reporting.chosen import base_key
from niwaki.reporting.columns import signed
from niwaki.reporting.document import Block, Figure, Grid, Picture, Pictures, Section, Text
from niwaki.reporting.sections.tables import plain_csv
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.records import float_record
from niwaki.study.result_files import Evidence


def classes_section(view: View, words: Words) -> Section:
    """By class; from the evidence, or as far as the records contain it."""
    heading = words("classes.heading")
    confusion = confusions(view)
    if "base" not in confusion:
        return Section("classes", heading, (Text(words("classes.none"), "warning"),))
    labels = [words.name(label) for label in view.data.labels]
    changes, last = class_changes(confusion), last_of(confusion)
    blocks: list[Block | Section] = [Text(words("classes.lead"), "lead")]
    if last != "base":
        blocks.append(Text(_most_lost(changes, labels, last, words), "finding"))
    blocks += [
        Figure(classes_chart(changes, labels, words)),
        _grid(changes, labels, last, words),
        Figure(confusion_chart(confusion, labels, words)),
    ]
    mistakes = _mistakes(view, labels, words)
    if mistakes is not None:
        blocks.append(mistakes)
    return Section("classes", heading, tuple(blocks))


def confusions(view: View) -> dict[str, list[list[int]]]:
    """The confusion matrices by network: from the evidence, or from the records."""
    if view.evidence is not None:
        return view.evidence.confusion
    found = {}
    base = view.results(base_key(view) or "")
    if base is not None:
        found["base"] = base.test.rows
    key = view.choice.key if view.choice else None
    chosen = float_record(view.records, key).results if key is not None and key in view.records else None
    if chosen is not None:
        found["chosen"] = chosen.test.rows
    return found


def _most_lost(changes: Sequence[ClassChange], labels: Sequence[str], last: str, words: Words) -> str:
    worst = changes[0]
    if worst.change is None or worst.change >= 0:
        return words("classes.none_lost", network=words(last))
    return words("classes.lost", network=words(last), lost=labels[worst.index], points=signed(worst.change, 1))


def _grid(changes: Sequence[ClassChange], labels: Sequence[str], last: str, words: Words) -> Grid:
    names = [name for name in ("base", "chosen", "chosen_int8") if name in changes[0].recall]
    heads = (
        words("classes.class"), words("classes.images"), *(f"{words(name)} (%)" for name in names),
        *([words("classes.change", network=words(last))] if last != "base" else []),
        words("classes.taken", network=words(last)),
    )  # fmt: skip
    rows = tuple(_row(change, names, labels, words) for change in changes)
    return Grid("table-classes", words("classes.table"), heads, rows, plain_csv(heads, rows),
                frozenset({0, len(heads) - 1}))  # fmt: skip


def _row(change: ClassChange, names: Sequence[str], labels: Sequence[str], words: Words) -> tuple[str, ...]:
    recall = [change.recall[name] for name in names]
    taken = "–"
    if change.taken_for is not None:
        taken = words("classes.taken_for", name=labels[change.taken_for[0]], count=f"{change.taken_for[1]:,}")
    moved = []
    if len(names) > 1:
        moved = ["–" if change.change is None else signed(change.change, 1)]
    return (
        labels[change.index],
        f"{change.images:,}",
        *("–" if r is None else f"{r:.1f}" for r in recall),
        *moved,
        taken,
    )


def _mistakes(view: View, labels: Sequence[str], words: Words) -> Section | None:
    if view.evidence is None:
        return None
    evidence = view.evidence
    parts: list[Block] = [Text(words("mistakes.lead"), "lead")]
    for name in ("lost", "gained", "chosen", "base"):
        numbers = evidence.shown.get(name)
        if numbers:
            title = words(f"mistakes.{name}", count=f"{evidence.moved.get(name, 0):,}")
            parts.append(Pictures(title, tuple(_picture(evidence, number, labels, words) for number in numbers)))
    return Section("mistakes", words("mistakes.heading"), tuple(parts)) if len(parts) > 1 else None


def _certainty(share: float) -> str:
    """A softmax in percent; no network is completely certain, so a value that rounds to 100 becomes 99."""
    return ">99" if share >= 0.995 else f"{100 * share:.0f}"


def _picture(evidence: Evidence, number: int, labels: Sequence[str], words: Words) -> Picture:
    image = evidence.images[str(number)]
    true = labels[image.true]
    said = []
    for name in ("base", "chosen"):
        answer = evidence.answers.get(name, {}).get(str(number))
        if answer is not None:
            key = "mistakes.right" if answer.named == image.true else "mistakes.wrong"
            said.append(words(key, network=words(name), name=labels[answer.named], sure=_certainty(answer.sure)))
    return Picture(image.png, words("mistakes.alt", number=number, name=true), (words("mistakes.true", name=true),),
                   tuple(said))  # fmt: skip
