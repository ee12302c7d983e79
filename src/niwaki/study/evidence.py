"""What a report shows beside the records: the predictions of the base and the chosen model, with the images.

`evidence.json` holds them, so a report needs neither the data nor the weights; `bench.json` holds the time of every
form of both models, measured after everything else, alone on the machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from niwaki.data.dataset import Dataset
from niwaki.errors import ModelError, NiwakiError, StoreError, step
from niwaki.folders import temporary
from niwaki.measure.predict import torch_predictor
from niwaki.models import modelfile
from niwaki.models.structure import weighted_layers
from niwaki.notify import Notify
from niwaki.study import environment
from niwaki.study.answers import Answers, answers_of, moved, pictures, samples, telling
from niwaki.study.export_chosen import exported_forms
from niwaki.study.layer_facts import ChangeFacts, LayerCodes, LayerFacts, LayerLosses, Sensitivity
from niwaki.study.layers import codes_of, layers_of
from niwaki.study.records import Record, float_record
from niwaki.study.result_files import (
    BaseFacts,
    Bench,
    Compared,
    Evidence,
    FormFootprint,
    FormTime,
    LeftOut,
    ModelFacts,
)
from niwaki.study.scheduler import StudyResult
from niwaki.study.store import FORMS, Store
from niwaki.study.structure import one_thread
from niwaki.training.sensitivity import Change, sensitivity

if TYPE_CHECKING:
    from niwaki.deploy.exported import Export

ROUNDS, BUDGET_S = 100, 30.0
MOST, FEWEST, AT_ONCE = 2000, 200, 40_000  # images on which sensitivity is measured: fewer for networks of many layers


@dataclass(frozen=True)
class Pair:
    """The base and the chosen model, both in float; `chosen` is None if nothing was chosen."""

    base: Record
    chosen: Record | None


@dataclass(frozen=True)
class Job:
    """What is compared, on which data, and where it is stored. `exported`: whether the chosen model has its forms."""

    store: Store
    pair: Pair
    data: Dataset
    exported: bool
    notify: Notify
    trust: bool


@step("comparing the base with the chosen model")
def gather_evidence(store: Store, result: StudyResult, data: Dataset, notify: Notify, *, trust: bool) -> None:
    """Write `evidence.json` and `bench.json`; existing files are kept if they describe the same models and forms.

    Neither is written if the study has no finished base. The int8 forms of the base are made for the comparison and not
    kept: if one is missing, the reason is stored instead.
    """
    pair = _pair(result)
    if pair is None:
        store.forget(Evidence, Bench)
        return
    made_of = _identity(pair, result, data)
    timed_of = made_of.model_copy(update={"processor": environment.processor_name()})
    evidence = _known(store, Evidence, made_of, notify)
    bench = _known(store, Bench, timed_of, notify)
    job = Job(store, pair, data, bool(result.verification and result.verification.exists), notify, trust)
    if not job.exported:
        store.forget(Bench)
    if evidence is not None and is_complete(evidence) and (bench is not None or not job.exported):
        return
    both = "comparing the base with the chosen model, answer by answer"
    notify(both if pair.chosen else "storing the base's answers for the report")
    with one_thread(), _forms(job, result) as forms:
        store.save(_evidence(job, made_of, forms))
        if job.exported:
            store.save(_bench(job, timed_of, forms))


def _pair(result: StudyResult) -> Pair | None:
    key = result.choice.key if result.choice else None
    trials = [trial for trial in result.plan.trials if key is None or key in trial.rows]
    bases = [result.records.get(trial.rows[0]) for trial in trials]
    base = next((record for record in bases if record is not None and record.status == "done"), None)
    if base is None:
        return None
    return Pair(base, float_record(result.records, key) if key is not None else None)


def _identity(pair: Pair, result: StudyResult, data: Dataset) -> Compared:
    found = result.verification
    return Compared(
        base=pair.base.weights_sha256,
        chosen=pair.chosen.weights_sha256 if pair.chosen else None,
        forms=found.files if found else None,
        data=data.fingerprint,
    )


def is_complete(evidence: Evidence) -> bool:
    """Whether it says all that this version gathers."""
    return {"layers", "sensitivity"} <= evidence.model_fields_set and evidence.base.int8.complete


Gathered = TypeVar("Gathered", Evidence, Bench)


def _known(store: Store, kind: type[Gathered], made_of: Compared, notify: Notify) -> Gathered | None:
    try:
        known = store.load(kind)
    except StoreError as error:
        notify(str(error))
        return None
    fits = known is not None and known.made_of.to_dict() == made_of.to_dict()
    return known if fits else None


@dataclass(frozen=True)
class Forms:
    """The forms of both, opened; None if there are none. `needs` is what the base's C needs, or why it has none."""

    base: Export | None
    chosen: Export | None
    needs: FormFootprint


@contextlib.contextmanager
def _forms(job: Job, result: StudyResult) -> Iterator[Forms]:
    """The forms of the chosen model, and those of the base in a temporary folder, made in the same way."""
    if not job.exported or result.verification is None:
        yield Forms(None, None, FormFootprint(reason="no model was exported"))
        return
    from niwaki.deploy.export import export_all
    from niwaki.deploy.exported import look_into
    from niwaki.deploy.forms import ExportOptions

    chosen = look_into(job.store.folder / FORMS)
    weights = job.store.weights(job.pair.base.key, job.pair.base)
    options = ExportOptions(settings=result.verification.made_of.settings, trust=job.trust)
    with temporary("base") as name:
        folder = Path(name) / "base"
        try:
            report = export_all(weights, folder, data=job.data, options=options)
        except ModelError as error:
            yield Forms(None, chosen, FormFootprint(reason=str(error)))
            return
        c = exported_forms(report).get("c")
        if c is None:
            yield Forms(None, chosen, FormFootprint(reason=report.missing["c"]))
            return
        yield Forms(look_into(folder), chosen, FormFootprint(flash=c.flash, ram=c.ram, board=c.board, layers=c.layers))


def _evidence(job: Job, made_of: Compared, forms: Forms) -> Evidence:
    answers = _answers(job, forms)
    labels = job.data.test.labels
    shown = telling(answers, labels)
    chosen = job.pair.chosen
    return Evidence(
        made_of=made_of,
        base=BaseFacts(key=job.pair.base.key, int8=forms.needs),
        chosen=ModelFacts(key=chosen.key) if chosen else None,
        confusion={name: found.confusion(labels, job.data.num_classes) for name, found in answers.items()},
        shown=shown,
        moved=moved(answers, labels),
        classes=samples(job.data),
        images=pictures(job.data, (number for numbers in shown.values() for number in numbers)),
        answers={name: found.of(labels, shown) for name, found in answers.items()},
        layers=_layers(job),
        codes=_codes(job, forms),
        sensitivity=_sensitivity(job),
    )


def _sensitivity(job: Job) -> Sensitivity | None:
    """What the base loses layer by layer; None for a network that cannot be examined so."""
    model, _ = modelfile.loads(job.store.weights(job.pair.base.key, job.pair.base), trust=job.trust)
    layers = sum(1 for _ in weighted_layers(model))
    most = max(FEWEST, min(MOST, AT_ONCE // max(layers, 1)))
    with contextlib.suppress(NiwakiError):
        found = sensitivity(model, job.data, most if most < len(job.data.validation) else None)
        return Sensitivity(
            images=found.images,
            accuracy=found.accuracy,
            layers=tuple(
                LayerLosses(name=layer.name, pruned=_losses(layer.pruned), rounded=_losses(layer.rounded))
                for layer in found.layers
            ),
        )
    return None


def _losses(changes: Mapping[int, Change | None]) -> dict[str, ChangeFacts | None]:
    return {
        str(how): None if change is None else ChangeFacts(loss=change.loss, noise=change.noise)
        for how, change in changes.items()
    }


def _layers(job: Job) -> dict[str, tuple[LayerFacts, ...]]:
    """The layers of the base and of the chosen model; none for a network that cannot be counted at the images' size."""
    records = {"base": job.pair.base, "chosen": job.pair.chosen}
    found = {}
    for name, record in records.items():
        if record is not None:
            model, info = modelfile.loads(job.store.weights(record.key, record), trust=job.trust)
            with contextlib.suppress(ModelError):
                found[name] = layers_of(model, info.input_shape)
    return found


def _codes(job: Job, forms: Forms) -> dict[str, tuple[LayerCodes, ...]]:
    exports = {"base_int8": forms.base, "chosen_int8": forms.chosen}
    found = {}
    for name, export in exports.items():
        with contextlib.suppress(ModelError):
            if export is not None and export.graph is not None:
                found[name] = codes_of(export.graph, job.data.test.images)
    return found


def _answers(job: Job, forms: Forms) -> dict[str, Answers]:
    """The facts of every network that exists, by name."""
    found = {"base": _float_answers(job, job.pair.base)}
    if job.pair.chosen is not None:
        found["chosen"] = _float_answers(job, job.pair.chosen)
    if forms.base is not None:
        found["base_int8"] = int8_answers(forms.base, job.data)
    if forms.chosen is not None:
        with contextlib.suppress(ModelError):  # its int8 may not be an integer network: `verify.json` says so
            found["chosen_int8"] = int8_answers(forms.chosen, job.data)
    return found


def _float_answers(job: Job, record: Record) -> Answers:
    model, _ = modelfile.loads(job.store.weights(record.key, record), trust=job.trust)
    predict = torch_predictor(model, job.data.preprocessing.table())
    return answers_of(predict, job.data.test.images)


def int8_answers(export: Export, data: Dataset) -> Answers:
    """The scores of the integer network, from the reference that the generated C equals to the bit; in real units."""
    from niwaki.codegen.graph import reference
    from niwaki.deploy.runners import inputs_of

    graph = export.graph
    if graph is None:
        raise ModelError(f"{export.folder}: contains no integer network")
    output = graph.tensors[graph.output]

    def predict(images: np.ndarray) -> np.ndarray:
        scores = reference.run(graph, inputs_of(graph, images)).reshape(len(images), -1)
        return (scores.astype(np.float32) - output.zero_point) * np.float32(output.scale)

    return answers_of(predict, data.test.images)


def _bench(job: Job, made_of: Compared, forms: Forms) -> Bench:
    from niwaki.deploy.bench import bench_files

    job.notify("timing every form of the chosen model and of the base, one at a time on one processor")
    named = {"chosen": forms.chosen, "base": forms.base}
    opened = {name: export for name, export in named.items() if export is not None}
    report = bench_files(list(opened.values()), rounds=ROUNDS, budget_s=BUDGET_S, trust=job.trust)
    short = {str(export.folder): name for name, export in opened.items()}
    return Bench(
        made_of=made_of,
        rows=tuple(FormTime(**asdict(replace(row, file=short[row.file]))) for row in report.rows),
        left_out=tuple(LeftOut(**asdict(replace(left, file=short[left.file]))) for left in report.left_out),
        noise_floor=report.noise_floor,
        pinned=report.pinned,
        notes=tuple(_shortened(note, short) for note in report.notes),
    )


def _shortened(note: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        note = note.replace(path, name)
    return note
