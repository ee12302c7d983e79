"""The chosen model of a study as ONNX, int8 ONNX and C, and whether these forms agree."""

from __future__ import annotations

import importlib.metadata
import shutil
from typing import TYPE_CHECKING

from niwaki.data.dataset import Dataset
from niwaki.deploy.folder import hashes_in
from niwaki.errors import NiwakiError, StoreError, Wording, step
from niwaki.files import sha256_of
from niwaki.models.opset import at_opset
from niwaki.notify import Notify
from niwaki.study.plan import Trial
from niwaki.study.records import float_record
from niwaki.study.result_files import (
    Board,
    ExportIdentity,
    FormAccuracy,
    FormAgreement,
    FormFootprint,
    Verification,
    VerifiedForm,
)
from niwaki.study.scheduler import StudyResult
from niwaki.study.spec import StudySpec
from niwaki.study.store import CHOSEN, FORMS, Store
from niwaki.study.structure import one_thread
from niwaki.training.settings import QuantizeSettings

if TYPE_CHECKING:
    from niwaki.compiled.footprint import TargetFootprint
    from niwaki.deploy.compare_forms import FormReport
    from niwaki.deploy.export import ExportReport
    from niwaki.deploy.forms import ExportOptions
    from niwaki.deploy.verify import VerifyReport


@step("exporting and verifying the chosen model")
def finish(
    spec: StudySpec, store: Store, result: StudyResult, data: Dataset, notify: Notify, *, trust: bool
) -> Verification | None:
    """Export the chosen model to `chosen/` and verify its forms; returns what `verify.json` says, None without a
    choice.

    `ok` says whether all forms agree; it is None, with a `reason`, if none could be made. A form that cannot be made
    (because the integer C does not support the network) is `missing`; the others are written. Existing forms are kept
    if their files are intact, were made from the same model in the same way, and no more of them can run here than
    before.
    """
    from niwaki.deploy.forms import ExportOptions

    key = result.choice.key if result.choice else None
    if key is None or (spec.select and not spec.select.export):
        _forget(store)
        return None
    settings, int8 = _quantization(spec, store, result, key)
    opset = spec.select.opset if spec.select else None
    made_of = _identity(float_record(result.records, key).weights_sha256, settings, int8)
    if opset is not None:
        made_of = made_of.model_copy(update={"opset": opset})
    known = _known(store, notify)
    same = known is not None and known.made_of.to_dict() == made_of.to_dict()
    if known is not None and same and known.files == hashes_in(store.folder / FORMS):
        return known
    _forget(store)
    with one_thread():
        found = _export_and_verify(store, data, ExportOptions(opset, settings=settings, trust=trust), int8, notify)
    found = found.model_copy(update={"made_of": made_of, "files": hashes_in(store.folder / FORMS)})
    store.save(found)
    return found


def _export_and_verify(
    store: Store, data: Dataset, options: ExportOptions, int8: bytes | None, notify: Notify
) -> Verification:
    from niwaki.deploy.export import export_all
    from niwaki.deploy.verify import VerifyOptions, verify_folder

    notify("exporting the chosen model and verifying its forms")
    folder = store.folder / FORMS
    try:
        if int8 is not None and options.opset is not None:
            int8 = at_opset(int8, options.opset)
        exported = export_all(store.folder / CHOSEN, folder, data=data, options=options, int8=int8, notify=notify)
        report = verify_folder(folder, data=data, options=VerifyOptions(trust=options.trust), notify=notify)
    except NiwakiError as error:
        notify(Wording("the chosen model cannot be exported and verified: ", error))
        return Verification(ok=None, reason=str(error))
    for name, why in exported.missing.items():
        notify(Wording(f"the chosen model has no {name}: ", why))
    for form in report.forms:
        if form.ok is False:
            said = (
                "the forms of the chosen model disagree"
                if form.images
                else "a form of the chosen model could not be compared"
            )
            notify(Wording(f"{said}: {form.form} ({form.how}): ", form.reason))
    return _verification(exported, report)


def _verification(exported: ExportReport, report: VerifyReport) -> Verification:
    return Verification(
        ok=report.ok,
        images=report.of,
        forms=tuple(map(_verified, report.forms)),
        notes=report.notes,
        summary=report.summary,
        not_run=report.not_run,
        not_held=report.not_held,
        not_compared=report.not_compared,
        far=report.far,
        exported=exported_forms(exported),
        missing={str(form): why for form, why in exported.missing.items()},
        export_notes=exported.notes,
    )


def _verified(report: FormReport) -> VerifiedForm:
    right, found = report.right, report.agreement
    return VerifiedForm(
        form=report.form,
        how=report.how,
        ok=report.ok,
        images=report.images,
        accuracy=FormAccuracy(
            correct=right.correct, total=right.total, percent=right.percent, interval=right.interval
        )
        if right
        else None,
        agreement=FormAgreement(
            against=found.against, same_class=found.same_class, equal=found.equal, difference=found.difference,
            unit=found.unit,
        )
        if found
        else None,
        reason=report.reason or None,
    )  # fmt: skip


def exported_forms(report: ExportReport) -> dict[str, FormFootprint]:
    """What each form of an export needs, by name."""
    found = {str(form): FormFootprint(bytes=size) for form, size in report.sizes.items()}
    if report.footprint:
        needs = report.footprint
        found["c"] = FormFootprint(
            bytes=report.sizes["c"], flash=needs.constant_bytes, ram=needs.ram_bytes, arena=needs.arena_bytes,
            layers=needs.layer_bytes,
            board=_on_board(report.board) if report.board else None,
        )  # fmt: skip
    return found


def _on_board(found: TargetFootprint) -> Board:
    return Board(
        cpu=found.cpu, optimization=found.optimization, flash=found.flash, code=found.all_code,
        constants=found.constant_bytes, ram=found.ram, stack=found.stack,
    )  # fmt: skip


def _quantization(
    spec: StudySpec, store: Store, result: StudyResult, key: str
) -> tuple[QuantizeSettings, bytes | None]:
    """The settings that make the chosen model int8, and the ONNX of the stage that did it, if a trial did.

    Without such a stage, they are the study's settings if those are static, otherwise the defaults.
    """
    itself = [trial for trial in result.plan.trials if key == trial.rows[-1]]
    of_it = [trial for trial in result.plan.trials if key in trial.rows[-2:-1]]
    for trial in filter(_is_integer, (*itself, *of_it)):
        record = result.records.get(trial.rows[-1])
        if record is not None and record.status == "done" and trial.settings.quantize:
            return trial.settings.quantize, store.weights(record.key, record)
    stated = spec.quantize if spec.quantize and spec.quantize.kind == "static" else None
    return stated or QuantizeSettings(), None


def _is_integer(trial: Trial) -> bool:
    return trial.quantized in ("static", "qat")


def _identity(model_sha256: str | None, settings: QuantizeSettings, int8: bytes | None) -> ExportIdentity:
    """Everything that determines what is exported, and what can be verified here."""
    from niwaki.toolchain.targets import TARGETS, missing_tools

    tools = ("niwaki", "torch", "onnx", "onnxscript", "onnxruntime")
    return ExportIdentity(
        model=model_sha256,
        int8=sha256_of(int8) if int8 else None,
        quantize=settings.stated(),
        versions={name: importlib.metadata.version(name) for name in tools},
        missing={name: tuple(missing_tools(target)) for name, target in sorted(TARGETS.items())},
    )


def _known(store: Store, notify: Notify) -> Verification | None:
    try:
        known = store.load(Verification)
    except StoreError as error:
        notify(str(error))
        return None
    if known is None or not {"made_of", "files"} <= known.model_fields_set:
        return None
    return known if all(form.complete for form in known.exported.values()) else None


def _forget(store: Store) -> None:
    """Remove the forms of an earlier run; `verify.json` first, since it says that they are complete."""
    store.forget(Verification)
    shutil.rmtree(store.folder / FORMS, ignore_errors=True)
