"""The forms of a model, one entry each: its name, its file in an export's folder, its requirements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

MODEL, ONNX, INT8, DYNAMIC, C = "model", "onnx", "onnx-int8", "onnx-dynamic", "c"
TORCH = "torch"  # the form `model` while it runs
REFERENCE = "reference"  # the form `onnx-int8` in integers alone: the C must equal it
TFLITE, TFLITE_FILE = "tflite", "model.tflite"  # what LiteRT runs, and its name beside the int8 ONNX made from it
FILE = "file"  # an int8 ONNX as another tool wrote it, beside what niwaki made of it
TOLERANCE = 1e-3


@dataclass(frozen=True)
class FormKind:
    """A form. Those that are not treated specially here run as ONNX in ONNX Runtime."""

    name: str
    file: str
    """Its name in an export's folder; for `c`, a folder."""
    kind: Literal["model", "float", "int8", "dynamic", ""]
    """The kind that such a file turns out to be when opened; empty: it is never opened alone."""
    calibrated: bool = False
    """Whether it needs training images."""
    optional: bool = False
    """Whether "all forms" may leave it out. A study exports no such form."""
    same_class: tuple[str, float] | None = None
    """The form whose classes it must give, and for what percent of the images; None: it is not judged."""
    tolerance: float = TOLERANCE
    """Allowed difference of its scores, relative to the largest. Int8 forms are compared in steps instead."""
    called: str = "float"
    """Its name in a sentence about its cost against float."""

    @property
    def is_float(self) -> bool:
        """Whether its scores are those of the float network, which others are compared with."""
        return self.kind in ("model", "float")

    @property
    def runs_as_onnx(self) -> bool:
        """Whether ONNX Runtime runs it."""
        return self.name not in (MODEL, C)


FORMS = (
    FormKind(MODEL, "model.safetensors", "model"),
    FormKind(ONNX, "model.onnx", "float", same_class=(TORCH, 99.9)),
    FormKind(INT8, "model-int8.onnx", "int8", calibrated=True, same_class=(REFERENCE, 99.5), called="int8"),
    FormKind(DYNAMIC, "model-dynamic.onnx", "dynamic", optional=True, called="dynamic int8"),
    FormKind(C, "c", "", calibrated=True, called="int8"),
)
KINDS = {form.name: form for form in FORMS}
if TYPE_CHECKING:
    Form = str
    RunForm = str
else:
    Form = Literal[tuple(KINDS)]
    RunForm = Literal[(TORCH, *(name for name in KINDS if name != MODEL))]
FILES: dict[Form, str] = {form.name: form.file for form in FORMS}
CHOICES: tuple[Form, ...] = tuple(name for name in KINDS if name != MODEL)
"""The forms that can be exported."""
PROJECTS: Mapping[str, str] = {
    "arduino": "an Arduino library", "platformio": "a PlatformIO project", "esp-idf": "an ESP-IDF component",
    "zephyr": "a Zephyr module", "cmake": "a CMake package",
}  # fmt: skip
"""Projects for microcontrollers that the C can be exported as, and what people call them."""
TIMED: tuple[str, ...] = (TORCH, *sorted(CHOICES, key=lambda name: KINDS[name].calibrated))
"""The forms that run, float first."""
