"""Vision in C, compiled for this machine and called from Python on grey frames."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import numpy as np

from niwaki.errors import NiwakiError
from niwaki.toolchain.compiler import SPEED, compile_shared
from niwaki.vision.finding import OUTCOMES, Finding

SOURCE, HEADER = "niwaki_vision.c", "niwaki_vision.h"


@contextmanager
def source_files() -> Iterator[Path]:
    """A folder with the C of this package: SOURCE and HEADER."""
    with resources.as_file(resources.files("niwaki.vision") / "c") as folder:
        yield folder


def compile_vision(out: Path, *, cc: str | None = None, flags: Sequence[str] = SPEED) -> Path:
    """Compile vision alone as a shared library for this machine and return `out`.

    The file appears whole or not at all. Raises ToolMissing if there is no compiler, NiwakiError with its first error.
    """
    with source_files() as files:
        return compile_shared(files / SOURCE, out, cc=cc, flags=flags)


class _Found(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int32)
        for name in ("outcome", "x", "y", "width", "height", "polarity", "contrast", "used_scene")
    ]


class Vision:
    """Finds garments in grey frames of one size, uint8 (height, width); pictures are `inner` (height, width).

    The library must contain vision: from `compile_vision`, or a bundle. Do not call it from two threads at once.

    >>> Vision(compile_vision(Path("vision.so")), 640, 480).find(frame).outcome     # doctest: +SKIP
    'found'
    """

    def __init__(self, library: Path, width: int, height: int, inner: tuple[int, int] = (28, 28)) -> None:
        self.width, self.height, self.inner = width, height, inner
        self._load(library)
        size = self._library.niwaki_vision_bytes(width, height, inner[1], inner[0])
        if size == 0:
            raise NiwakiError(
                f"frame {width}×{height}, picture {inner[1]}×{inner[0]}: frames have 16 to 4096 pixels each side, "
                "pictures 1 to 256"
            )
        self._memory = (ctypes.c_int64 * (size // 8))()
        self._library.niwaki_vision_init(self._memory, width, height, inner[1], inner[0])

    def _load(self, library: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(library.resolve()))
            functions = [
                getattr(self._library, f"niwaki_vision_{n}") for n in ("bytes", "init", "learn", "forget", "find")
            ]
        except (OSError, AttributeError) as error:
            raise NiwakiError(f"{library}: not a library with niwaki's vision in it: {error}") from error
        size, init, learn, forget, find = functions
        numbers, place = [ctypes.c_int32] * 4, ctypes.c_void_p
        size.restype, size.argtypes = ctypes.c_size_t, numbers
        init.argtypes = [place, *numbers]
        learn.argtypes = [place, place, ctypes.c_int32]
        forget.restype, forget.argtypes = None, [place]
        find.argtypes = [place, place, ctypes.c_int32, place, ctypes.POINTER(_Found)]

    def learn(self, frame: np.ndarray) -> int:
        """Learn one frame of the empty scene; returns how many there are now. Raises NiwakiError for a wrong frame."""
        frame = self._checked(frame)
        return int(self._library.niwaki_vision_learn(self._memory, frame.ctypes.data, frame.strides[0]))

    def forget(self) -> None:
        """Forget the scene."""
        self._library.niwaki_vision_forget(self._memory)

    def find(self, frame: np.ndarray) -> Finding:
        """The garment in the frame, or why there is none. Raises NiwakiError for a wrong frame."""
        frame = self._checked(frame)
        picture, found = np.empty(self.inner, np.uint8), _Found()
        self._library.niwaki_vision_find(
            self._memory, frame.ctypes.data, frame.strides[0], picture.ctypes.data, ctypes.byref(found)
        )
        box = found.x, found.y, found.width, found.height
        return Finding(OUTCOMES[found.outcome], box, found.polarity, found.contrast, bool(found.used_scene), picture)

    def _checked(self, frame: np.ndarray) -> np.ndarray:
        """The frame, with each row contiguous."""
        if frame.dtype != np.uint8 or frame.shape != (self.height, self.width):
            raise NiwakiError(f"frame is {frame.dtype} {frame.shape}: expected uint8 ({self.height}, {self.width})")
        return frame if frame.strides[1] == 1 else np.ascontiguousarray(frame)
