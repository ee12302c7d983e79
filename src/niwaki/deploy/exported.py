"""The folder of an export, opened once: its contents, whether they match the note, and the model's description."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import onnx

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.folder import FolderNote, read_form, read_note
from niwaki.deploy.formats import FILES, INT8, MODEL, ONNX, TFLITE_FILE, C, Form
from niwaki.deploy.origin import Origin, input_shape_of, model_origin, onnx_origin, outputs_of
from niwaki.deploy.pictures import ImageNeeds
from niwaki.errors import ModelError
from niwaki.folders import read_inside
from niwaki.measure.onnxcost import count_onnx
from niwaki.models import modelfile
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnxfile import load_onnx, metadata
from niwaki.models.provenance import Provenance

MACS = 5_000_000  # for a small network whose MACs cannot be counted


@dataclass(frozen=True)
class Export:
    """The contents of an export's folder; every file of a model was read once, and is intact."""

    folder: Path
    note: FolderNote | None
    files: Mapping[Form, bytes] = field(default_factory=dict)
    """Origins of the model file and the ONNX files that can be used."""
    info: ModelInfo | None = None
    onnx: Mapping[Form, onnx.ModelProto] = field(default_factory=dict)
    graph: Graph | None = None
    """The network of the int8 ONNX; None if there is none or it is not an integer network."""
    no_graph: str = ""
    """Why it is not an integer network."""
    code: Mapping[str, bytes] = field(default_factory=dict)
    """The files of the C that `export.json` lists, by their names in its folder."""
    tflite: bytes = b""
    """The TensorFlow Lite file that the int8 ONNX was made from, if `export.json` lists it."""
    broken: Mapping[Form, str] = field(default_factory=dict)
    """Forms that are there, or should be, and cannot be used, each with the reason."""

    @property
    def has_c(self) -> bool:
        """Whether there is generated C."""
        return (self.folder / FILES[C]).is_dir() or bool(self.note and C in self.note.forms)

    @cached_property
    def preprocessing(self) -> Preprocessing | None:
        """How raw pixels become an input; None if no file says it."""
        stated = [self.info.preprocessing] if self.info else []
        stated += [about for model in self.onnx.values() if (about := metadata(model).preprocessing) is not None]
        return next(iter(stated), None)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, if a file says them."""
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
        """The number of scores for one image; None if no file says it."""
        return next((count for model in self.onnx.values() if (count := outputs_of(model)) is not None), None)

    @property
    def needs(self) -> ImageNeeds:
        """What the images to try its forms on must be."""
        said = self.info.provenance if self.info else Provenance()
        noted, data = (self.note.provenance, self.note.data) if self.note else (Provenance(), None)
        return ImageNeeds(
            str(self.folder), self.input_shape, self.labels, self.preprocessing, said or noted, self.outputs, data
        )

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image; a guess if some operators cannot be counted."""
        try:
            return count_onnx(next(iter(self.onnx.values()))).macs or MACS
        except ModelError:
            return MACS

    @property
    def integer(self) -> Graph:
        """The integer network. Raises ModelError if there is none."""
        if self.graph is None:
            raise ModelError(self.no_graph)
        return self.graph

    def origin(self, form: Form) -> Origin:
        """One of its models, to export or try. Raises ModelError if it cannot be used."""
        if form in self.broken:
            raise ModelError(self.broken[form])
        path = self.folder / FILES[form]
        if form == MODEL:
            return model_origin(self.files[form], str(path), path.stem)
        return onnx_origin(path, self.files[form], self.onnx[form])


def open_export(folder: Path) -> Export:
    """Read the contents of an export's folder; a file that cannot be used does not affect the others.

    Raises ModelError if there is no readable ONNX file, or `export.json` is damaged.
    """
    export = look_into(folder)
    if not export.onnx:
        why = next((why for form, why in export.broken.items() if form not in (MODEL, C)), "")
        raise ModelError(why or _no_export(folder))
    return export


def look_into(folder: Path) -> Export:
    """`open_export` for a folder that may not be an export. Raises ModelError only if `export.json` is damaged."""
    note = read_note(folder)
    files: dict[Form, bytes] = {}
    models: dict[Form, onnx.ModelProto] = {}
    broken: dict[Form, str] = {}
    code: dict[str, bytes] = {}
    info, tflite = None, b""
    for form, name in FILES.items():
        noted = note is not None and form in note.forms
        if not noted and (form == C or not os.path.lexists(folder / name)):
            continue
        try:
            listed = read_form(folder, note, form) if note else {}
            if form == C:
                code = {path.removeprefix(f"{name}/"): data for path, data in listed.items()}
                continue
            tflite = listed.get(TFLITE_FILE, tflite)
            data = listed[name] if name in listed else _read(folder, name)
            if form == MODEL:
                info = modelfile.info_of(data, name=str(folder / name))
            else:
                models[form] = load_onnx(data, str(folder / name), folder)
            files[form] = data
        except ModelError as error:
            broken[form] = str(error)
    graph, no_graph = _integer(folder, models, broken)
    return Export(folder, note, files, info, models, graph, no_graph, code, tflite, broken)


def _integer(
    folder: Path, models: Mapping[Form, onnx.ModelProto], broken: Mapping[Form, str]
) -> tuple[Graph | None, str]:
    """The integer network of the int8 ONNX; None, with the reason, if there is none."""
    if INT8 not in models:
        missing = f"{folder}: contains C, but not the {FILES[INT8]} that it was generated from: export again"
        return None, broken.get(INT8, missing)
    try:
        return read_qdq(models[INT8], str(folder / FILES[INT8])), ""
    except ModelError as error:
        return None, str(error)


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_inside(folder, name)
    except OSError as error:
        raise ModelError(f"{folder / name}: cannot be read: {error.strerror}") from error


def _no_export(folder: Path) -> str:
    return (
        f"{folder}: contains neither {FILES[ONNX]} nor {FILES[INT8]}: give a folder that niwaki export wrote, a "
        "model file or an ONNX file"
    )
