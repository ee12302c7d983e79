"""What `bench` times: every form that a file has or can be converted to, as a call on one image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import CModel
from niwaki.deploy.drift import default_is_wrong
from niwaki.deploy.exported import Export, look_into
from niwaki.deploy.formats import FILES, FORMS, INT8, KINDS, ONNX, TFLITE, TORCH, C
from niwaki.deploy.forms import CONVERTED
from niwaki.deploy.images import calibration_images, random_images
from niwaki.deploy.litert import fast_kernels, litert_version
from niwaki.deploy.origin import Origin, open_origin
from niwaki.deploy.own import own_files, own_files_beside
from niwaki.deploy.pictures import find_pictures
from niwaki.deploy.runtimes import classifier_session, onnxruntime_call, torch_call
from niwaki.emit.generate import generate, write
from niwaki.errors import DataError, ModelError, NiwakiError, ToolMissing
from niwaki.folders import inside, temporary
from niwaki.measure.latency import Call
from niwaki.models import modelfile
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.notify import Notify, silent
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings

ORT, CALLED, LOOPED = "ONNX Runtime", "C", "C, in a loop"
CALIBRATION = 100  # images: times do not depend on how well int8 fits
LOOP = 256  # images in one call of the loop in C: so each carries little of the cost of the call


@dataclass(frozen=True)
class Subject:
    """One form of one file in one runtime."""

    file: str
    form: str
    """torch, or a form that can be exported."""
    runtime: str
    call: Call
    images: int = 1
    """Images per call: more than one for a loop in C."""
    wrong: str = ""
    """What is wrong with its scores on this processor, and what to do; "" if nothing is."""


@dataclass(frozen=True)
class LeftOut:
    """A form that cannot be timed here, with the reason."""

    file: str
    form: str
    reason: str
    failed: bool = False
    """Whether the file is the cause, and not this machine."""


@dataclass
class Forms:
    """Collects the forms of one file."""

    file: str
    subjects: list[Subject] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, form: str, runtime: str, call: Call, images: int = 1, wrong: str = "") -> None:
        """Add a form."""
        self.subjects.append(Subject(self.file, form, runtime, call, images, wrong))

    @contextlib.contextmanager
    def attempt(self, *forms: str) -> Iterator[None]:
        """Continue without these forms if niwaki cannot make them, and record why."""
        try:
            yield
        except NiwakiError as error:
            failed = not isinstance(error, ToolMissing)
            self.left_out += [LeftOut(self.file, form, str(error), failed) for form in forms]


def forms_of(file: Path | Export, *, trust: bool = False, notify: Notify = silent) -> Forms:
    """All forms of a model file; a float ONNX file and the int8 forms made from it; an int8 ONNX file and its C.

    For an exported folder, opened or not, whatever it contains. A form that cannot be made is left out. `notify`
    receives a line before long work. Raises ModelError if the file is none of these, or is damaged.
    """
    path = file.folder if isinstance(file, Export) else file
    forms = Forms(str(path))
    if path.is_dir():
        _add_folder(file, forms, trust, notify)
        return forms
    origin = open_origin(path)
    notify(f"preparing {path}")
    if origin.kind == "model":
        _add_model(origin, forms, trust)
    elif origin.kind == "float":
        _add_float(origin.data, origin, forms)
    else:
        if origin.kind == "int8" and (axes := _axes(origin.data, origin.name)) != 4:
            forms.left_out.append(LeftOut(forms.file, INT8, f"its input has {axes} axes, and {ORT} is given images"))
        else:
            _add_onnx(origin, forms)
        if origin.tflite:
            _add_litert(origin.tflite, forms)
        if origin.kind == "int8":
            _add_c_of(origin.data, forms)
    return forms


def _add_model(origin: Origin, forms: Forms, trust: bool) -> None:
    model = _add_torch(origin, forms, trust)
    with forms.attempt(ONNX, INT8, *CONVERTED, C):
        _add_float(to_onnx(model, modelfile.info_of(origin.data, name=origin.name)), origin, forms)


def _add_folder(file: Path | Export, forms: Forms, trust: bool, notify: Notify) -> None:
    """Each model in the folder, unchanged, and the C in it or in a sub-folder, if it is niwaki's or trusted."""
    path = file.folder if isinstance(file, Export) else file
    files = [*sorted(path.glob("*.safetensors")), *sorted(path.glob("*.onnx"))]
    headers = sorted([*path.glob("model.h"), *path.glob("*/model.h")])
    if not files and not headers:
        raise ModelError(f"{path}: no model and no generated C in it: give a folder that niwaki export wrote")
    export = file if isinstance(file, Export) else look_into(path)
    notify(f"preparing {path}")
    for model in files:
        form = next((form for form, name in FILES.items() if name == model.name), None)
        with forms.attempt(form_of(model)):
            origin = export.origin(form) if form else open_origin(inside(path, model.name))
            _add_as_it_is(origin, forms, trust)
    if export.tflite:
        _add_litert(export.tflite, forms)
    for header in headers:
        with forms.attempt(C):
            folder = inside(path, header.relative_to(path).as_posix()).parent
            _add_c(folder, None if trust else _own(export, folder), forms)


def _own(export: Export, folder: Path) -> dict[str, bytes]:
    """The C in a folder of an export, if niwaki wrote it; raises ModelError otherwise."""
    if folder.parent == export.folder and INT8 in export.onnx:
        return own_files(folder, export.integer, FILES[INT8], read=export.code)
    return own_files_beside(folder)


def form_of(file: Path) -> str:
    """The form of a file that cannot be opened, guessed from its name."""
    known = {form.file: form.name for form in FORMS if form.runs_as_onnx}
    return TORCH if file.suffix.lower() == ".safetensors" else known.get(file.name, ONNX)


def _add_as_it_is(origin: Origin, forms: Forms, trust: bool) -> None:
    if origin.kind == "model":
        _add_torch(origin, forms, trust)
    else:
        _add_onnx(origin, forms)


def _add_torch(origin: Origin, forms: Forms, trust: bool) -> nn.Module:
    model, info = modelfile.loads(origin.data, trust=trust, name=origin.name)
    forms.add(TORCH, TORCH, torch_call(model, _random_inputs(info.input_shape)))
    return model


def _add_onnx(origin: Origin, forms: Forms) -> None:
    """As the form that the file's name says, if it is of that kind, or else as the first form of that kind."""
    kinds = [form for form in FORMS if form.kind == origin.kind]
    named = (form for form in kinds if form.file == Path(origin.name).name)
    _add_session(next(named, kinds[0]).name, origin.data, forms)


def _add_float(data: bytes, origin: Origin, forms: Forms) -> None:
    """A float ONNX model, and the forms made from it."""
    _add_session(ONNX, data, forms)
    with forms.attempt(INT8, C):
        static = quantize_static(data, _calibration(data, origin, forms), QuantizeSettings()).onnx
        _add_session(INT8, static, forms)
        _add_c_of(static, forms)
    for form, convert in CONVERTED.items():
        with forms.attempt(form):
            _add_session(form, convert(data), forms)


def _add_session(form: str, data: bytes, forms: Forms) -> None:
    with forms.attempt(form):
        shape = _input_shape(data, forms.file)
        wrong = "" if KINDS[form].is_float else default_is_wrong(data, shape)
        forms.add(form, ORT, onnxruntime_call(data, _random_inputs(shape), forms.file), wrong=wrong)


def _add_litert(data: bytes, forms: Forms) -> None:
    """A TensorFlow Lite file in its own runtime, in one thread."""
    with forms.attempt(TFLITE):
        forms.add(TFLITE, f"LiteRT {litert_version()}, XNNPACK", fast_kernels(data))


def _add_c_of(data: bytes, forms: Forms) -> None:
    """The C of a QDQ ONNX model."""
    with temporary("bench") as folder, forms.attempt(C):
        graph = read_qdq(load_onnx(data, forms.file), forms.file)
        _add_c(write(generate(graph), Path(folder)), None, forms)


def _add_c(folder: Path, files: Mapping[str, bytes] | None, forms: Forms) -> None:
    """Generated C, from `files` if given, compiled for this machine: called for one image, and for many in a loop."""
    with forms.attempt(C):
        model = CModel(folder, files=files)
        run = model if model.interface.takes_pixels else model.run
        pixels = random_images(model.interface.input_shape, LOOP)
        images = pixels if model.interface.takes_pixels else pixels.view(np.int8)
        one = images[:1]
        forms.add(C, CALLED, lambda: run(one))
        forms.add(C, LOOPED, lambda: run(images), images=LOOP)


def _axes(data: bytes, name: str) -> int:
    return len(load_onnx(data, name).graph.input[0].type.tensor_type.shape.dim)


def _input_shape(data: bytes, name: str) -> tuple[int, int, int]:
    """(channels, height, width) of a classifier. Raises ModelError if it does not take single images of one size."""
    batch, *shape = classifier_session(data, name).get_inputs()[0].shape
    if batch not in (1, None) and not isinstance(batch, str):
        raise ModelError(f"{name}: takes {batch} images at once, but bench times one: export it with a free batch size")
    if not all(isinstance(side, int) for side in shape):
        raise ModelError(f"{name}: takes images of any size: export it for one size")
    channels, height, width = shape
    return channels, height, width


def _calibration(data: bytes, origin: Origin, forms: Forms) -> np.ndarray:
    """Training images of the model if they are decoded on this machine, otherwise made-up ones."""
    shape = _input_shape(data, forms.file)
    with contextlib.suppress(DataError):  # of another shape: times do not depend on it
        needs = replace(origin.needs, labels=())  # nor on the names of the classes
        found = find_pictures(needs, None, silent, any_classes=True, ready=True).data
        if found is not None:
            return calibration_images(found.train, CALIBRATION)
    forms.notes.append(f"{forms.file}: int8 is calibrated on made-up images, which does not affect times")
    return random_images(shape, CALIBRATION)


def _random_inputs(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).random((1, *shape), np.float32)
