"""What is exported or tried: a model in any of its files, a model file, an ONNX or a TensorFlow Lite file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import onnx

from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.pictures import ImageNeeds
from niwaki.errors import ModelError
from niwaki.foreign.qoperator import as_qdq
from niwaki.foreign.tflite import read_tflite
from niwaki.measure.facts import FILES_TAKEN
from niwaki.models import modelfile
from niwaki.models.onnxfile import load_onnx, metadata
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

    @property
    def needs(self) -> ImageNeeds:
        """What its images must be."""
        return ImageNeeds(self.name, self.input_shape, self.labels, self.preprocessing, self.provenance, self.outputs)


def open_origin(path: Path) -> Origin:
    """Read and check a model file (.safetensors), an ONNX file (.onnx), whose weights may be in files beside it, or an
    int8 TensorFlow Lite file (.tflite), which becomes ONNX.

    Raises ModelError for another kind of file, and for one that is damaged or missing.
    """
    if not path.exists():
        raise ModelError(f"{path}: there is no such file")
    if path.suffix not in _OPENED:
        raise ModelError(f"{path}: expected {FILES_TAKEN}")
    if not path.is_file():
        raise ModelError(f"{path}: is not a file")
    return _OPENED[path.suffix](path)


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
    if (rewritten := as_qdq(model)) is not model:
        data = rewritten.SerializeToString(deterministic=True)
        model = load_onnx(data, str(path))
    about = metadata(model)
    operators = {node.op_type for node in model.graph.node}
    kind: Kind = "int8" if operators & set(_INT8) else "dynamic" if operators & set(_DYNAMIC) else "float"
    if not _is_whole(data):
        data = model.SerializeToString(deterministic=True)
    return Origin(
        str(path), path.stem, kind, data, about.labels, about.preprocessing, input_shape_of(model),
        outputs=outputs_of(model),
    )  # fmt: skip


def _tflite_origin(path: Path) -> Origin:
    model = read_tflite(_bytes(path), str(path))
    return onnx_origin(path, model.SerializeToString(deterministic=True), model)


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
