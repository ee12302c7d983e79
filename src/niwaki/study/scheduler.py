"""Keep the workers busy: choose the next stage, and handle the results."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from niwaki.errors import GuardMissing, Wording, WorkerLost
from niwaki.study.environment import Facts
from niwaki.study.listener import Listener
from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record
from niwaki.study.result_files import Choice, Verification
from niwaki.study.stages import Outcome, Task
from niwaki.study.store import Store
from niwaki.study.telling import EpochTold
from niwaki.study.workers import Workers


@dataclass
class StudyResult:
    """The result of a run, beside the folder."""

    folder: Path
    plan: Plan
    records: dict[str, Record]
    lost: dict[str, str] = field(default_factory=dict)  # stages without a result: why
    choice: Choice | None = None
    verification: Verification | None = None  # of the forms of the chosen model

    def __repr__(self) -> str:
        stages = f"{len(self.records)} of {len(self.plan.stages)} stages"
        return f"<StudyResult {self.folder}: {stages}{', FAILED' if self.failed else ''}>"

    @property
    def failed(self) -> bool:
        """Whether any stage failed or was lost, or the forms of the chosen model disagree or some cannot be made."""
        found = self.verification
        unproven = found is not None and (found.ok is not True or bool(found.missing))
        return bool(self.lost) or unproven or any(record.status == "failed" for record in self.records.values())


@dataclass
class Job:
    """A run in progress: its inputs, and its results so far."""

    plan: Plan
    store: Store
    device: str
    trust: bool
    paths: tuple[str, ...]
    listener: Listener
    result: StudyResult
    files: Mapping[str, bytes]
    """Model files that the study imports, by their SHA-256."""
    data: str
    facts: Facts
    retried: set[str] = field(default_factory=set)

    def task(self, stage: Stage) -> Task:
        """A stage with everything that a worker needs for it."""
        parent = self.files[str(stage.settings["sha256"])] if stage.kind == "import" else None
        if stage.parent is not None:
            parent = self._weights(stage.parent)
        teachers = tuple(map(self._weights, stage.teachers))
        return Task(stage, parent, self.data, self.facts, self.device, self.trust, self.paths, teachers)

    def _weights(self, key: str) -> bytes:
        return self.store.weights(key, self.result.records[key])


def drive(job: Job, workers: Workers) -> None:
    """Keep every slot busy, the longest path first, until nothing more can run."""
    urgency = _urgency(job.plan)
    children: dict[str | None, list[Stage]] = {}
    for stage in job.plan.stages.values():
        for key in stage.needs or (None,):
            children.setdefault(key, []).append(stage)
    ready: list[tuple[float, int, Stage]] = []
    seen: set[str] = set()
    order = {key: index for index, key in enumerate(job.plan.stages)}

    def offer(stages: Iterable[Stage]) -> None:
        waiting = list(stages)
        while waiting:
            stage = waiting.pop()
            if stage.key in seen or not all(_is_done(job, key) for key in stage.needs):
                continue
            seen.add(stage.key)
            if stage.key in job.result.records:
                _skip_if_failed(job, stage)
                waiting.extend(children.get(stage.key, []))
            else:
                heapq.heappush(ready, (-urgency[stage.key], order[stage.key], stage))

    offer(children[None])
    running: dict[Future[Outcome], Stage] = {}
    news: SimpleQueue[Future[Outcome] | EpochTold] = SimpleQueue()
    epochs = _Epochs(job)
    workers.listen(news.put)
    while ready or running:
        while ready and len(running) < workers.slots and not _must_be_alone(job, ready[0][2], running.values()):
            stage = heapq.heappop(ready)[2]
            future = workers.submit(job.task(stage))
            running[future] = stage
            job.listener.started(stage)
            future.add_done_callback(news.put)
        for future in sorted(_ended(news, epochs), key=lambda f: order[running[f].key]):
            stage = running.pop(future)
            if _take(job, stage, future, epochs):
                offer(children.get(stage.key, []))
            elif stage.key not in job.result.lost:
                seen.discard(stage.key)
                offer([stage])


class _Epochs:
    """Passes every epoch to the listener once and in order; some arrive late, twice, or only with the record."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._told: dict[str, int] = {}

    def hear(self, told: EpochTold) -> None:
        """An epoch reported by a worker."""
        if told.number == self._told.get(told.key, 0) + 1:
            self._told[told.key] = told.number
            self._job.listener.epoch(self._job.plan.stages[told.key], told)

    def catch_up(self, record: Record) -> None:
        """All epochs of a stage that has ended."""
        for number, epoch in enumerate(record.results.epochs if record.results else (), 1):
            self.hear(EpochTold(record.key, number, epoch["loss"] or 0.0, epoch.get("validation_accuracy")))


def _ended(news: SimpleQueue[Future[Outcome] | EpochTold], epochs: _Epochs) -> list[Future[Outcome]]:
    """Wait until at least one stage has ended, and return those; passes on epochs meanwhile."""
    ended: list[Future[Outcome]] = []
    while not ended or not news.empty():
        new = news.get()
        if isinstance(new, EpochTold):
            epochs.hear(new)
        else:
            ended.append(new)
    return ended


def _must_be_alone(job: Job, stage: Stage, running: Collection[Stage]) -> bool:
    """Run a stage that was lost with its worker again, alone: the workers may have killed one another."""
    return bool(running) and any(s.key in job.retried for s in (stage, *running))


def _take(job: Job, stage: Stage, future: Future[Outcome], epochs: _Epochs) -> bool:
    """Store a worker's result. False if it was lost; then it may run once more."""
    try:
        outcome = future.result()
    except WorkerLost as error:
        if stage.key in job.retried:
            job.result.lost[stage.key] = str(error)
            job.listener.message(f"{stage.label}: {error}, twice; not run again")
        job.retried.add(stage.key)
        return False
    except GuardMissing as error:  # no worker will ever start
        raise GuardMissing(*error.args) from None  # a new error, without the traceback through the future
    except Exception as error:  # not a result: nothing is recorded, the rest continues
        said = Wording(f"{type(error).__name__}: ", error)
        job.result.lost[stage.key] = said
        job.listener.message(Wording(f"{stage.label}: ", said))
        return False
    job.store.put(outcome.record, outcome.weights)
    job.result.records[stage.key] = outcome.record
    epochs.catch_up(outcome.record)
    job.listener.finished(stage, outcome.record)
    return True


def _is_done(job: Job, key: str) -> bool:
    record = job.result.records.get(key)
    return record is not None and record.status == "done"


def _skip_if_failed(job: Job, stage: Stage) -> None:
    record = job.result.records[stage.key]
    if record.status == "failed":
        job.listener.message(f"{stage.label}: failed before: {record.reason}")


def _urgency(plan: Plan) -> dict[str, float]:
    """Epochs from a stage to the end of its longest path."""
    longest: dict[str, float] = {}
    for stage in reversed(plan.stages.values()):  # children come after their parents
        own = stage.epochs + 0.1
        longest[stage.key] = own + longest.get(stage.key, 0.0)
        for key in stage.needs:
            longest[key] = max(longest.get(key, 0.0), longest[stage.key])
    return longest
