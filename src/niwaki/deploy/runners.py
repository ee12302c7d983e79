"""The forms in an export's folder as functions from raw images to scores, and why some cannot run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.compiled.on_target import run_on_target
from niwaki.deploy.cause import Int8File
from niwaki.deploy.exported import Export
from niwaki.deploy.formats import DYNAMIC, FILES, FORMS, INT8, MODEL, REFERENCE, TFLITE, TORCH, C, Form
from niwaki.deploy.litert import in_graph_order, litert_version, reference_kernels
from niwaki.deploy.origin import input_of
from niwaki.deploy.own import own_files, write_files
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.errors import ModelError, Setting, ToolMissing, Wording
from niwaki.folders import inside, temporary
from niwaki.measure.accuracy import Predict
from niwaki.measure.predict import torch_predictor
from niwaki.models import factory, modelfile
from niwaki.models.onnxfile import metadata
from niwaki.toolchain.compiler import SPEED, compiler_name, find_compiler
from niwaki.toolchain.targets import TARGETS, Target, how_to_get, missing_tools

ONNX_FORMS = tuple(form.name for form in FORMS if form.runs_as_onnx)
_KERNELS = "LiteRT's reference kernels"
PORTABLE = ("-O2", "-DNIWAKI_PORTABLE")
EMULATED = ("-O2",)


@dataclass(frozen=True)
class Subject:
    """One form in one runtime. `run` maps uint8 (n, C, H, W) to scores (n, …); None if it cannot run."""

    form: str
    how: str
    run: Predict | None = None
    reason: str = ""
    """Why it cannot run."""
    failed: bool = False
    """Whether the form is the cause, and not this machine."""
    images: int | None = None
    """The largest number of images: an emulator is slow."""
    at_once: bool = False
    """Whether it takes all images in one call."""
    int8: Int8File | None = None
    """For an int8 ONNX that is an integer network: what is needed to find out why it disagrees."""
    alone: Int8File | None = None
    """The same for a file whose scores are in int8 steps already."""
    even: bool = False
    """Whether it gives int8 steps, of a runtime that rounds halves to even."""
    dynamic: tuple[bytes, np.ndarray] | None = None
    """For a dynamic int8 ONNX: the file, and the input value of each raw pixel, float32 (C, 256)."""


def subjects_of(export: Export, *, trust: bool = False) -> list[Subject]:
    """Every form in the folder: those in float first, then the reference, then what is compared with it."""
    made: list[tuple[Form, str, Callable[[], Subject]]] = [
        (MODEL, TORCH, lambda: _torch(export, trust)),
        *((name, name, partial(_onnxruntime, export, name)) for name in ONNX_FORMS if name != INT8),
        (INT8, REFERENCE, lambda: _reference(export)),
        (INT8, INT8, lambda: _onnxruntime(export, INT8)),
    ]
    there = {*export.onnx, *((MODEL,) if export.info else ())}
    found = []
    for form, name, make in made:
        if form in export.broken and name != REFERENCE:
            found.append(Subject(name, FILES[form], reason=export.broken[form], failed=True))
        elif form in there:
            found.append(_tried(name, FILES[form], make))
    if export.tflite:
        found.append(_tried(TFLITE, _KERNELS, lambda: _litert(export)))
    return [*found, *(_c(export, trust) if export.has_c else ())]


def _tried(form: str, how: str, make: Callable[[], Subject]) -> Subject:
    """A form, or why there is none."""
    try:
        return make()
    except ModelError as error:
        return Subject(form, how, reason=str(error), failed=True)


def _torch(export: Export, trust: bool) -> Subject:
    subject = Subject(TORCH, f"torch {torch.__version__}")
    if export.info and factory.is_foreign(export.info.factory) and not trust:
        why = f"its factory {export.info.factory!r} is not niwaki's: say "
        return replace(subject, reason=Wording(why, Setting("trust", "True"), " to run its code"))
    model, info = modelfile.loads(export.files[MODEL], trust=trust, name=str(export.folder / FILES[MODEL]))
    return replace(subject, run=torch_predictor(model, info.preprocessing.table()))


def _onnxruntime(export: Export, form: Form) -> Subject:
    subject = Subject(form, f"ONNX Runtime {onnxruntime.__version__}")
    entry = input_of(export.onnx[form]).type.tensor_type
    if entry.elem_type != onnx.TensorProto.FLOAT or len(entry.shape.dim) != 4:
        return replace(
            subject, reason="its input is not a batch of float images, the only kind that niwaki tries there"
        )
    table = table_of(export, form)
    if table is None:
        return replace(subject, reason="no file says how pixels become its input")
    name, data = str(export.folder / FILES[form]), export.onnx[form].SerializeToString()
    int8 = Int8File(data, export.graph, table) if form == INT8 and export.graph else None
    dynamic = (data, table) if form == DYNAMIC else None
    return replace(subject, run=onnxruntime_predictor(data, table, name), int8=int8, dynamic=dynamic)


def table_of(export: Export, form: Form) -> np.ndarray | None:
    """The input value of each raw pixel, float32 (C, 256); for an int8 model that does not say, int8 is pixel − 128."""
    preprocessing = metadata(export.onnx[form]).preprocessing or export.preprocessing
    if preprocessing is not None:
        return preprocessing.table()
    if form != INT8 or export.graph is None:
        return None
    entry = export.graph.tensors[export.graph.input]
    values = (np.arange(-128, 128) - entry.zero_point) * np.float64(entry.scale)
    return np.tile(values.astype(np.float32), (entry.shape[0], 1))


def _reference(export: Export) -> Subject:
    subject = Subject(REFERENCE, "NumPy, integers only")
    if export.graph is None:
        return replace(subject, reason=export.no_graph)
    graph = export.graph
    return replace(subject, run=lambda pixels: reference.run(graph, inputs_of(graph, pixels)))


def _litert(export: Export) -> Subject:
    subject = Subject(TFLITE, _KERNELS)
    if export.graph is None:
        return replace(subject, reason=export.no_graph)
    graph = export.graph
    try:
        subject = replace(subject, how=f"LiteRT {litert_version()}, reference kernels")
        run = reference_kernels(export.tflite, graph)
    except ToolMissing as error:
        return replace(subject, reason=str(error))
    return replace(subject, run=lambda pixels: run(inputs_of(graph, pixels)))


def inputs_of(graph: Graph, pixels: np.ndarray) -> np.ndarray:
    """Raw pixels, uint8 (n, C, H, W), as the graph's int8 inputs (n, …); pixel − 128 if no file says how."""
    if takes_pixels(graph):
        return reference.quantize_pixels(graph, pixels)
    return (pixels.astype(np.int16) - 128).astype(np.int8).reshape(-1, *graph.tensors[graph.input].shape)


def in_layout(graph: Graph, images: np.ndarray) -> np.ndarray:
    """Images (n, C, H, W) as the C takes them: as they are, or in rows of pixels (n, H, W, C)."""
    return images.transpose(0, 2, 3, 1) if graph.layout == "HWC" and images.ndim == 4 else images


def takes_pixels(graph: Graph) -> bool:
    """Whether its file says how pixels become its input; if not, the C's own guess is not used."""
    return graph.preprocessing is not None and graph.table is not None


def _c(export: Export, trust: bool) -> list[Subject]:
    if export.graph is None:
        return [Subject(C, FILES[C], reason=export.no_graph, failed=True)]
    native = TARGETS["native"]
    compiler = compiler_name(find_compiler() or "cc")
    builds: list[tuple[str, Target, tuple[str, ...]]] = [
        (f"plain C, {compiler} {' '.join(PORTABLE)}", native, PORTABLE),
        (f"this processor, {compiler} {' '.join(SPEED)}", native, SPEED),
        *((target.tried_as, target, EMULATED) for target in TARGETS.values() if target.tried_as),
    ]
    try:
        for name in ("", "/model.c", "/model.h"):  # the user trusts what is in the folder
            inside(export.folder, FILES[C] + name)
        if trust and not (export.folder / FILES[C] / "model.c").is_file():
            raise ModelError(export.broken.get(C) or f"{export.folder / FILES[C]}: no model.c in it: export again")
        files = None if trust else _own(export, export.graph)
    except ModelError as error:
        return [Subject(C, FILES[C], reason=str(error), failed=True)]
    return [_build(export, export.graph, files, how, target, flags) for how, target, flags in builds]


def _own(export: Export, graph: Graph) -> dict[str, bytes]:
    """The C, if niwaki wrote it. Raises ModelError if the folder is incomplete, or contains somebody else's C."""
    if why := export.broken.get(C):
        why = why.removesuffix(": export again")
        raise ModelError(f"{why}; export again, or say ", Setting("trust", "True"), " to compile and run it unchanged")
    return own_files(inside(export.folder, FILES[C]), graph, FILES[INT8], read=export.code)


def _build(
    export: Export, graph: Graph, files: Mapping[str, bytes] | None, how: str, target: Target, flags: tuple[str, ...]
) -> Subject:
    subject = Subject(C, how, at_once=True)
    missing = missing_tools(target)
    if missing:
        return replace(subject, reason=f"no {' and no '.join(missing)} on this machine; {how_to_get(target)}")
    weights = graph.weight_bytes
    if target.board is not None and weights > target.board.flash_bytes // 2:
        return replace(
            subject, reason=f"{weights:,} bytes of weights are too many for the board {target.board.machine}"
        )
    images = None if target.macs is None else max(1, target.macs // export.macs)
    run = partial(_run_c, export.folder / FILES[C], files, graph, target, flags)
    return replace(subject, run=run, images=images)


def _run_c(
    folder: Path,
    files: Mapping[str, bytes] | None,
    graph: Graph,
    target: Target,
    flags: tuple[str, ...],
    pixels: np.ndarray,
) -> np.ndarray:
    """The C as a program of its own, so a crash in it affects nothing else; from `files`, or the folder."""
    images = np.ascontiguousarray(in_layout(graph, pixels if takes_pixels(graph) else inputs_of(graph, pixels)))
    if files is None:
        scores = run_on_target(folder, images, target, flags)
    else:
        with temporary("verify") as name:
            scores = run_on_target(write_files(files, Path(name)), images, target, flags)
    scores = scores.reshape(len(images), -1)
    return in_graph_order(scores, graph.tensors[graph.output].shape) if graph.layout == "HWC" else scores
