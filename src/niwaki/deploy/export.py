"""From a model file or an ONNX file to a folder of forms that run: float ONNX, int8 ONNX, generated C."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from niwaki.compiled.footprint import TargetFootprint, measure_footprint
from niwaki.data.dataset import Dataset
from niwaki.data.datasets import BUILT_IN
from niwaki.deploy.folder import FolderNote, put
from niwaki.deploy.formats import CHOICES, FILES, KINDS, PROJECTS, TFLITE_FILE, C, Form
from niwaki.deploy.forms import ExportOptions, Making, Material
from niwaki.deploy.origin import Origin, described, measured_on, model_origin, open_origin
from niwaki.deploy.pictures import Pictures, find_pictures
from niwaki.emit.generate import Footprint
from niwaki.errors import ModelError, NiwakiError, Setting, Wording, guess
from niwaki.files import file_in_the_way, sha256_of
from niwaki.models.opset import check_asked
from niwaki.models.provenance import Provenance
from niwaki.notify import Notify, silent
from niwaki.tabular import Column, Tabular
from niwaki.training.settings import QuantizeSettings

ALL = "all"
_VERSIONS = ("niwaki", "torch", "onnx", "onnxruntime")


_COLUMNS: tuple[Column, ...] = (("form", "left"), ("file", "left"), ("bytes", "right"))


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    folder: Path
    origin: str
    sizes: Mapping[Form, int]
    """Bytes of each form's files."""
    calibration: str = ""
    footprint: Footprint | None = None
    """Needs of the C: constants and RAM, known without a compiler."""
    board: TargetFootprint | None = None
    """The same with code, as measured by a compiler for Cortex-M4 and its linker; None if there is none."""
    notes: tuple[str, ...] = ()
    missing: Mapping[Form, str] = field(default_factory=dict)
    """Forms that were requested and cannot be made, each with the reason; the others are written."""
    projects: Mapping[str, Path] = field(default_factory=dict)
    """The folder of each project for a microcontroller."""

    def __repr__(self) -> str:
        missing = f"; missing: {', '.join(self.missing)}" if self.missing else ""
        return f"<ExportReport {self.folder}: {', '.join(self.sizes) or 'nothing'}{missing}>"

    @property
    def ok(self) -> bool:
        """Whether everything requested is there."""
        return not self.missing

    @property
    def paths(self) -> dict[Form, Path]:
        """The path of each form."""
        return {form: self.folder / FILES[form] for form in self.sizes}

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """The files with their bytes; below, what the C needs and what is missing."""
        rows = tuple((form, path.name, f"{self.sizes[form]:,}") for form, path in self.paths.items())
        said = [f"int8 calibrated by {self.calibration}"] if self.calibration else []
        if needs := self.footprint:
            said.append(
                f"C: flash {needs.constant_bytes:,} bytes of constants, plus code; RAM {needs.ram_bytes:,} bytes "
                f"(arena {needs.arena_bytes:,}, with the image; output {needs.output_bytes:,}), plus stack"
            )
            said += [f"C, by stripes of rows: {stripes}" for stripes in needs.stripes]
        if board := self.board:
            said.append(
                f"C on {board.cpu}, compiled with {board.optimization}: flash {board.flash:,} bytes (code "
                f"{board.all_code:,}, constants {board.constant_bytes:,}), RAM {board.ram:,}, stack {board.stack:,}"
            )
        said += [f"{kind}: {PROJECTS[kind]} in {folder}" for kind, folder in self.projects.items()]
        missing = (Wording(f"MISSING {form}: ", reason) for form, reason in self.missing.items())
        return Tabular(_COLUMNS, rows, f"{self.origin}: written to {self.folder}", (*said, *self.notes, *missing))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON. Flash and RAM of `c` are bytes, without code; those of its `board` are with code."""
        forms: dict[Form, dict[str, object]] = {
            form: {"path": str(path), "bytes": self.sizes[form]} for form, path in self.paths.items()
        }
        if self.footprint:
            forms[C] |= {
                "flash": self.footprint.constant_bytes,
                "ram": self.footprint.ram_bytes,
                "arena": self.footprint.arena_bytes,
                "stripes": list(self.footprint.stripes),
                "board": self.board and _on_board(self.board),
            }
        return {
            "folder": str(self.folder),
            "origin": self.origin,
            "calibration": self.calibration or None,
            "forms": forms,
            "missing": dict(self.missing),
            "projects": {kind: str(folder) for kind, folder in self.projects.items()},
            "notes": list(self.notes),
        }


def export_file(
    file: Path,
    forms: Sequence[str],
    out: Path,
    *,
    data: str | None = None,
    options: ExportOptions | None = None,
    notify: Notify = silent,
) -> ExportReport:
    """Write `forms` (onnx, onnx-int8, onnx-dynamic, c, or all) of a model file or an ONNX file into the folder `out`.

    The int8 ONNX is calibrated on training images of the dataset `data`, or of the one that the model was trained on
    according to its file; the C generated from it comes with it. An int8 ONNX (QDQ) becomes C unchanged. A form that
    cannot be made does not affect the others: it is `missing`. The files of the others appear all at once, or not at
    all.

    Raises ModelError if the file, or the request, cannot be used, and DataError if images are needed but not available:
    both only if nothing requested can be made.
    """
    options = options or ExportOptions()
    if place := file_in_the_way(out):
        raise ModelError(f"{place} is a file: give a folder with ", Setting("out"))
    origin = described(open_origin(file), options.preprocessing, options.labels)
    wanted = _wanted(origin, forms)
    check_possible(origin, options)
    pictures = Pictures()
    if origin.preprocessing is not None and origin.kind != "int8" and any(KINDS[form].calibrated for form in wanted):
        pictures = find_pictures(origin.needs, data, notify, any_classes=True)
    elif origin.ending is not None and data is not None:
        found = find_pictures(origin.needs, data, notify, any_classes=True)
        origin = measured_on(origin, found, options.settings.images)
    elif origin.kind == "int8" and (data is not None or options.settings != QuantizeSettings()):
        notify(f"{origin.name}: its ranges stay as they are: nothing is calibrated on images")
    optional = tuple(form for form in CHOICES if KINDS[form].optional) if ALL in forms else ()
    material = Material(origin, pictures, named=data)
    return export(material, wanted, out, options=options, optional=optional, notify=notify)


def export_all(
    model: Path | bytes,
    out: Path,
    *,
    data: Dataset,
    options: ExportOptions,
    int8: bytes | None = None,
    notify: Notify = silent,
) -> ExportReport:
    """Write a model file's float ONNX, int8 ONNX and C into the folder `out`, calibrated on training images of `data`.

    `int8` is an int8 ONNX model made from it earlier with these options: it is used unchanged. A form that cannot be
    made is `missing`. Raises ModelError if none can.
    """
    origin = open_origin(model) if isinstance(model, Path) else model_origin(model)
    pictures = find_pictures(origin.needs, data, notify, any_classes=True)
    forms = tuple(form for form in CHOICES if not KINDS[form].optional)
    return export(Material(origin, pictures, int8=int8), forms, out, options=options, notify=notify)


def export(
    material: Material,
    forms: Sequence[Form],
    out: Path,
    *,
    options: ExportOptions,
    optional: Sequence[Form] = (),
    notify: Notify,
) -> ExportReport:
    """`write_forms`, and compile the C for a microcontroller to see what it needs."""
    report = write_forms(material, forms, out, options=options, optional=optional, notify=notify)
    if report.footprint is None:
        return report
    board, remarks = _measured(out / FILES[C], notify)
    return replace(report, board=board, notes=(*report.notes, *remarks))


def write_forms(
    material: Material,
    forms: Sequence[Form],
    out: Path,
    *,
    options: ExportOptions,
    optional: Sequence[Form] = (),
    notify: Notify,
) -> ExportReport:
    """Write forms of a model into the folder `out`, calibrated on the training images of its pictures.

    `optional` forms that cannot be made are left out with a note, others are `missing`. Raises the first reason if none
    of `forms` can be made.
    """
    origin, named = material.origin, material.named
    making = Making(material, options, notify)
    missing = _make(making, forms, optional)
    note = FolderNote(
        origin=Path(origin.name).name,
        origin_sha256=sha256_of(origin.tflite or origin.given or origin.data),
        provenance=_provenance(origin, making.data),
        data=None if named is None or named in BUILT_IN else str(Path(named).resolve()),
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
        forms=making.notes,
    )
    files = {path: content for form in making.files.values() for path, content in form.items()}
    put(out, files, note, notify)
    sizes = {
        form: sum(len(data) for path, data in made.items() if path != TFLITE_FILE)
        for form, made in making.files.items()
    }
    return ExportReport(
        out, origin.name, sizes, making.calibration, making.footprint, notes=tuple(making.remarks), missing=missing
    )


def _make(making: Making, forms: Sequence[Form], optional: Sequence[Form]) -> dict[Form, str]:
    """Make each form; returns those that cannot be made, with reasons. Raises the first reason if none can."""
    failed: dict[Form, NiwakiError] = {}
    for form in forms:
        try:
            _check_form(making.origin, form)
            making.make(form)
        except NiwakiError as error:
            failed[form] = error
    if failed and not set(forms) - set(failed):
        raise next(iter(failed.values()))
    making.remarks.extend(Wording(f"no {form}: ", error) for form, error in failed.items() if form in optional)
    return {form: str(error) for form, error in failed.items() if form not in optional}


def check_possible(origin: Origin, options: ExportOptions) -> None:
    """Raise ModelError, with what to do, for a file that no form can be made from in this way."""
    if origin.kind == "dynamic":
        raise ModelError(
            f"{origin.name}: is quantized dynamically, which runs in ONNX Runtime only: give the model file or the "
            "float ONNX that it was made from, to quantize it again with calibration images"
        )
    if options.opset is not None:
        if origin.kind != "model":
            why = f"{origin.name}: an ONNX keeps its operator set: leave out "
            raise ModelError(why, Setting("opset"), ", or give a model file")
        check_asked(options.opset)


def _check_form(origin: Origin, form: Form) -> None:
    """Raise ModelError, with what to do, for a form that can never be made from such a file."""
    if origin.kind == "int8" and not KINDS[form].calibrated:
        why = f"{origin.name}: is int8, and no float form can be made from it: "
        raise ModelError(why, Setting("to", '"c"'), " is possible, or give the model file")
    if origin.kind == "float" and origin.preprocessing is None and KINDS[form].calibrated:
        raise ModelError(
            f"{origin.name}: a float ONNX that does not say how pixels become its input, so niwaki cannot "
            "calibrate: say how with ", Setting("preprocessing"), " and name its images with ", Setting("data"),
        )  # fmt: skip


def _wanted(origin: Origin, forms: Sequence[str]) -> tuple[Form, ...]:
    """The forms without repetition, in the order in which they are made. Raises ModelError for an unknown name."""
    unknown = [form for form in forms if form not in (*CHOICES, ALL)]
    if unknown or not forms:
        asked, known = unknown[0] if unknown else "", (*CHOICES, *PROJECTS)
        near = guess(asked, (*known, ALL))
        raise ModelError(Setting("to", f'"{asked}"'), f": {near}expected {', '.join(known)}, or all")
    if ALL not in forms:
        return tuple(form for form in CHOICES if form in forms)
    if origin.kind == "int8":
        return tuple(form for form in CHOICES if KINDS[form].calibrated)
    return CHOICES


def _provenance(origin: Origin, data: Dataset | None) -> Provenance:
    """The model's provenance, or, if it says nothing of its data, the data that it was calibrated on."""
    used = Provenance() if data is None else Provenance.of(data)
    return Provenance({**used, **origin.provenance})


def _measured(folder: Path, notify: Notify) -> tuple[TargetFootprint | None, tuple[str, ...]]:
    notify("measuring the C for Cortex-M4")
    try:
        return measure_footprint(folder), ()
    except NiwakiError as error:
        return None, (f"code size not measured: {error}",)


def _on_board(board: TargetFootprint) -> dict[str, str | int]:
    return {
        "cpu": board.cpu,
        "optimization": board.optimization,
        "flash": board.flash,
        "code": board.all_code,
        "constants": board.constant_bytes,
        "ram": board.ram,
        "stack": board.stack,
    }
