"""What a search knows: every candidate that was tried, what it costs, and how good it was after how many epochs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar

from niwaki.search.blueprint import Cost
from niwaki.search.candidates import STRIPED, UNSTRIPED, Shape, figures
from niwaki.search.limits import COMPILED, Limits
from niwaki.study.checked_json import Part, ResultFile
from niwaki.study.result_files import DataFacts


class Score(Part):
    """The validation accuracy of the int8 network after so many epochs, in percent, and the stages that made it."""

    epochs: int
    seed: int
    way: str
    key: str
    float_key: str
    validation: float
    balanced: float | None = None
    worst: float | None = None


class TriedNote(Part):
    """A candidate in `search.json`."""

    id: str
    member: int
    args: Any
    widths: dict[str, int]
    bits: dict[str, int]
    share: float
    figures: dict[str, float]
    scores: tuple[Score, ...] = ()
    reason: str | None = None


class SearchNote(ResultFile):
    """`search.json`: what was searched, and everything that was tried."""

    NAME: ClassVar[str] = "search.json"

    subject: str
    factory: str
    args: Any
    weights: str | None
    data: DataFacts
    space: Any
    plan: Any
    whole: float | None = None
    """The validation accuracy of the whole network, if a limit or the report needed it."""
    tried: tuple[TriedNote, ...] = ()


@dataclass
class Tried:
    """A candidate, in the order in which the search asked for it."""

    shape: Shape
    share: float
    figures: dict[str, float]
    args: object = None
    scores: list[Score] = field(default_factory=list)
    reason: str | None = None

    @property
    def epochs(self) -> int:
        """The epochs of its longest training; 0 if it has none."""
        return max((score.epochs for score in self.scores), default=0)

    @property
    def last(self) -> tuple[Score, ...]:
        """The scores of its longest training, one for each seed."""
        return tuple(score for score in self.scores if score.epochs == self.epochs)

    @property
    def validation(self) -> float:
        """The mean accuracy of its longest training over the seeds; minus infinity without any."""
        return fmean(score.validation for score in self.last) if self.scores else float("-inf")

    def at(self, epochs: int) -> float | None:
        """Its accuracy after so many epochs, with the first seed; None if it did not train for so many."""
        found = [score.validation for score in self.scores if score.epochs == epochs and score.seed == 0]
        return found[-1] if found else None

    def accuracies(self, whole: float | None) -> dict[str, float | None]:
        """Its accuracies by the words of a budget, means over the seeds of its longest training."""
        last = self.last
        known = bool(last)
        return {
            "accuracy": self.validation if known else None,
            "balanced_accuracy": _mean([score.balanced for score in last]),
            "worst_class": _mean([score.worst for score in last]),
            "accuracy_drop": whole - self.validation if whole is not None and known else None,
        }

    def within(self, ram_limit: int | None) -> None:
        """Forget what its C needs by stripes of rows that keep to another limit of RAM than this one."""
        if STRIPED in self.figures and self.figures[STRIPED] != ram_limit:
            self.figures["ram"] = self.figures[UNSTRIPED]
            for name in (STRIPED, UNSTRIPED, "code", *COMPILED):
                self.figures.pop(name, None)

    def striped(self, cost: Cost) -> None:
        """Note what its C needs by stripes of rows."""
        for name in ("code", *COMPILED):
            self.figures.pop(name, None)
        self.figures |= figures(cost)

    def note(self) -> TriedNote:
        """As it is written."""
        return TriedNote(
            id=self.shape.id, member=self.shape.member, args=self.args, widths=dict(self.shape.widths),
            bits=dict(self.shape.bits), share=self.share, figures=dict(self.figures), scores=tuple(self.scores),
            reason=self.reason,
        )  # fmt: skip


def from_note(note: TriedNote) -> Tried:
    """A candidate as it was written."""
    shape = Shape(note.member, note.widths, note.bits)
    return Tried(shape, note.share, dict(note.figures), note.args, list(note.scores), note.reason)


class Known:
    """All candidates by their names, in the order in which they were met."""

    def __init__(self, tried: Iterable[Tried] = ()) -> None:
        self._tried = {one.shape.id: one for one in tried}

    def __iter__(self) -> Iterator[Tried]:
        return iter(self._tried.values())

    def __len__(self) -> int:
        return len(self._tried)

    def add(self, tried: Tried) -> Tried:
        """A candidate; one that is known already keeps what is known of it."""
        found = self._tried.setdefault(tried.shape.id, tried)
        found.figures |= tried.figures
        found.reason = tried.reason
        return found

    def scored(self, tried: Tried, score: Score) -> None:
        """Add a score, unless it is known."""
        if score not in tried.scores:
            tried.scores.append(score)


def fitting(
    known: Iterable[Tried], limits: Limits, whole: float | None, *, latency: Mapping[str, float] | None = None,
    words: Sequence[str] | None = None,
) -> list[Tried]:  # fmt: skip
    """The candidates with a score that keep to the limits, or to those on the quantities in `words`.

    `latency` is in microseconds, by the candidate's name.
    """
    found = []
    for one in known:
        figures: Mapping[str, float | None] = {
            **one.figures, **one.accuracies(whole), "latency": (latency or {}).get(one.shape.id),
        }  # fmt: skip
        if one.scores and not limits.broken(figures, words):
            found.append(one)
    return found


def front(known: Iterable[Tried], cost: str, epochs: int) -> list[Tried]:
    """The candidates that no other one beats: less costly and at least as accurate, or as costly and more accurate.

    From the least costly to the most. Those that were trained for so many epochs are compared, with the first seed.
    """
    able = [(one.figures[cost], -accuracy, one) for one in known
            if cost in one.figures and (accuracy := one.at(epochs)) is not None]  # fmt: skip
    best = float("-inf")
    found = []
    for _, negative, one in sorted(able, key=lambda entry: (*entry[:2], entry[2].shape.id)):
        if -negative > best:
            found.append(one)
            best = -negative
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
