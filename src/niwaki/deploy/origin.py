"""What is exported or tried: a model in any of its files, a model file, an ONNX or a TensorFlow Lite file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import onnx

from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.ending import Ending, measured, with_ending
from niwaki.deploy.open_sides import with_sides
from niwaki.deploy.pictures import ImageNeeds, Pictures
from niwaki.errors import ModelError, Setting
from niwaki.foreign.ends import with_plain_ends
from niwaki.foreign.qoperator import as_qdq
from niwaki.foreign.tflite import read_tflite
from niwaki.measure.facts import FILES_TAKEN
from niwaki.models import modelfile
from niwaki.models.onnxfile import load_onnx, metadata, write_metadata
from niwaki.models.provenance import Provenance

Kind = Literal["model", "float", "int8", "dynamic"]
_INT8 = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul")
_DYNAMIC = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")


@dataclass(frozen=True)
class Origin:
    """A model as it was given. `data` are the bytes of a single file with all of it."""

    name: str
    """Its name in errors."""
    title: str
    kind: Kind
    data: bytes
    labels: tuple[str, ...]
    preprocessing: Preprocessing | None
    """None: the file does not say how pixels become its input."""
    input_shape: tuple[int, ...]
    provenance: Provenance = field(default_factory=Provenance)
    outputs: int | None = None
    """The number of scores for an image; None if only its labels say it."""
    ending: Ending | None = None
    """How a float output of an int8 file became int8; None if it was int8."""
    bare: bytes = b""
    """`data` before that."""
    given: bytes = b""
    """An int8 ONNX as it stands in its file, if `data` is another."""
    tflite: bytes = b""
    """The TensorFlow Lite file that `data` was made from, if there is one."""

    @property
    def needs(self) -> ImageNeeds:
        """What its images must be.

        Raises ModelError for an ONNX with several inputs or outputs, and for a float one whose input no picture
        becomes.
        """
        _check_ends(self)
        if self.preprocessing is not None:
            _check_float(self)
        return ImageNeeds(self.name, self.input_shape, self.labels, self.preprocessing, self.provenance, self.outputs)


def open_origin(path: Path) -> Origin:
    """Read and check a model file (.safetensors), an ONNX file (.onnx), whose weights may be in files beside it, or an
    int8 TensorFlow Lite file (.tflite), which becomes ONNX.

    Raises ModelError for another kind of file, and for one that is damaged or missing.
    """
    if not path.exists():
        raise ModelError(f"{path}: there is no such file")
    if path.suffix.lower() not in _OPENED:
        raise ModelError(f"{path}: expected {FILES_TAKEN}")
    if not path.is_file():
        raise ModelError(f"{path}: is not a file")
    return _OPENED[path.suffix.lower()](path)


def model_origin(data: bytes, name: str = "model file", title: str = "") -> Origin:
    """The origin from a model file's bytes. Its factory is not called. Raises ModelError if the file is damaged."""
    info = modelfile.info_of(data, name=name)
    return Origin(name, title, "model", data, info.labels, info.preprocessing, info.input_shape, info.provenance)


def onnx_origin(path: Path, data: bytes | None = None, model: onnx.ModelProto | None = None) -> Origin:
    """The origin from an ONNX file; weights in files beside it become part of its bytes. Raises ModelError as
    `load_onnx` does.

    `data` and `model` are what was already read from the file.
    """
    data = _bytes(path) if data is None else data
    model = load_onnx(data, str(path), path.parent) if model is None else model
    if not _is_whole(data):
        data = model.SerializeToString(deterministic=True)
    given, kind, ending, bare = data, _kind_of(model), None, b""
    if kind == "int8":
        plain = as_qdq(with_plain_ends(model))
        data = data if plain is model else plain.SerializeToString(deterministic=True)
        ended, ending = with_ending(plain, str(path))
        data, bare = (ended.SerializeToString(deterministic=True), data) if ending else (data, bare)
        model = model if data == given else load_onnx(data, str(path))
    about = metadata(model)
    origin = Origin(
        str(path), path.stem, kind, data, about.labels, about.preprocessing, input_shape_of(model),
        outputs=outputs_of(model), ending=ending, bare=bare, given=b"" if data == given else given,
    )  # fmt: skip
    return origin if about.preprocessing is None else _sized(origin, about.preprocessing)


def _sized(origin: Origin, preprocessing: Preprocessing) -> Origin:
    """A float ONNX for the size that `preprocessing` states, if its input leaves its sides open."""
    if origin.kind != "float" or 0 not in origin.input_shape:
        return origin
    model = load_onnx(origin.data, origin.name)
    sized = with_sides(model, input_of(model).name, preprocessing, origin.name)
    if sized is None:
        return origin
    data = sized.SerializeToString(deterministic=True)
    return replace(origin, data=data, input_shape=input_shape_of(sized), given=origin.given or origin.data)


def described(origin: Origin, preprocessing: Preprocessing | None, labels: Sequence[str]) -> Origin:
    """An ONNX with what a user says about it: how pixels become its input, and the names of its classes.

    Raises ModelError for a model file, which says both itself.
    """
    if preprocessing is None and not labels:
        return origin
    if origin.kind == "model":
        given = Setting("labels") if preprocessing is None else Setting("preprocessing")
        raise ModelError(f"{origin.name}: a model file states that itself: leave out ", given)
    if preprocessing is not None:
        origin = _sized(origin, preprocessing)
        _check_shape(origin, preprocessing)
    if labels and origin.outputs is not None and len(labels) != origin.outputs:
        raise ModelError(
            f"{origin.name}: {len(labels)} names for "
            f"{origin.outputs} output{'' if origin.outputs == 1 else 's'}: give one for each with ",
            Setting("labels"),
        )

    def said(data: bytes) -> bytes:
        model = load_onnx(data, origin.name)
        write_metadata(model, labels or origin.labels, preprocessing or origin.preprocessing)
        written: bytes = model.SerializeToString(deterministic=True)
        return written

    bare = said(origin.bare) if origin.bare else b""
    return replace(
        origin, data=said(origin.data), bare=bare, labels=tuple(labels) or origin.labels,
        preprocessing=preprocessing or origin.preprocessing, given=origin.given or origin.data,
    )  # fmt: skip


def _check_shape(origin: Origin, preprocessing: Preprocessing) -> None:
    """Raise ModelError unless the images that `preprocessing` gives fit the input, as far as both say."""
    if len(origin.input_shape) != 3:
        what = " × ".join(map(str, origin.input_shape))
        raise ModelError(
            f"{origin.name}: its input of {what} numbers is no image: leave out ", Setting("preprocessing")
        )
    channels, *sides = origin.input_shape
    _check_float(origin)
    if preprocessing.channels != channels and sides[-1] == preprocessing.channels:
        raise ModelError(
            f"{origin.name}: its input is {' × '.join(map(str, origin.input_shape))}, with the channels last: export "
            "it with the channels first"
        )
    if preprocessing.channels != channels:
        raise ModelError(
            f"{origin.name}: its input has {channels} channels, but color = {preprocessing.color} gives "
            f"{preprocessing.channels}: say another one with ", Setting("preprocessing"),
        )  # fmt: skip
    _, *given = (0, *sides) if preprocessing.size is None else preprocessing.input_shape()
    if any(own not in (0, side) for own, side in zip(sides, given, strict=True)):
        raise ModelError(
            f"{origin.name}: its input has {sides[0]} × {sides[1]} pixels, but size and pad give {given[0]} × "
            f"{given[1]}: say others with ", Setting("preprocessing"),
        )  # fmt: skip


def _check_float(origin: Origin) -> None:
    """Raise ModelError if the input of a float ONNX is no float32, or leaves its sides open."""
    if origin.kind != "float":
        return
    entry = input_of(load_onnx(origin.data, origin.name))
    found = onnx.TensorProto.DataType.Name(entry.type.tensor_type.elem_type).lower()
    if found != "float":
        raise ModelError(
            f"{origin.name}: input {entry.name!r} is {found}: niwaki gives float32; export the network so that it "
            "takes that, with model.float() if its weights are float16"
        )
    if 0 in origin.input_shape:
        raise ModelError(
            f"{origin.name}: input {entry.name!r} leaves its sides open: state them, as in 'size = [64, 64]', with ",
            Setting("preprocessing"), ", or export it with fixed ones; the batch alone may stay open",
        )  # fmt: skip


def _check_ends(origin: Origin) -> None:
    """Raise ModelError if an ONNX has several inputs or outputs: images and scores are one of each."""
    if origin.kind == "model" or not origin.data:
        return
    graph = onnx.load_from_string(origin.data).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = [value.name for value in graph.output]
    for kind, names, meant in (("inputs", inputs, "its images"), ("outputs", outputs, "its scores")):
        if len(names) > 1:
            kept = f"{inputs[:1]}, {outputs[:1]}"
            raise ModelError(
                f"{origin.name}: {len(names)} {kind} ({', '.join(names)}): a classifier has one, {meant}: export it "
                f"with that alone, or cut it out: onnx.utils.extract_model('{Path(origin.name).name}', 'one.onnx', "
                f"{kept})"
            )


def measured_on(origin: Origin, pictures: Pictures, images: int) -> Origin:
    """With a float output of the file quantized over the range of its scores on training images, if there are any."""
    if origin.ending is None or origin.preprocessing is None or pictures.data is None:
        return origin
    made, ending = measured(origin.bare, origin.ending, pictures.data, origin.preprocessing.table(), images)
    return replace(origin, data=made, ending=ending)


def _kind_of(model: onnx.ModelProto) -> Kind:
    operators = {node.op_type for node in model.graph.node}
    return "int8" if operators & set(_INT8) else "dynamic" if operators & set(_DYNAMIC) else "float"


def _tflite_origin(path: Path) -> Origin:
    data = _bytes(path)
    model = read_tflite(data, str(path))
    return replace(onnx_origin(path, model.SerializeToString(deterministic=True), model), tflite=data)


_OPENED: Mapping[str, Callable[[Path], Origin]] = {
    ".safetensors": lambda path: model_origin(path.read_bytes(), str(path), path.stem),
    ".onnx": onnx_origin,
    ".tflite": _tflite_origin,
}
"""How each kind of file is opened, by the end of its name."""


def input_of(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The input that is not a weight. Raises ModelError if there is none."""
    weights = {tensor.name for tensor in model.graph.initializer}
    entry: onnx.ValueInfoProto | None = next((value for value in model.graph.input if value.name not in weights), None)
    if entry is None:
        raise ModelError("the ONNX model has no input")
    return entry


def input_shape_of(model: onnx.ModelProto) -> tuple[int, ...]:
    """The shape of one image according to an ONNX model; 0 for what it leaves open."""
    return tuple(int(dim.dim_value) for dim in input_of(model).type.tensor_type.shape.dim[1:])


def outputs_of(model: onnx.ModelProto) -> int | None:
    """The number of scores for one image according to an ONNX model; None if it does not say."""
    if not model.graph.output:
        return None
    sides = [int(dim.dim_value) for dim in model.graph.output[0].type.tensor_type.shape.dim[1:]]
    return math.prod(sides) if sides and min(sides) > 0 else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _is_whole(data: bytes) -> bool:
    """Whether an ONNX file contains its weights itself."""
    tensors = onnx.load_from_string(data).graph.initializer
    return all(tensor.data_location != onnx.TensorProto.EXTERNAL for tensor in tensors)
