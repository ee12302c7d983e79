"""An ONNX file: opened with checks, and what niwaki writes into its metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto
from onnx.external_data_helper import uses_external_data
from pydantic import ValidationError

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, expectation, first_line
from niwaki.files import parse_json
from niwaki.limits import check_memory
from niwaki.models.class_names import LONGEST_LABEL
from niwaki.models.onnxcheck import put_in_order, tensors_of
from niwaki.models.onnxsize import check_sizes

LABELS, PREPROCESSING = "niwaki.labels", "niwaki.preprocessing"
LAYOUT, ROUNDING = "niwaki.layout", "niwaki.rounding"
_CHOICES = {LAYOUT: ("CHW", "HWC"), ROUNDING: ("once", "twice")}  # the first: if a file does not say
_BAD_NODE = re.compile(r"Bad node spec for node\. Name: (.*) OpType: (.*)")  # what onnx.checker adds on a line below


@dataclass(frozen=True)
class Metadata:
    """What an ONNX file says about itself: nothing if niwaki did not write it."""

    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    rows_of_pixels: bool = False
    """Whether C made from it takes and gives rows of pixels (HWC), as the file that it was made from does."""
    rounds_twice: bool = False
    """Whether integers round in two steps, as TensorFlow Lite does."""


def load_onnx(source: Path | bytes, name: str | None = None, beside: Path | None = None) -> ModelProto:
    """The checked model in a file or in bytes, with external data loaded; `name` stands for it in errors.

    External data is read from the file's own folder only; for bytes, `beside` is the file that they come from, if any.
    Nodes are returned in an order in which they can run. Raises ModelError if the file cannot be read, is truncated or
    not ONNX, breaks the ONNX specification, or needs more memory for one image than a file may use, or if its external
    data is incomplete or outside the folder.
    """
    name = name or (str(source) if isinstance(source, Path) else "the ONNX")
    folder = source.parent if isinstance(source, Path) else beside
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror}") from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError
        raise ModelError(f"{name}: not an ONNX file, or truncated: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{name}: not an ONNX file, or empty: it has no nodes")
    _load_all_external(model, folder, name)
    try:
        put_in_order(model)
        onnx.checker.check_model(model)
    except ModelError as error:
        raise ModelError(f"{name}: not a valid ONNX model: {error}") from error
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{name}: not a valid ONNX model: {_reason(error)}") from error
    check_sizes(model, name)
    return model


def metadata(model: ModelProto) -> Metadata:
    """Labels, preprocessing and origin of a model. Raises ModelError if they cannot be read."""
    entries = {entry.key: entry.value for entry in model.metadata_props}
    for key, choices in _CHOICES.items():
        if entries.get(key, choices[0]) not in choices:
            raise ModelError(f"metadata {key}: {entries[key][:40]!r}: expected {' or '.join(choices)}")
    origin = (entries.get(LAYOUT) == "HWC", entries.get(ROUNDING) == "twice")
    labels: tuple[str, ...] = ()
    if LABELS in entries:
        try:
            found = parse_json(entries[LABELS])
        except ValueError as error:
            raise ModelError(f"metadata {LABELS}: not JSON: {error}") from error
        if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
            raise ModelError(f"metadata {LABELS}: expected a list of names")
        for label in found:
            _check_label(label)
        labels = tuple(found)
    if PREPROCESSING not in entries:
        return Metadata(labels, None, *origin)
    try:
        return Metadata(labels, Preprocessing.model_validate(parse_json(entries[PREPROCESSING])), *origin)
    except ValidationError as error:
        raise ModelError(f"metadata {PREPROCESSING}: {expectation(first_line(error.errors()[0]['msg']))}") from error
    except ValueError as error:
        raise ModelError(f"metadata {PREPROCESSING}: not JSON: {error}") from error


def _check_label(label: str) -> None:
    """Check that a label is a text that C and its readers accept: short, and without NUL."""
    if not label or len(label) > LONGEST_LABEL:
        raise ModelError(f"metadata {LABELS}: a name of {len(label)} characters: 1 to {LONGEST_LABEL} are supported")
    if "\0" in label:
        raise ModelError(f"metadata {LABELS}: the name {label!r} has a NUL in it")


def write_metadata(model: onnx.ModelProto, labels: Sequence[str], preprocessing: Preprocessing | None) -> None:
    """Write labels and preprocessing into the model's metadata, in place, replacing what is there."""
    values = {LABELS: json.dumps(list(labels), ensure_ascii=False)}
    if preprocessing is not None:
        values[PREPROCESSING] = json.dumps(preprocessing.model_dump(mode="json"), sort_keys=True)
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key not in (LABELS, PREPROCESSING)}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**kept, **values})


def _load_all_external(model: ModelProto, folder: Path | None, name: str) -> None:
    """Read all data stored beside the model, after checking that together it is not too large."""
    outside = [tensor for tensor in tensors_of(model) if uses_external_data(tensor)]
    parts = [_External(tensor, folder, name) for tensor in outside]
    check_memory(sum(part.length for part in parts), f"{name}: what lies in other files", ModelError)
    for part in parts:
        part.load()


class _External:
    """A tensor's data in a file beside the model."""

    def __init__(self, tensor: TensorProto, folder: Path | None, name: str) -> None:
        self.tensor = tensor
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        self.what = f"{name}: tensor {tensor.name!r} lies in {location!r}"
        if folder is None:
            raise ModelError(f"{self.what}: give the path of the file, not its bytes")
        home = folder.resolve()
        if "\0" in str(location):
            raise ModelError(f"{self.what}: no such plain file beside the model")
        self.path = (home / location).resolve()
        if not location or not self.path.is_relative_to(home) or self.path == home:
            raise ModelError(f"{self.what}, outside the model's folder: move it beside the model")
        if (home / location).is_symlink() or not self.path.is_file():
            raise ModelError(f"{self.what}: no such plain file beside the model")
        whole = self.path.stat().st_size
        self.offset = self._number(entries.get("offset", "0"))
        self.length = self._number(entries.get("length", str(max(0, whole - self.offset))))
        if self.offset + self.length > whole:
            raise ModelError(
                f"{self.what}: bytes {self.offset:,} to {self.offset + self.length:,} of {whole:,}: it is truncated"
            )

    def _number(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ModelError(f"{self.what}: offset or length {text[:30]!r} is not a number of bytes")
        return int(text)

    def load(self) -> None:
        """Put the bytes into the tensor."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                self.tensor.raw_data = file.read(self.length)
        except OSError as error:
            raise ModelError(f"{self.what}: cannot be read: {error.strerror}") from error
        self.tensor.data_location = TensorProto.DEFAULT
        del self.tensor.external_data[:]


def _reason(error: Exception) -> str:
    """Why onnx.checker refuses a model, with the node that it names."""
    reason, node = first_line(error), _BAD_NODE.search(str(error))
    return f"{node[2]} {node[1]!r}: {reason}" if node and node[1] and node[1] not in reason else reason
