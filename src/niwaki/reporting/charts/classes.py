"""Which classes lost: recall of each before and after, and which class was taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from niwaki.drawing.chart import Axis, Chart, Matrix, Panel, Point, Series
from niwaki.reporting.words import Words

Confusion = Sequence[Sequence[int]]


@dataclass(frozen=True)
class ClassChange:
    """One class: correct predictions in percent by network (`base`, `chosen`, `chosen_int8`), None without images.

    `last` is the network that is compared with the base; `taken_for` is the class that it most often predicts instead,
    with the count; None if it never errs.
    """

    index: int
    images: int
    recall: Mapping[str, float | None]
    taken_for: tuple[int, int] | None
    last: str = "chosen"

    @property
    def change(self) -> float | None:
        """Points gained from the base to the last network; None if that is the base itself."""
        base, chosen = self.recall.get("base"), None if self.last == "base" else self.recall.get(self.last)
        return None if base is None or chosen is None else chosen - base


def last_of(confusion: Mapping[str, Confusion]) -> str:
    """The network that the study's answer describes: the chosen model, in int8 if known, otherwise the base."""
    return next(name for name in ("chosen_int8", "chosen", "base") if name in confusion)


def class_changes(confusion: Mapping[str, Confusion]) -> list[ClassChange]:
    """Every class, the one that lost most first; in the order of the classes if nothing was chosen."""
    last = last_of(confusion)
    found = []
    for index, row in enumerate(confusion[last]):
        wrong = [(count, -answer) for answer, count in enumerate(row) if answer != index and count]
        worst = max(wrong, default=None)
        recall = {name: _recall(counts[index], index) for name, counts in confusion.items()}
        found.append(ClassChange(index, sum(row), recall, None if worst is None else (-worst[1], worst[0]), last))
    return sorted(found, key=lambda c: (0.0 if c.change is None else c.change, c.index))


def classes_chart(changes: Sequence[ClassChange], labels: Sequence[str], words: Words) -> Chart:
    """Recall by class, the base beside the chosen model in float and in int8."""
    names = [name for name in ("base", "chosen", "chosen_int8") if any(name in c.recall for c in changes)]
    series = tuple(
        Series(words(name), tuple(
            Point(recall, labels[c.index], f"{labels[c.index]}\n{words(name)}: {recall:.1f} %")
            for c in changes if (recall := c.recall.get(name)) is not None
        ), look, joined=False)
        for look, name in enumerate(names)
    )  # fmt: skip
    y = Axis("", "category", categories=tuple(labels[c.index] for c in changes))
    title = words("chart.classes")
    described = words("chart.described", title=title, panels=", ".join(words(name) for name in names))
    return Chart("figure-classes", "dots", title, words("caption.classes"), described,
                 (Panel(Axis(words("axis.recall"), unit="percent"), y, series),))  # fmt: skip


def confusion_chart(confusion: Mapping[str, Confusion], labels: Sequence[str], words: Words) -> Chart:
    """The confusion matrices of the base and of the last network, side by side."""
    shown = dict.fromkeys(("base", last_of(confusion)))
    matrices = tuple(_matrix(words(name), confusion[name], labels, words) for name in shown)
    title = words("chart.confusion")
    return Chart("figure-confusion", "matrix", title, words("caption.confusion"),
                 words("chart.described", title=title, panels=", ".join(m.title for m in matrices)),
                 matrices=matrices)  # fmt: skip


def _matrix(title: str, counts: Confusion, labels: Sequence[str], words: Words) -> Matrix:
    tips = tuple(
        tuple(words("tip.confusion", count=count, true=labels[t], named=labels[p]) for p, count in enumerate(row))
        for t, row in enumerate(counts)
    )
    whole = tuple(tuple(row) for row in counts)
    return Matrix(title, tuple(labels), whole, tips, words("axis.true"), words("axis.answer"))


def _recall(row: Sequence[int], index: int) -> float | None:
    return 100 * row[index] / sum(row) if sum(row) else None
