"""Stages of a search that are not in its store yet: they run on the workers, as those of a study do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from niwaki.errors import StageFailed
from niwaki.search.paths import Path
from niwaki.search.subject import Subject
from niwaki.study.environment import Facts
from niwaki.study.listener import Listener
from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record
from niwaki.study.run import RunOptions, default_jobs, stored
from niwaki.study.scheduler import Job, StudyResult, drive
from niwaki.study.store import Store
from niwaki.study.workers import Workers
from niwaki.study.workers.cluster import RayWorkers
from niwaki.study.workers.processes import ProcessWorkers


class _Clock:
    """Passes everything on to a listener, and notes how long each stage ran."""

    def __init__(self, listener: Listener, seconds: dict[str, float]) -> None:
        self._listener, self._seconds = listener, seconds
        self._begun: dict[str, float] = {}
        self.message, self.planned, self.epoch = listener.message, listener.planned, listener.epoch

    def started(self, stage: Stage) -> None:
        self._begun[stage.key] = time.monotonic()
        self._listener.started(stage)

    def finished(self, stage: Stage, record: Record) -> None:
        if stage.key in self._begun:
            self._seconds[stage.key] = time.monotonic() - self._begun[stage.key]
        self._listener.finished(stage, record)


@dataclass
class Running:
    """Runs what is missing of some paths. Workers start when they are first needed, and end with `close`."""

    subject: Subject
    store: Store
    facts: Facts
    options: RunOptions
    listener: Listener
    ran: int = 0
    """Stages that were not in the store."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each of them ran, by key."""
    _workers: Workers | None = None
    _records: dict[str, Record] = field(default_factory=dict)

    def run(self, paths: Iterable[Path]) -> Mapping[str, Record]:
        """The records of all stages of the paths that ended; the others failed or were lost with their worker."""
        plan = Plan({stage.key: stage for path in paths for stage in path.stages})
        fresh = Plan({key: stage for key, stage in plan.stages.items() if key not in self._records})
        self._records |= stored(self.store, fresh, self.listener)
        missing = [stage for stage in plan.stages.values() if stage.key not in self._records]
        if missing:
            self.listener.planned(plan, missing)
            known = {key: self._records[key] for key in plan.stages if key in self._records}
            result = StudyResult(self.store.folder, plan, known)
            files = {self.subject.weights_sha256: self.subject.weights} if self.subject.weights is not None else {}
            job = Job(
                plan, self.store, self.options.device, self.options.trust, self.options.paths,
                _Clock(self.listener, self.seconds), result,
                {str(key): value for key, value in files.items()}, self.subject.data.fingerprint, self.facts,
            )  # fmt: skip
            drive(job, self._started())
            self._records |= result.records
            self.ran += len(missing)
        return {key: self._records[key] for key in plan.stages if key in self._records}

    def weights(self, key: str) -> bytes:
        """The model of a stage that has run."""
        return self.store.weights(key, self._records[key])

    def record(self, key: str) -> Record:
        """The record of a stage that has run. Raises StageFailed if it has no result."""
        found = self._records.get(key)
        if found is None or found.results is None:
            raise StageFailed(f"stage {key}: no result{f': {found.reason}' if found and found.reason else ''}")
        return found

    @property
    def slots(self) -> int:
        """How many stages run at a time."""
        return self._started().slots

    def close(self) -> None:
        """Let the workers end."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def drop(self) -> None:
        """End the workers at once."""
        if self._workers is not None:
            self._workers.drop()
            self._workers = None

    def _started(self) -> Workers:
        if self._workers is None:
            if self.options.ray is not None:
                self._workers = RayWorkers(self.subject.folder, self.options.ray, self.options.device)
            else:
                jobs = self.options.jobs or default_jobs(self.options.device)
                self._workers = ProcessWorkers(self.subject.folder, jobs)
        return self._workers
