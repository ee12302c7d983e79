"""The forms in an export's folder as functions from raw images to scores, and why some cannot be run here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from niwaki.codegen import reference
from niwaki.codegen.graph import Conv, Dense, Graph
from niwaki.codegen.on_target import run_on_target
from niwaki.codegen.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.cause import Int8File
from niwaki.deploy.folder import FILES, FolderNote, Form, half, read_note
from niwaki.deploy.origin import input_of, input_shape_of, outputs_of
from niwaki.deploy.own import own_files, write_files
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.errors import ModelError
from niwaki.folders import inside, temporary
from niwaki.measure.accuracy import Predict
from niwaki.measure.onnxcost import count_onnx
from niwaki.measure.predict import torch_predictor
from niwaki.models import factory, modelfile
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnxfile import load_onnx, metadata
from niwaki.toolchain.compiler import SPEED, compiler_name, find_compiler
from niwaki.toolchain.targets import TARGETS, Target, how_to_get, missing_tools

TORCH, REFERENCE, C = "torch", "reference", "c"
PORTABLE = ("-O2", "-DNIWAKI_PORTABLE")
EMULATED_MACS = {"aarch64": 2_000_000_000, "cortex-m4": 200_000_000}  # some seconds of emulation each
MACS = 5_000_000  # of a network that is small, where they cannot be counted


@dataclass(frozen=True)
class Opened:
    """An export's folder, read."""

    folder: Path
    info: ModelInfo | None
    onnx: dict[Form, onnx.ModelProto]
    note: FolderNote | None
    graph: Graph | None
    """Of the int8 ONNX; None where there is none or it is no integer network."""
    no_graph: str
    """Why it is no integer network."""
    broken: Mapping[Form, str] = field(default_factory=dict)
    """Forms that are there, or should be, and cannot be used, each with the reason."""

    @property
    def has_c(self) -> bool:
        """Whether there is generated C."""
        return (self.folder / FILES["c"]).is_dir() or bool(self.note and "c" in self.note.forms)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How raw pixels become an input; None where no file says it."""
        stated = [self.info.preprocessing] if self.info else []
        stated += [about for model in self.onnx.values() if (about := metadata(model).preprocessing) is not None]
        return next(iter(stated), None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, where a file says them."""
        stated = [self.info.labels] if self.info else []
        stated += [metadata(model).labels for model in self.onnx.values()]
        return next((names for names in stated if names), ())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of one image."""
        if self.info:
            return self.info.input_shape
        if self.graph:
            return self.graph.tensors[self.graph.input].shape
        return input_shape_of(next(iter(self.onnx.values())))

    @property
    def outputs(self) -> int | None:
        """How many scores it gives for one image; None where no file says it."""
        return next((count for model in self.onnx.values() if (count := outputs_of(model)) is not None), None)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image; a guess where there are operators of which they are not known."""
        try:
            return count_onnx(next(iter(self.onnx.values()))).macs or MACS
        except ModelError:
            return MACS


@dataclass(frozen=True)
class Subject:
    """One form in one runtime. `run` takes uint8 (n, C, H, W) and gives scores (n, …); None where it cannot be run."""

    form: str
    how: str
    run: Predict | None = None
    reason: str = ""
    """Why it cannot be run."""
    failed: bool = False
    """Whether that is a fault of the form, and not of this machine."""
    images: int | None = None
    """At most so many: an emulator is slow."""
    at_once: bool = False
    """Whether it takes all images in one call."""
    int8: Int8File | None = None
    """Of an int8 ONNX that is an integer network: what it takes to find out why it disagrees."""
    dynamic: tuple[bytes, np.ndarray] | None = None
    """Of a dynamic int8 ONNX: the file, and what each raw pixel is to it, float32 (C, 256)."""


def open_export(folder: Path) -> Opened:
    """Read what is in an export's folder; a file that cannot be used takes no other with it.

    Raises ModelError where no ONNX is there that can be read, or `export.json` is damaged.
    """
    note = read_note(folder)
    models: dict[Form, onnx.ModelProto] = {}
    broken: dict[Form, str] = {}
    info = None
    for form, name in FILES.items():
        if form == "c" or not (os.path.lexists(folder / name) or (note and form in note.forms)):
            continue
        try:
            file = _whole(folder, note, form)
            if form == "model":
                info = modelfile.read_info(file)
            else:
                models[form] = load_onnx(file)
        except ModelError as error:
            broken[form] = str(error)
    if not models:
        raise ModelError(next((why for form, why in broken.items() if form != "model"), _no_export(folder)))
    opened = Opened(folder, info, models, note, None, "", broken)
    if "onnx-int8" not in models:
        missing = f"{folder}: C, but not the {FILES['onnx-int8']} that it was generated from: export again"
        return replace(opened, no_graph=broken.get("onnx-int8", missing))
    try:
        return replace(opened, graph=read_qdq(models["onnx-int8"], str(folder / FILES["onnx-int8"])))
    except ModelError as error:
        return replace(opened, no_graph=str(error))


def _whole(folder: Path, note: FolderNote | None, form: Form) -> Path:
    """The file of a form. Raises ModelError where it is not the one that the note lists, or lies elsewhere."""
    why = half(folder, note, form) if note else ""
    if why:
        raise ModelError(why)
    return inside(folder, FILES[form])


def _no_export(folder: Path) -> str:
    return (
        f"{folder}: no {FILES['onnx']} nor {FILES['onnx-int8']} in it: give a folder that niwaki export wrote, a "
        "model file or an ONNX"
    )


def subjects_of(opened: Opened, *, trust: bool = False) -> list[Subject]:
    """Every form in the folder: those in float first, then the reference, then what is compared with it."""
    made: list[tuple[Form, str, Callable[[], Subject]]] = [
        ("model", TORCH, lambda: _torch(opened, trust)),
        ("onnx", "onnx", lambda: _onnxruntime(opened, "onnx")),
        ("onnx-dynamic", "onnx-dynamic", lambda: _onnxruntime(opened, "onnx-dynamic")),
        ("onnx-int8", REFERENCE, lambda: _reference(opened)),
        ("onnx-int8", "onnx-int8", lambda: _onnxruntime(opened, "onnx-int8")),
    ]
    there = {*opened.onnx, *(("model",) if opened.info else ())}
    found = []
    for form, name, make in made:
        if form in opened.broken and name != REFERENCE:
            found.append(Subject(name, FILES[form], reason=opened.broken[form], failed=True))
        elif form in there:
            found.append(_tried(name, FILES[form], make))
    return [*found, *(_c(opened, trust) if opened.has_c else ())]


def _tried(form: str, how: str, make: Callable[[], Subject]) -> Subject:
    """A form, or why it cannot be had."""
    try:
        return make()
    except ModelError as error:
        return Subject(form, how, reason=str(error), failed=True)


def _torch(opened: Opened, trust: bool) -> Subject:
    subject = Subject(TORCH, f"torch {torch.__version__}")
    file = opened.folder / FILES["model"]
    if opened.info and factory.is_foreign(opened.info.factory) and not trust:
        reason = f"its factory {opened.info.factory!r} is not niwaki's: say `trust=True` to run its code"
        return replace(subject, reason=reason)
    model, info = modelfile.load_with_info(file, trust=trust)
    return replace(subject, run=torch_predictor(model, info.preprocessing.table()))


def _onnxruntime(opened: Opened, form: Form) -> Subject:
    subject = Subject(form, f"ONNX Runtime {onnxruntime.__version__}")
    entry = input_of(opened.onnx[form]).type.tensor_type
    if entry.elem_type != onnx.TensorProto.FLOAT or len(entry.shape.dim) != 4:
        return replace(subject, reason="its input is no batch of float images, the only kind that is tried there")
    table = _table(opened, form)
    if table is None:
        return replace(subject, reason="no file says how pixels become its input")
    name, data = str(opened.folder / FILES[form]), opened.onnx[form].SerializeToString()
    int8 = Int8File(data, opened.graph, table) if form == "onnx-int8" and opened.graph else None
    dynamic = (data, table) if form == "onnx-dynamic" else None
    return replace(subject, run=onnxruntime_predictor(data, table, name), int8=int8, dynamic=dynamic)


def _table(opened: Opened, form: Form) -> np.ndarray | None:
    """What each raw pixel is to an ONNX, float32 (C, 256); of an int8 one that does not say it, pixel − 128 is int8."""
    preprocessing = metadata(opened.onnx[form]).preprocessing or opened.preprocessing
    if preprocessing is not None:
        return preprocessing.table()
    if form != "onnx-int8" or opened.graph is None:
        return None
    entry = opened.graph.tensors[opened.graph.input]
    values = (np.arange(-128, 128) - entry.zero_point) * np.float64(entry.scale)
    return np.tile(values.astype(np.float32), (entry.shape[0], 1))


def _reference(opened: Opened) -> Subject:
    subject = Subject(REFERENCE, "NumPy, integers only")
    if opened.graph is None:
        return replace(subject, reason=opened.no_graph)
    graph = opened.graph
    return replace(subject, run=lambda pixels: reference.run(graph, inputs_of(graph, pixels)))


def inputs_of(graph: Graph, pixels: np.ndarray) -> np.ndarray:
    """Raw pixels, uint8 (n, C, H, W), as the graph's int8 inputs (n, …); pixel − 128 where no file says how."""
    if takes_pixels(graph):
        return reference.quantize_pixels(graph, pixels)
    return (pixels.astype(np.int16) - 128).astype(np.int8).reshape(-1, *graph.tensors[graph.input].shape)


def takes_pixels(graph: Graph) -> bool:
    """Whether its file says how pixels become its input; where it does not, the C's own guess is not relied on."""
    return graph.preprocessing is not None and graph.table is not None


def _c(opened: Opened, trust: bool) -> list[Subject]:
    if opened.graph is None:
        return [Subject(C, FILES["c"], reason=opened.no_graph, failed=True)]
    native = TARGETS["native"]
    compiler = compiler_name(find_compiler() or "cc")
    builds: list[tuple[str, Target, tuple[str, ...]]] = [
        (f"plain C, {compiler} {' '.join(PORTABLE)}", native, PORTABLE),
        (f"this processor, {compiler} {' '.join(SPEED)}", native, SPEED),
        ("64-bit ARM with NEON, emulated", TARGETS["aarch64"], ("-O2",)),
        ("Cortex-M4, emulated", TARGETS["cortex-m4"], ("-O2",)),
    ]
    try:
        for name in ("", "/model.c", "/model.h"):  # trust is in what lies in the folder
            inside(opened.folder, FILES["c"] + name)
        files = None if trust else _own(opened, opened.graph)
    except ModelError as error:
        return [Subject(C, FILES["c"], reason=str(error), failed=True)]
    return [_build(opened, opened.graph, files, how, target, flags) for how, target, flags in builds]


def _own(opened: Opened, graph: Graph) -> dict[str, bytes]:
    """The C, if niwaki wrote it. Raises ModelError where the folder is half, or somebody else's C is in it."""
    why = half(opened.folder, opened.note, "c") if opened.note else ""
    if why:
        raise ModelError(f"{why}; export again, or say `trust=True` to compile and run it as it is")
    return own_files(inside(opened.folder, FILES["c"]), graph, FILES["onnx-int8"])


def _build(
    opened: Opened, graph: Graph, files: Mapping[str, bytes] | None, how: str, target: Target, flags: tuple[str, ...]
) -> Subject:
    subject = Subject(C, how, at_once=True)
    missing = missing_tools(target)
    if missing:
        return replace(subject, reason=f"no {' and no '.join(missing)} on this machine; {how_to_get(target)}")
    weights = sum(layer.weights.nbytes for layer in graph.layers if isinstance(layer, Conv | Dense))
    if target.board is not None and weights > target.board.flash_bytes // 2:
        return replace(
            subject, reason=f"{weights:,} bytes of weights are too many for the board {target.board.machine}"
        )
    limit = EMULATED_MACS.get(target.name)
    images = None if limit is None else max(1, limit // opened.macs)
    run = partial(_run_c, opened.folder / FILES["c"], files, graph, target, flags)
    return replace(subject, run=run, images=images)


def _run_c(
    folder: Path,
    files: Mapping[str, bytes] | None,
    graph: Graph,
    target: Target,
    flags: tuple[str, ...],
    pixels: np.ndarray,
) -> np.ndarray:
    """The C as a program of its own, so that a crash in it is its failure and nobody else's; `files`, or the folder."""
    images = np.ascontiguousarray(pixels if takes_pixels(graph) else inputs_of(graph, pixels))
    if files is None:
        return run_on_target(folder, images, target, flags)
    with temporary("verify") as name:
        return run_on_target(write_files(files, Path(name)), images, target, flags)
