"""The main job: data → plan → stages not yet in the store → timings → choice."""

from __future__ import annotations

import heapq
import os
import sys
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.prepare import prepare
from niwaki.errors import SpecError, StoreError, WorkerLost
from niwaki.files import sha256_of
from niwaki.models import factory as factories
from niwaki.study import environment
from niwaki.study.plan import Plan, Stage, make_plan
from niwaki.study.records import Record
from niwaki.study.select import Choice, choose
from niwaki.study.spec import StudySpec, resolve
from niwaki.study.stages import Outcome, Task
from niwaki.study.store import CHOICE, CHOSEN, STUDY, TIMINGS, DamagedStage, Store
from niwaki.study.structure import check_structures
from niwaki.study.timing import measure_timings
from niwaki.study.workers import Workers
from niwaki.study.workers.cluster import RayWorkers
from niwaki.study.workers.processes import ProcessWorkers


@dataclass(frozen=True)
class RunOptions:
    """How and where a study runs. Nothing here changes a result but `device` and `data`."""

    out: Path
    data: str | None = None
    jobs: int | None = None
    ray: str | None = None
    device: str = "cpu"
    trust: bool = False
    paths: tuple[str, ...] = ()


class Listener(Protocol):
    """What hears of a run's progress."""

    def message(self, text: str) -> None:
        """Something the user should know."""
        ...

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """The plan is made; `missing` will run."""
        ...

    def started(self, stage: Stage) -> None:
        """A stage was given to a worker."""
        ...

    def finished(self, stage: Stage, record: Record) -> None:
        """A stage is in the store."""
        ...


@dataclass
class StudyResult:
    """What a run leaves beside the folder."""

    folder: Path
    plan: Plan
    records: dict[str, Record]
    lost: dict[str, str] = field(default_factory=dict)  # stages without a result: why
    choice: Choice | None = None

    @property
    def failed(self) -> bool:
        """Whether any stage failed or was lost."""
        return bool(self.lost) or any(record.status == "failed" for record in self.records.values())


def run_study(spec: StudySpec, options: RunOptions, listener: Listener) -> StudyResult:
    """Run a study, or what is missing of it, and return its records.

    Raises NiwakiError for bad input or a folder that cannot be used; KeyboardInterrupt drops the running
    stages and passes on. Failed stages are in the result, not raised.
    """
    check_options(spec, options)
    folder = prepare(spec.data, data=options.data, notify=listener.message)
    data = open_dataset(folder)
    store = Store(options.out)
    with store.driver():
        weights = _imported(spec)
        facts = environment.fingerprint(options.device)
        plan = make_plan(
            spec, data=data.fingerprint, environment=facts, weights_sha256=sha256_of(weights) if weights else None
        )
        _check_same_data(store, data)
        if spec.model.weights is None:
            check_structures(plan, data.input_shape, trust=options.trust)
        store.write_json(STUDY, describe_study(spec, plan, data))
        records = stored(store, plan, listener)
        missing = [stage for stage in plan.stages.values() if stage.key not in records]
        listener.planned(plan, missing)
        result = StudyResult(options.out, plan, records)
        if missing:
            _run_missing(_Job(plan, store, options, listener, result, weights, data.fingerprint, facts), folder)
        timings = _timings(store, result, data, listener, options)
        _choose(spec, store, result, timings)
    return result


def check_options(spec: StudySpec, options: RunOptions) -> None:
    """Refuse, before anything is done, what cannot work."""
    if options.jobs is not None and options.jobs < 1:
        raise SpecError(f"--jobs {options.jobs}: at least one worker is needed; leave it out for one per processor")
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SpecError("--device cuda: torch finds no CUDA device here; use --device cpu")
    for path in reversed(options.paths):
        if path not in sys.path:
            sys.path.insert(0, path)
    for experiment in spec.experiment:
        for _, settings in resolve(spec, experiment):
            factories.check_trust(settings.model.factory, options.trust)


def describe_study(spec: StudySpec, plan: Plan, data: Dataset) -> dict[str, Any]:
    """What `study.json` holds: enough to show the study without its data, on any machine."""
    return {
        "format": 1,
        "spec": spec.model_dump(mode="json"),
        "data": {
            "name": data.name,
            "origin": data.origin,
            "fingerprint": data.fingerprint,
            "synthetic": data.synthetic,
            "labels": list(data.labels),
            "images": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
            "input_shape": list(data.input_shape),
        },
        "environment": environment.describe(),
        "stages": list(plan.stages),
        "trials": [
            {"experiment": t.experiment, "value": t.value, "seed": t.seed, "stages": t.stages, "rows": t.rows}
            for t in plan.trials
        ],
    }


def stored(store: Store, plan: Plan, listener: Listener | None = None) -> dict[str, Record]:
    """The records in the store that the plan asks for; damaged stages are told of and left out."""
    found: dict[str, Record] = {}
    for key in plan.stages:
        try:
            record = store.checked(key)
        except DamagedStage as error:
            if listener:
                listener.message(f"{error}; it will be run again")
            continue
        if record is not None:
            found[key] = record
    return found


@dataclass
class _Job:
    plan: Plan
    store: Store
    options: RunOptions
    listener: Listener
    result: StudyResult
    weights: bytes | None
    data: str
    facts: dict[str, Any]
    retried: set[str] = field(default_factory=set)

    def task(self, stage: Stage) -> Task:
        """A stage with all that a worker needs for it."""
        parent = self.weights if stage.kind == "import" else None
        if stage.parent is not None:
            parent = self.store.weights(stage.parent, self.result.records[stage.parent])
        options = self.options
        return Task(stage, parent, self.data, self.facts, options.device, options.trust, options.paths)


def _run_missing(job: _Job, folder: Path) -> None:
    workers: Workers
    if job.options.ray is not None:
        workers = RayWorkers(folder, job.options.ray)
    else:
        workers = ProcessWorkers(folder, job.options.jobs or default_jobs(job.options.device))
    try:
        _drive(job, workers)
    except BaseException:
        workers.drop()
        raise
    workers.close()


def _drive(job: _Job, workers: Workers) -> None:
    """Keep every slot busy, the longest path first, until nothing more can run."""
    urgency = _urgency(job.plan)
    children: dict[str | None, list[Stage]] = {}
    for stage in job.plan.stages.values():
        children.setdefault(stage.parent, []).append(stage)
    ready: list[tuple[float, int, Stage]] = []
    order = {key: index for index, key in enumerate(job.plan.stages)}

    def offer(stages: Iterable[Stage]) -> None:
        for stage in stages:
            if stage.key in job.result.records:
                _skip_if_failed(job, stage)
                offer(children.get(stage.key, []))
            elif _parent_is_done(job, stage):
                heapq.heappush(ready, (-urgency[stage.key], order[stage.key], stage))

    offer(children[None])
    running: dict[Future[Outcome], Stage] = {}
    while ready or running:
        while ready and len(running) < workers.slots:
            stage = heapq.heappop(ready)[2]
            running[workers.submit(job.task(stage))] = stage
            job.listener.started(stage)
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=lambda f: order[running[f].key]):
            stage = running.pop(future)
            if _take(job, stage, future):
                offer(children.get(stage.key, []))
            elif stage.key not in job.result.lost:
                offer([stage])


def _take(job: _Job, stage: Stage, future: Future[Outcome]) -> bool:
    """Store what a worker hands back. False if it was lost; then it may be offered once more."""
    try:
        outcome = future.result()
    except WorkerLost as error:
        if stage.key in job.retried:
            job.result.lost[stage.key] = str(error)
            job.listener.message(f"{stage.label}: {error}, twice; left out")
        job.retried.add(stage.key)
        return False
    except Exception as error:  # not a result: nothing is recorded, the rest goes on
        job.result.lost[stage.key] = f"{type(error).__name__}: {error}"
        job.listener.message(f"{stage.label}: {type(error).__name__}: {error}")
        return False
    job.store.put(outcome.record, outcome.weights)
    job.result.records[stage.key] = outcome.record
    job.listener.finished(stage, outcome.record)
    return True


def _parent_is_done(job: _Job, stage: Stage) -> bool:
    if stage.parent is None:
        return True
    record = job.result.records.get(stage.parent)
    return record is not None and record.status == "done"


def _skip_if_failed(job: _Job, stage: Stage) -> None:
    record = job.result.records[stage.key]
    if record.status == "failed":
        job.listener.message(f"{stage.label}: failed before: {record.reason}")


def _urgency(plan: Plan) -> dict[str, float]:
    """Epochs from a stage to the end of its longest path."""
    longest: dict[str, float] = {}
    for stage in reversed(plan.stages.values()):  # children come after their parents
        own = stage.epochs + 0.1
        longest[stage.key] = own + longest.get(stage.key, 0.0)
        if stage.parent is not None:
            longest[stage.parent] = max(longest.get(stage.parent, 0.0), longest[stage.key])
    return longest


def default_jobs(device: str) -> int:
    """One worker per processor that this process may use; one alone on a GPU."""
    if device == "cuda":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _imported(spec: StudySpec) -> bytes | None:
    path = spec.model.weights
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"model.weights = {str(path)!r}: cannot be read: {error.strerror}") from error


def _check_same_data(store: Store, data: Dataset) -> None:
    before = store.read_json(STUDY)
    known = (before or {}).get("data", {}).get("fingerprint")
    if known is not None and known != data.fingerprint:
        raise StoreError(
            f"{store.folder}: this study began on other data (fingerprint {known[:12]}…, now {data.fingerprint[:12]}… "
            f"from {data.origin}): bring that data back, or start anew with another --out"
        )


def _timings(
    store: Store, result: StudyResult, data: Dataset, listener: Listener, options: RunOptions
) -> dict[str, Any] | None:
    try:
        known = store.read_json(TIMINGS)
    except StoreError as error:
        listener.message(str(error))
        known = None
    timings = measure_timings(store, result.records, result.plan, data, known, listener.message, options.trust)
    if timings is not None and timings is not known:
        store.write_json(TIMINGS, dict(timings))
    return dict(timings) if timings else None


def _choose(spec: StudySpec, store: Store, result: StudyResult, timings: dict[str, Any] | None) -> None:
    if spec.select is None:
        return
    latency = {key: rows["1"]["median_us"] for key, rows in (timings or {}).get("models", {}).items()}
    result.choice = choose(spec.select, result.plan, result.records, latency)
    if result.choice.key is not None:
        store.write(CHOSEN, store.weights(result.choice.key, result.records[result.choice.key]))
    store.write_json(CHOICE, result.choice.to_dict())
