"""The search itself: batches of candidates, each trained on the first rung, the better ones on the next (halving).

Successive halving (Jamieson and Talwalkar, 2016), synchronous: the size of a batch and the rungs are fixed, results are
told in the order of the trials. So the number of workers and any interruption change nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean

import numpy as np

from niwaki.device.text import counted
from niwaki.notify import Notify
from niwaki.search.candidates import Costs, Proposal, Shape, figures
from niwaki.search.fitting import Fitter
from niwaki.search.paths import Path, Paths, Way
from niwaki.search.remarks import Remark
from niwaki.search.running import Running
from niwaki.search.sampling import Asking
from niwaki.search.space import Space
from niwaki.search.tried import Known, Score, Tried
from niwaki.study.records import Record

GAIN = 0.2  # points by which another way of training must be better
COMPARED = 2  # candidates that it must be better for, on average
QUESTIONS = {
    "inherited": "start from the given weights", "taught": "learn from the given network",
    "fast": "learn faster, lr = 0.01", "faster": "learn still faster, lr = 0.02", "flip": "mirror images",
    "still": "leave images where they are",
}  # fmt: skip
"""How candidates may train better, in words."""
LR = {"fast": 1e-2, "faster": 2e-2}
"""Learning rates that networks with batch norm bear, and few others."""
_LATE = ("flip", "still")
"""Questions about moved images: few epochs speak against them, many for them, so the last rung is asked."""
_SHARES = (1.0, 0.5, 0.7, 0.35, 0.25, 0.5, 0.18, 0.12)  # of the largest, when something is minimized


@dataclass
class Exploring:
    """A search in progress."""

    paths: Paths
    running: Running
    costs: Costs
    space: Space
    fitter: Fitter
    known: Known
    """What this search tried; nothing that an earlier one knew, so that a repeated search is the same search."""
    notify: Notify
    saved: Callable[[], None]
    """Called after each rung: it writes what is known."""
    way: Way = field(default_factory=Way)
    late: bool = True
    """Whether it asks the questions that take the epochs of the last rung."""
    minimized: str | None = None
    """What is minimized; None if accuracy is maximized."""
    answers: list[Remark] = field(default_factory=list)
    """What the questions gave."""
    _ran: dict[str, Path] = field(default_factory=dict)
    """The longest training of each candidate on the rungs, by name: the next one goes on from there."""

    def explore(self, asking: Asking, trials: int) -> None:
        """Try so many candidates of the sampler, and some with less of the budget."""
        batches = math.ceil(trials / self.space.search.batch)
        for batch in range(batches):
            count = min(self.space.search.batch, trials - batch * self.space.search.batch)
            self._batch(asking, batch, batches, count)
        if batches == 1:  # the best of it in less of the budget
            smaller = self._smaller(self.space.search.smaller)
            for epochs in self.space.search.rungs:
                self.evaluate(smaller, epochs)

    def _batch(self, asking: Asking, batch: int, batches: int, count: int) -> None:
        rungs = self.space.search.rungs
        asked = [asking.ask() for _ in range(count)]
        tried = [self._met(one.proposal, self._share(batch, index)) for index, one in enumerate(asked)]
        smaller = self._smaller(shares_of(batch, batches, self.space.search.smaller))
        self.notify(
            f"batch {batch + 1} of {batches}: {counted(len(asked), 'candidate')} for {counted(rungs[0], 'epoch')}"
        )
        self.evaluate([one for one in (*tried, *smaller) if one is not None], rungs[0])
        values = self._values(tried, rungs[0])
        for one, value in zip(asked, values, strict=True):
            asking.tell(one, value)
        if batch == 0 and self.space.search.questions:
            self._ask_questions([one for one in tried if one is not None])
        left = _unique([one for one in tried if one is not None])
        for before, epochs in itertools.pairwise(rungs):
            left = _best(left, before, max(1, round(len(left) * self.space.search.keep)), self._worth)
            self.evaluate([*left, *smaller], epochs)

    def first(self, asking: Asking, count: int) -> list[Tried]:
        """The candidates that the sampler asks for first."""
        met = [self._met(asking.ask().proposal, self._share(0, index)) for index in range(count)]
        return _unique([one for one in met if one is not None])

    def prepare(self, tried: Sequence[Tried]) -> None:
        """Run what comes before the training of candidates: they are cut."""
        paths = [self._path(one, 1, 0, self.way) for one in tried]
        self.running.run([Path(path.stages[:-2]) for path in paths])

    def evaluate(
        self, tried: Sequence[Tried], epochs: int | Callable[[Tried], int], seeds: Sequence[int] = (0,)
    ) -> None:
        """Train candidates for so many epochs with each seed, in the way found best, and note how good they are."""
        wanted = [(one, epochs if isinstance(epochs, int) else epochs(one), seed) for one in tried for seed in seeds]
        paths = [self._path(*each, self.way) for each in wanted]
        records = self.running.run(paths)
        for (one, number, seed), path in zip(wanted, paths, strict=True):
            self._score(one, path, (number, seed), self.way, records)
            if number in self.space.search.rungs and one.at(number) is not None:
                self._ran[one.shape.id] = path
        self.saved()

    def _path(self, tried: Tried, epochs: int, seed: int, way: Way) -> Path:
        member = self.costs.members[tried.shape.member]
        before = self._ran.get(tried.shape.id)
        after = before if before is not None and before.epochs < epochs else None
        return self.paths.of(member, tried.shape, epochs, seed, way, after)

    def _score(self, tried: Tried, path: Path, at: tuple[int, int], way: Way, records: Mapping[str, Record]) -> None:
        record = records.get(path.end)
        if record is None or record.results is None:
            ran = (records[stage.key] for stage in path.stages if stage.key in records)
            why = next((one.reason for one in ran if one.reason), None)
            tried.reason = tried.reason or why or "its training gave no result"
            return
        answers = record.results.validation
        score = Score(
            epochs=at[0], seed=at[1], way=way.text, key=path.end, float_key=path.float_end,
            validation=answers.accuracy, balanced=answers.balanced, worst=answers.worst,
        )  # fmt: skip
        self.known.scored(tried, score)

    def _share(self, batch: int, index: int) -> float:
        return _SHARES[(batch + index) % len(_SHARES)] if self.minimized else 1.0

    def _met(self, proposal: Proposal, share: float) -> Tried | None:
        shape = self.fitter.fit(proposal, share)
        return None if shape is None else self.met(shape, share)

    def met(self, shape: Shape, share: float) -> Tried:
        """The candidate of a shape, with what it costs."""
        found = figures(self.costs.of(shape))
        if self.fitter.on_target is not None:
            found |= self.fitter.on_target.of(shape)
        args = self.costs.members[shape.member].model.args
        return self.known.add(Tried(shape, share, found, args))

    def _smaller(self, parts: Sequence[float]) -> list[Tried]:
        """The best candidate so far, with its proportions, in these parts of the budget."""
        if self.minimized or not parts:
            return []
        first = self.space.search.rungs[0]
        full = [one for one in self.known if one.share == 1.0 and one.at(first) is not None]
        if not full:
            return []
        best = max(full, key=lambda one: (one.at(first) or 0.0, one.shape.id))
        groups = self.costs.members[best.shape.member].blueprint.groups
        shares = {group.name: best.shape.widths[group.name] / group.width for group in groups}
        proposal = Proposal(best.shape.member, best.shape.bits, shares)
        met = [self._met(proposal, part) for part in parts]
        return _unique([one for one in met if one is not None and one not in full])

    def _values(self, tried: Sequence[Tried | None], epochs: int) -> list[float | None]:
        """What the sampler learns: accuracy; if something is minimized, what is above the trend for such a cost."""
        found = [None if one is None else one.at(epochs) for one in tried]
        if self.minimized is None:
            return found
        return [
            None if one is None or value is None else value - self._trend(epochs)(one)
            for one, value in zip(tried, found, strict=True)
        ]

    def _trend(self, epochs: int) -> Callable[[Tried], float]:
        cost = str(self.minimized)
        points = [(math.log(one.figures[cost] + 1), at) for one in self.known if (at := one.at(epochs)) is not None]
        if len({x for x, _ in points}) < 2:
            return lambda _: fmean(y for _, y in points)
        slope, level = np.polyfit([x for x, _ in points], [y for _, y in points], 1)
        return lambda one: float(level + slope * math.log(one.figures[cost] + 1))

    def _worth(self, tried: Tried, epochs: int) -> float:
        value = tried.at(epochs)
        if value is None:
            return float("-inf")
        return value if self.minimized is None else value - self._trend(epochs)(tried)

    def _ask_questions(self, tried: Sequence[Tried]) -> None:
        """Find out by measuring how these networks train best; each answer counts from then on."""
        compared = _best(_unique(tried), self.space.search.rungs[0], COMPARED, self._worth)
        at, before = 0, list[float | None]()
        for question, change in self.questions() if compared else ():
            epochs, way = self._epochs_for(question), change(self.way)
            if epochs != at:
                at, before = epochs, self._measured(compared, epochs, self.way)
            after = self._measured(compared, epochs, way)
            gains = [new - old for old, new in zip(before, after, strict=True) if old is not None and new is not None]
            better = bool(gains) and fmean(gains) >= GAIN
            self.answers.append(_answered(question, gains, epochs, better=better))
            self.notify(self.answers[-1])
            if better:
                self.way, before = way, after

    def _epochs_for(self, question: str) -> int:
        return self.space.search.rungs[-1 if question in _LATE else 0]

    def seconds(self, tried: Tried) -> list[float] | None:
        """How long a candidate trained, and was quantized, on each rung; None if an earlier run did it."""
        found = []
        for epochs in self.space.search.rungs:
            ran = [score for score in tried.scores if score.epochs == epochs and score.seed == 0]
            keys = (ran[-1].key, ran[-1].float_key) if ran else ()
            if not keys or not all(key in self.running.seconds for key in keys):
                return None
            found.append(sum(self.running.seconds[key] for key in keys))
        return found

    def cost_of_questions(self, *, late: bool | None = None) -> tuple[int, int]:
        """Trainings that answer the questions, and their epochs; with `late`, of those alone that are so or not."""
        asked = [question for question, _ in self.questions()] if self.space.search.questions else []
        first, last = self.space.search.rungs[0], self.space.search.rungs[-1]
        further = last - first or first  # of candidates that have been on the first rung
        epochs = [further if one in _LATE else first for one in asked if late is None or (one in _LATE) == late]
        return COMPARED * len(epochs), COMPARED * sum(epochs)

    def questions(self) -> list[tuple[str, Callable[[Way], Way]]]:
        """Each question, and what a yes changes."""
        recipe = self.space.recipe(1)
        trained = self.running.subject.weights is not None
        found: list[tuple[str, Callable[[Way], Way]]] = []
        if trained and self.space.start == "auto":
            found.append(("inherited", lambda way: replace(way, start="inherited")))
        if self.space.trainer:
            return found  # the rest is the function's own
        if trained:
            found.append(("taught", lambda way: replace(way, taught=True)))
        if "lr" not in self.space.train:
            found += [(question, partial(_changed, lr=lr)) for question, lr in LR.items()]
        if "flip" not in self.space.train:
            found.append(("flip", partial(_changed, flip=True)))
        if recipe.shift and "shift" not in self.space.train:
            found.append(("still", partial(_changed, shift=0)))
        return [one for one in found if self.late or one[0] not in _LATE]

    def _measured(self, compared: Sequence[Tried], epochs: int, way: Way) -> list[float | None]:
        paths = [self._path(one, epochs, 0, way) for one in compared]
        records = self.running.run(paths)
        found = [records.get(path.end) for path in paths]
        return [record.results.validation.accuracy if record and record.results else None for record in found]


def shares_of(batch: int, batches: int, shares: Sequence[float]) -> Sequence[float]:
    """The parts of the budget that a batch also tries: one in turn, but all of them by the last batch.

    >>> [shares_of(batch, 6, (0.5, 0.25, 0.125)) for batch in range(6)]
    [(), (0.5,), (0.25,), (0.125,), (0.5,), (0.25,)]
    >>> [shares_of(batch, 3, (0.5, 0.25, 0.125)) for batch in range(3)]
    [(), (0.5, 0.125), (0.25,)]
    """
    if batch == 0 or not shares:
        return ()
    turns = batches - 1
    if turns >= len(shares):
        return (shares[(batch - 1) % len(shares)],)
    return tuple(shares[batch - 1 :: turns])


def _changed(way: Way, **settings: object) -> Way:
    """The way with other settings of training."""
    kept = [(name, value) for name, value in way.changed if name not in settings]
    return replace(way, changed=(*kept, *settings.items()))


def _answered(question: str, gains: Sequence[float], epochs: int, *, better: bool) -> Remark:
    """What a question gave."""
    asked = {"question": f"search.question.{question}", "answer": f"search.answer.{'yes' if better else 'no'}"}
    end = "yes" if better else "no"
    if not gains:
        return Remark("search.asked.nothing", f"{QUESTIONS[question]}: no result: {end}", **asked)
    gain = f"{fmean(gains):+.2f}"
    said = f"{QUESTIONS[question]}: {gain} points in {counted(epochs, 'epoch')}: {end}"
    return Remark("search.asked", said, gain=gain, epochs=epochs, **asked)


def _unique(tried: Sequence[Tried]) -> list[Tried]:
    return list({one.shape.id: one for one in tried}.values())


def _best(
    tried: Sequence[Tried], epochs: int, count: int, worth: Callable[[Tried, int], float]
) -> list[Tried]:  # fmt: skip
    able = [one for one in tried if one.at(epochs) is not None]
    return sorted(able, key=lambda one: (-worth(one, epochs), one.shape.id))[:count]
