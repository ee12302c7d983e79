"""An ONNX file: opened with care, and what niwaki writes into its metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from pydantic import ValidationError

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.files import parse_json

LABELS, PREPROCESSING = "niwaki.labels", "niwaki.preprocessing"


@dataclass(frozen=True)
class Metadata:
    """What an ONNX says about itself: nothing, if niwaki did not write it."""

    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None


def load_onnx(source: Path | bytes, name: str | None = None) -> ModelProto:
    """The checked model in a file or in bytes, with external data loaded in; `name` stands for it in errors.

    External data are read from the file's own folder only. Raises ModelError for a file that cannot be read, is
    truncated or no ONNX, breaks the ONNX specification, or whose external data lie elsewhere or are not all there.
    """
    name = name or (str(source) if isinstance(source, Path) else "the ONNX")
    folder = source.parent if isinstance(source, Path) else None
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror}") from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError
        raise ModelError(f"{name}: no ONNX, or truncated: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{name}: no ONNX, or empty: it has no nodes")
    for tensor in _tensors(model):
        if uses_external_data(tensor):
            _load_external(tensor, folder, name)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{name}: not a valid ONNX: {_first_line(error)}") from error
    return model


def metadata(model: ModelProto) -> Metadata:
    """Labels and preprocessing of a model. Raises ModelError where what is there cannot be read."""
    entries = {entry.key: entry.value for entry in model.metadata_props}
    labels: tuple[str, ...] = ()
    if LABELS in entries:
        try:
            found = parse_json(entries[LABELS])
        except ValueError as error:
            raise ModelError(f"metadata {LABELS}: not JSON: {error}") from error
        if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
            raise ModelError(f"metadata {LABELS}: expected a list of names")
        labels = tuple(found)
    if PREPROCESSING not in entries:
        return Metadata(labels)
    try:
        return Metadata(labels, Preprocessing.model_validate(parse_json(entries[PREPROCESSING])))
    except ValidationError as error:
        raise ModelError(f"metadata {PREPROCESSING}: {_first_line(error.errors()[0]['msg'])}") from error
    except ValueError as error:
        raise ModelError(f"metadata {PREPROCESSING}: not JSON: {error}") from error


def write_metadata(model: onnx.ModelProto, labels: Sequence[str], preprocessing: Preprocessing | None) -> None:
    """Put labels and preprocessing into the model's metadata, in place, instead of what is there."""
    values = {LABELS: json.dumps(list(labels), ensure_ascii=False)}
    if preprocessing is not None:
        values[PREPROCESSING] = json.dumps(preprocessing.model_dump(mode="json"), sort_keys=True)
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key not in (LABELS, PREPROCESSING)}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**kept, **values})


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant of a model, those of subgraphs and functions included."""
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)
            graphs.extend([*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs])


def _load_external(tensor: TensorProto, folder: Path | None, name: str) -> None:
    """Read a tensor's data from a file beside the model, and nowhere else."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    if folder is None:
        raise ModelError(
            f"{name}: tensor {tensor.name!r} lies in {location!r}: give the path of the file, not its bytes"
        )
    home = folder.resolve()
    path = (home / location).resolve()
    if not location or not path.is_relative_to(home) or path == home:
        raise ModelError(f"{name}: tensor {tensor.name!r} lies in {location!r}, outside of the model's folder: refused")
    if (home / location).is_symlink() or not path.is_file():
        raise ModelError(f"{name}: tensor {tensor.name!r} lies in {location!r}: no such plain file beside the model")
    try:
        load_external_data_for_tensor(tensor, str(home))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{name}: tensor {tensor.name!r} in {location!r}: {_first_line(error)}") from error
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _first_line(error: Exception | str) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
