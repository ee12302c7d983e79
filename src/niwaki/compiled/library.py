"""The generated C as a shared library, called from Python on arrays of images."""

from __future__ import annotations

import contextlib
import ctypes
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from niwaki.errors import ModelError, NiwakiError
from niwaki.folders import temporary
from niwaki.toolchain.compiler import SPEED, compile_shared


def compile_library(
    folder: Path, *, cc: str | None = None, flags: Sequence[str] = SPEED, out: Path | None = None
) -> Path:
    """Compile `model.c` of a generated folder as a shared library and return its path (`folder/libNAME.so`).

    The file appears whole or not at all. Raises ToolMissing if there is no compiler, NiwakiError with the compiler's
    error.
    """
    source = folder / "model.c"
    if not source.is_file():
        raise NiwakiError(f"{folder}: no model.c in it: make the folder with niwaki export FILE --to c")
    return compile_shared(source, out or folder / f"lib{interface(folder).prefix}.so", cc=cc, flags=flags)


class Interface:
    """The contents of a generated `model.h`: prefix, shapes and quantization."""

    def __init__(self, header: str, name: str) -> None:
        found = re.search(r"^int (\w+)_run\(", header, re.MULTILINE)
        define = re.compile(r"^#define \w+?_((?:INPUT|OUTPUT|ARENA)_\w+) \(?([-+.\w]+)\)?", re.MULTILINE)
        numbers = dict(define.findall(header))
        if found is None or "INPUT_BYTES" not in numbers:
            raise NiwakiError(f"{name}: not a model.h that niwaki wrote")
        self.prefix = found[1]
        self.input_shape = tuple(int(numbers[f"INPUT_{side}"]) for side in ("CHANNELS", "HEIGHT", "WIDTH"))
        self.input_bytes, self.output_bytes = int(numbers["INPUT_BYTES"]), int(numbers["OUTPUT_BYTES"])
        self.arena_bytes = int(numbers["ARENA_BYTES"])
        self.output_scale = float.fromhex(numbers["OUTPUT_SCALE"].removesuffix("f"))
        self.output_zero_point = int(numbers["OUTPUT_ZERO_POINT"])
        self.takes_pixels = f"{self.prefix}_run_pixels(" in header


def interface(folder: Path) -> Interface:
    """Read `model.h` of a generated folder. Raises NiwakiError if it is not one."""
    header = folder / "model.h"
    try:
        return Interface(header.read_text(encoding="utf-8"), str(header))
    except (OSError, UnicodeDecodeError) as error:
        raise NiwakiError(f"{folder}: no readable model.h: make the folder with niwaki export FILE --to c") from error


class CModel:
    """A generated model as a callable: uint8 pixels (n, C, H, W) to int8 scores (n, classes), channels first.

    Takes a generated folder, or `files` in its place, which are compiled if `library` is not given. Do not call it from
    two threads at once: the library has one static arena.

    >>> CModel("exported/c")(data.test.images).argmax(1)              # doctest: +SKIP
    """

    def __init__(
        self, folder: str | Path, *, library: Path | None = None, files: Mapping[str, bytes] | None = None
    ) -> None:
        self.folder = Path(folder)
        with contextlib.ExitStack() as tidy:  # once it is loaded, the library no longer needs its file
            source = self.folder
            if library is None:
                work = Path(tidy.enter_context(temporary("c")))
                for name, content in (files or {}).items():
                    (work / name).write_bytes(content)
                source = self.folder if files is None else work
            self.interface = interface(source)
            if library is None:
                library = compile_library(source, out=work / f"lib{self.interface.prefix}.so")
            try:
                loaded = ctypes.CDLL(str(library.resolve()))
            except OSError as error:
                raise NiwakiError(f"{library}: cannot be loaded: {error}") from error
        self._one = np.empty((1, self.interface.output_bytes), np.int8)
        self._one_place = self._one.ctypes.data
        self.run_one = self._function(loaded, "run", False)
        self._batch = self._function(loaded, "run_batch", True)
        if self.interface.takes_pixels:
            self.run_pixels_one = self._function(loaded, "run_pixels", False)
            self._pixels_batch = self._function(loaded, "run_pixels_batch", True)

    def _function(self, loaded: ctypes.CDLL, name: str, counted: bool) -> Callable[..., int]:
        function = getattr(loaded, f"{self.interface.prefix}_{name}")
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *([ctypes.c_size_t] if counted else [])]
        function.restype = ctypes.c_int
        return cast(Callable[..., int], function)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """int8 scores (n, classes) of raw uint8 images (n, C, H, W). Raises ModelError for another type or shape."""
        if not self.interface.takes_pixels:
            raise ModelError(f"{self.folder}: the ONNX had no preprocessing: this model takes int8 inputs only (run)")
        return self._call(self._pixels_batch, images, np.dtype(np.uint8))

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """int8 scores (n, classes) of quantized inputs, int8 (n, C, H, W)."""
        return self._call(self._batch, inputs, np.dtype(np.int8))

    def prepare(self, *, inputs: bool = False) -> PreparedCall:
        """A call for one image at a time, whose arrays are laid out once: for raw pixels, or int8 `inputs`.

        >>> call = model.prepare()                                        # doctest: +SKIP
        >>> call.image[:] = image                                         # doctest: +SKIP
        >>> call().argmax()                                               # doctest: +SKIP
        """
        if not (inputs or self.interface.takes_pixels):
            raise ModelError(f"{self.folder}: the ONNX had no preprocessing: prepare(inputs=True) takes int8 inputs")
        image = np.zeros(self.interface.input_shape, np.int8 if inputs else np.uint8)
        return PreparedCall(self.run_one if inputs else self.run_pixels_one, image, self.interface.output_bytes)

    def _call(self, function: Callable[..., int], images: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
        if not isinstance(images, np.ndarray):
            raise ModelError(f"images are of type {type(images).__name__}: expected a numpy array of {dtype}")
        if images.dtype != dtype or math.prod(images.shape[1:]) != self.interface.input_bytes:
            shape = ", ".join(map(str, self.interface.input_shape))
            raise ModelError(f"images are {images.dtype} {images.shape}: expected {dtype} (n, {shape})")
        if len(images) == 1:  # asking numpy for two addresses takes longer than a small network
            if function(images.tobytes(), self._one_place, 1) != 0:
                raise ModelError(f"{self.folder}: the C refused the image")  # pragma: no cover (only for NULL)
            return self._one.copy()
        images = np.ascontiguousarray(images)
        scores = np.empty((len(images), self.interface.output_bytes), np.int8)
        if function(images.ctypes.data, scores.ctypes.data, len(images)) != 0:
            raise ModelError(f"{self.folder}: the C refused the images")  # pragma: no cover (only for NULL)
        return scores


class PreparedCall:
    """The model for one image at a time: write into `image`, (C, H, W), call, and read `scores`, int8 (classes,).

    A call takes a fraction of a microsecond beside the network itself, because no array is made and none is looked at.
    It returns `scores`, which the next call overwrites. Do not call a model from two threads at once.
    """

    __slots__ = ("_from", "_function", "_to", "image", "scores")

    def __init__(self, function: Callable[..., int], image: np.ndarray, classes: int) -> None:
        self.image = image
        self.scores = np.zeros(classes, np.int8)
        self._function = function
        self._from, self._to = (ctypes.c_void_p(array.ctypes.data) for array in (self.image, self.scores))

    def __call__(self) -> np.ndarray:
        """The scores of what `image` holds now."""
        self._function(self._from, self._to)
        return self.scores
