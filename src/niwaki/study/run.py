"""The main job: data → plan → stages not yet in the store → timings → choice → its verified forms → evidence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.split import USUAL
from niwaki.errors import Setting, SpecError, StoreError, step
from niwaki.files import file_in_the_way
from niwaki.models import factory as factories
from niwaki.study import environment
from niwaki.study.evidence import gather_evidence
from niwaki.study.export_chosen import finish
from niwaki.study.fitting import check_teachers, fit_data
from niwaki.study.imports import Imports, adopt_files, factories_of
from niwaki.study.listener import Listener
from niwaki.study.plan import Plan, Trial, make_plan
from niwaki.study.records import Record, float_record
from niwaki.study.result_files import Choice, DataFacts, Images, Machine, StoredTrial, Study, Timings
from niwaki.study.scheduler import Job, StudyResult, drive
from niwaki.study.select import choose, latencies
from niwaki.study.spec import StudySpec
from niwaki.study.store import CHOSEN, DamagedStage, Store
from niwaki.study.structure import check_structures
from niwaki.study.timing import Networks, measure_timings
from niwaki.study.workers import Workers
from niwaki.study.workers.cluster import RayWorkers
from niwaki.study.workers.processes import ProcessWorkers, check_guard

_NO_FILES = Imports()


@dataclass(frozen=True)
class RunOptions:
    """How and where a study runs. Only `device` and `data` can change a result."""

    out: Path
    data: str | None = None
    jobs: int | None = None
    ray: str | None = None
    device: str = "cpu"
    trust: bool = False
    paths: tuple[str, ...] = ()


def run_study(spec: StudySpec, options: RunOptions, listener: Listener) -> StudyResult:
    """Run a study, or what is missing of it, and return its records.

    Raises NiwakiError for bad input, an unusable folder or a script without its guard; on KeyboardInterrupt it drops
    the running stages and passes the error on. Failed stages are in the result, not raised.
    """
    check_guard()
    spec, files = adopt_files(spec)
    check_options(spec, options, files.imports)
    folder = prepare(spec.data, data=options.data, notify=listener.message)
    decoded = open_dataset(folder)
    data = _fitted(spec, files.weights, decoded, options, listener)
    check_teachers(files, data)
    store = Store(options.out)
    with store.driver():
        facts = environment.fingerprint(options.device)
        plan = make_plan(
            spec, data=data.fingerprint, environment=facts, imports=files.imports,
            classes=data.labels if data.labels != decoded.labels else None,
        )  # fmt: skip
        _check_same_study(store, spec, data, listener)
        if spec.model.weights is None:
            check_structures(plan, data.input_shape, listener.message, trust=options.trust)
        _forget_choice(store)
        store.save(describe_study(spec, plan, data))
        records = stored(store, plan, listener)
        missing = [stage for stage in plan.stages.values() if stage.key not in records]
        listener.planned(plan, missing)
        result = StudyResult(options.out, plan, records)
        if missing:
            job = Job(
                plan, store, options.device, options.trust, options.paths, listener, result, files.contents,
                data.fingerprint, facts,
            )  # fmt: skip
            _run_missing(job, options, folder)
        timings = _timings(spec, store, result, data, listener, options)
        _choose(spec, store, result, timings, data)
        result.verification = finish(spec, store, result, data, listener.message, trust=options.trust)
        gather_evidence(store, result, data, listener.message, trust=options.trust)
    return result


def _fitted(
    spec: StudySpec, weights: bytes | None, decoded: Dataset, options: RunOptions, listener: Listener
) -> Dataset:
    """The data in the form that the study's networks take. Raises NiwakiError, before anything runs, if they do not."""
    try:
        return fit_data(spec, weights, decoded, trust=options.trust, notify=listener.message)
    except SpecError as error:
        if options.data is None:
            raise
        raise SpecError(error, ", in the study's file (niwaki study copy writes one from a built-in study)") from error


def check_options(spec: StudySpec, options: RunOptions, imports: Imports = _NO_FILES) -> None:
    """Refuse, before anything runs, what cannot work."""
    if options.jobs is not None and options.ray is not None:
        why = " exclude each other: a cluster has as many workers as processors"
        raise SpecError(Setting("jobs"), " and ", Setting("ray"), why)
    if options.jobs is not None and options.jobs < 1:
        asked = Setting("jobs", str(options.jobs))
        raise SpecError(asked, ": at least one worker is needed; leave it out for one per processor")
    if place := file_in_the_way(options.out):
        raise StoreError(f"{place} is a file: give a folder with ", Setting("out"))
    factories.look_in(options.paths)
    for factory in sorted(factories_of(spec, imports)):
        factories.check_trust(factory, options.trust)


def describe_study(spec: StudySpec, plan: Plan, data: Dataset) -> Study:
    """The content of `study.json`: enough to show the study without its data, on any machine."""
    return Study(
        spec=spec.model_dump(mode="json"),
        data=DataFacts(
            name=data.name,
            origin=data.origin,
            fingerprint=data.fingerprint,
            synthetic=data.synthetic,
            labels=list(data.labels),
            images=Images(train=len(data.train), validation=len(data.validation), test=len(data.test)),
            input_shape=data.input_shape,
            **({"notes": data.notes} if data.notes else {}),
        ),
        environment=Machine(**environment.describe()),
        stages=tuple(plan.stages),
        trials=tuple(map(_stored, plan.trials)),
    )


def _stored(trial: Trial) -> StoredTrial:
    return StoredTrial(
        experiment=trial.experiment, value=trial.value, seed=trial.seed, stages=trial.stages, rows=trial.rows,
        quantize=trial.quantized,
    )  # fmt: skip


def stored(store: Store, plan: Plan, listener: Listener | None = None) -> dict[str, Record]:
    """The records in the store that the plan needs; damaged stages are reported and left out."""
    found: dict[str, Record] = {}
    for key in plan.stages:
        try:
            record = store.checked(key)
        except DamagedStage as error:
            if listener:
                listener.message(f"{error}; it will run again")
            continue
        if record is not None:
            found[key] = record
    return found


def _run_missing(job: Job, options: RunOptions, folder: Path) -> None:
    workers: Workers
    if options.ray is not None:
        workers = RayWorkers(folder, options.ray, options.device)
    else:
        workers = ProcessWorkers(folder, options.jobs or default_jobs(options.device))
    try:
        drive(job, workers)
    except BaseException:
        workers.drop()
        raise
    workers.close()


def default_jobs(device: str) -> int:
    """One worker per processor that this process may use; only one on a GPU."""
    if device == "cuda":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_same_study(store: Store, spec: StudySpec, data: Dataset, listener: Listener) -> None:
    before = store.load(Study)
    if before is None:
        return
    if not _is_spec(before.spec, spec):
        listener.message(f"{store.folder} holds this study with other settings: stages that still fit are reused")
    known = before.data.fingerprint
    if known != data.fingerprint:
        raise StoreError(
            f"{store.folder}: this study began with other data: {before.data.origin} (fingerprint {known[:12]}…), now "
            f"{data.origin} ({data.fingerprint[:12]}…): give it the earlier data, or start a new study with another ",
            Setting("out"),
        )  # fmt: skip


def _is_spec(stored: Any, spec: StudySpec) -> bool:
    """Whether a stored specification equals `spec`; one from an earlier version lacks newer keys."""
    try:
        before = _meant(StudySpec.model_validate(stored))
        return before.model_dump(mode="json") == _meant(spec).model_dump(mode="json")
    except ValidationError:
        return False


def _meant(spec: StudySpec) -> StudySpec:
    """A normalized specification; the default number of validation images was once written as if it had been set."""
    if spec.data.validation != USUAL:
        return spec
    return spec.model_copy(update={"data": spec.data.model_copy(update={"validation": None})})


def _timings(
    spec: StudySpec, store: Store, result: StudyResult, data: Dataset, listener: Listener, options: RunOptions
) -> Timings | None:
    try:
        known = store.load(Timings)
    except StoreError as error:
        listener.message(str(error))
        known = None
    in_onnxruntime = {experiment.name for experiment in spec.experiment if "latency_ort" in experiment.columns}
    if spec.select and any(limit.quantity == "latency" for limit in spec.select.limits):
        in_onnxruntime.add(spec.select.experiment)
    networks = Networks(store, result.records, result.plan, in_onnxruntime, data.input_shape, options.trust)
    timings = measure_timings(networks, known, listener.message)
    if timings is not None and timings is not known:
        store.save(timings)
    return timings


@step("choosing a model")
def _choose(spec: StudySpec, store: Store, result: StudyResult, timings: Timings | None, data: Dataset) -> None:
    if spec.select is None:
        return
    result.choice = choose(spec.select, result.plan, result.records, latencies(timings), data.labels)
    if result.choice.key is not None:
        record = float_record(result.records, result.choice.key)
        store.write(CHOSEN, store.weights(record.key, record))
    store.save(result.choice)


def _forget_choice(store: Store) -> None:
    """Remove the choice of an earlier run: nothing is chosen until this run has judged."""
    store.forget(Choice)
    (store.folder / CHOSEN).unlink(missing_ok=True)
