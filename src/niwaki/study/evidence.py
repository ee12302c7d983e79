"""What a report shows beside the records: the answers of the base and of the chosen model, with the images.

`evidence.json` holds it, so that a report needs neither the data nor the weights; `bench.json` holds how long every
form of both takes, measured after everything else, alone on the machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niwaki.data.dataset import Dataset
from niwaki.errors import ModelError, StoreError, step
from niwaki.folders import temporary
from niwaki.measure.predict import torch_predictor
from niwaki.models import modelfile
from niwaki.study import environment
from niwaki.study.answers import Answers, answers_of, moved, pictures, telling
from niwaki.study.records import Record, float_record
from niwaki.study.scheduler import StudyResult
from niwaki.study.store import BENCH, EVIDENCE, EVIDENCE_FORMAT, FORMS, Store
from niwaki.study.structure import one_thread

if TYPE_CHECKING:
    from niwaki.deploy.exported import Export

ROUNDS, BUDGET_S = 100, 30.0

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Compared:
    """The base and the chosen model, both in float; `chosen` is None where nothing was chosen."""

    base: Record
    chosen: Record | None


@step("comparing the base with the chosen model")
def gather_evidence(store: Store, result: StudyResult, data: Dataset, notify: Notify, *, trust: bool) -> None:
    """Write `evidence.json` and `bench.json`; what is there is kept where it is of the same models and forms.

    Both are left away where the study has no finished base. The int8 forms of the base are made for the comparison
    and not kept: what they lack is said in their place.
    """
    compared = _compared(result)
    if compared is None:
        _forget(store, EVIDENCE, BENCH)
        return
    made_of = _identity(compared, result, data)
    evidence = _known(store, EVIDENCE, made_of, notify)
    bench = _known(store, BENCH, {**made_of, **_machine()}, notify)
    exported = bool(result.verification and result.verification["ok"] is not None)
    if not exported:
        _forget(store, BENCH)
    if evidence is not None and (bench is not None or not exported):
        return
    both = "the base and the chosen model are compared, answer by answer"
    notify(both if compared.chosen else "the answers of the base are kept for the report")
    with one_thread(), _base_forms(store, compared, result, data, trust) as forms:
        found = _evidence(store, compared, forms, data, trust)
        store.write_json(EVIDENCE, {"format": EVIDENCE_FORMAT, "made_of": made_of, **found})
        if exported:
            timed = _bench(forms, notify, trust)
            store.write_json(BENCH, {"format": EVIDENCE_FORMAT, "made_of": {**made_of, **_machine()}, **timed})


def _compared(result: StudyResult) -> Compared | None:
    key = result.choice.key if result.choice else None
    trials = [trial for trial in result.plan.trials if key is None or key in trial.rows]
    bases = [result.records.get(trial.rows[0]) for trial in trials]
    base = next((record for record in bases if record is not None and record.status == "done"), None)
    if base is None:
        return None
    return Compared(base, float_record(result.records, key) if key is not None else None)


def _identity(compared: Compared, result: StudyResult, data: Dataset) -> dict[str, Any]:
    return {
        "base": compared.base.weights_sha256,
        "chosen": compared.chosen.weights_sha256 if compared.chosen else None,
        "forms": (result.verification or {}).get("files"),
        "data": data.fingerprint,
    }


def _machine() -> dict[str, str]:
    return {"processor": environment.processor_name()}


def _known(store: Store, name: str, made_of: Mapping[str, Any], notify: Notify) -> dict[str, Any] | None:
    try:
        known = store.read_json(name)
    except StoreError as error:
        notify(str(error))
        return None
    fits = known is not None and known.get("format") == EVIDENCE_FORMAT and known.get("made_of") == made_of
    return known if fits else None


def _forget(store: Store, *names: str) -> None:
    for name in names:
        (store.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Forms:
    """The forms of both, opened; each is None where there are none."""

    base: Export | None
    chosen: Export | None
    told: dict[str, Any]
    """What the base's int8 needs on a board, or why there is none."""


@contextlib.contextmanager
def _base_forms(store: Store, compared: Compared, result: StudyResult, data: Dataset, trust: bool) -> Iterator[_Forms]:
    """The forms of the chosen model, and those of the base in a temporary folder, made in the same way."""
    if result.verification is None or result.verification["ok"] is None:
        yield _Forms(None, None, {"reason": "no model was exported"})
        return
    from niwaki.deploy.export import export_all
    from niwaki.deploy.exported import look_into
    from niwaki.training.settings import QuantizeSettings

    chosen = look_into(store.folder / FORMS)
    settings = QuantizeSettings(**result.verification["made_of"]["quantize"])
    weights = store.weights(compared.base.key, compared.base)
    with temporary("base") as name:
        folder = Path(name) / "base"
        try:
            report = export_all(weights, folder, data=data, settings=settings, trust=trust).to_dict()
        except ModelError as error:
            yield _Forms(None, chosen, {"reason": str(error)})
            return
        c = report["forms"].get("c")
        if c is None:
            yield _Forms(None, chosen, {"reason": report["missing"]["c"]})
            return
        yield _Forms(look_into(folder), chosen, {"flash": c["flash"], "ram": c["ram"], "board": c["board"]})


def _evidence(store: Store, compared: Compared, forms: _Forms, data: Dataset, trust: bool) -> dict[str, Any]:
    answers: dict[str, Answers] = {"base": _float_answers(store, compared.base, data, trust)}
    if compared.chosen is not None:
        answers["chosen"] = _float_answers(store, compared.chosen, data, trust)
    if forms.base is not None:
        answers["base_int8"] = int8_answers(forms.base, data)
    if forms.chosen is not None:
        with contextlib.suppress(ModelError):  # its int8 may be no integer network: `verify.json` says so
            answers["chosen_int8"] = int8_answers(forms.chosen, data)
    shown = telling(answers, data.test.labels)
    return {
        "base": {"key": compared.base.key, "int8": forms.told},
        "chosen": {"key": compared.chosen.key} if compared.chosen else None,
        "confusion": {name: found.confusion(data.test.labels, data.num_classes) for name, found in answers.items()},
        "shown": shown,
        "moved": moved(answers, data.test.labels),
        **pictures(data, [number for numbers in shown.values() for number in numbers]),
        "answers": {name: found.to_dict(data.test.labels, shown) for name, found in answers.items()},
    }


def _float_answers(store: Store, record: Record, data: Dataset, trust: bool) -> Answers:
    model, _ = modelfile.loads(store.weights(record.key, record), trust=trust)
    predict = torch_predictor(model, data.preprocessing.table())
    return answers_of(predict, data.test.images)


def int8_answers(export: Export, data: Dataset) -> Answers:
    """Of the integer network, by the reference that the generated C equals to the bit; scores in real units."""
    from niwaki.codegen import reference
    from niwaki.deploy.runners import inputs_of

    graph = export.graph
    if graph is None:
        raise ModelError(f"{export.folder}: holds no integer network")
    output = graph.tensors[graph.output]

    def predict(images: np.ndarray) -> np.ndarray:
        scores = reference.run(graph, inputs_of(graph, images)).reshape(len(images), -1)
        return (scores.astype(np.float32) - output.zero_point) * np.float32(output.scale)

    return answers_of(predict, data.test.images)


def _bench(forms: _Forms, notify: Notify, trust: bool) -> dict[str, Any]:
    from niwaki.deploy.bench import bench_files

    notify("timing every form of the chosen model, and of the base, alone on one processor")
    named = {"chosen": forms.chosen, "base": forms.base}
    opened = {name: export for name, export in named.items() if export is not None}
    report = bench_files(list(opened.values()), rounds=ROUNDS, budget_s=BUDGET_S, trust=trust).to_dict()
    short = {str(export.folder): name for name, export in opened.items()}
    for row in (*report["rows"], *report["left_out"]):
        row["file"] = short[row["file"]]
    report["notes"] = [_shortened(note, short) for note in report["notes"]]
    return report


def _shortened(note: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        note = note.replace(path, name)
    return note
