"""Raw frames on standard input, from any program that can write them."""

import os
import sys
from typing import Optional

from ..errors import DeviceError
from .source import Frame, Source
from .spec import FASTEST, Spec

STANDARD_INPUT = 0


class Pipe(Source):
    """`pipe:-?width=640&height=480&fps=30`: every frame, until the writer closes the pipe.

    A frame is `width`·`height` bytes of luminance; for a bundle that sees colours, three bytes for each pixel: RGB.

    It is read like a film: the writer waits until there is room, and may pause for as long as it likes.
    """

    def __init__(self, spec: Spec, channels: int = 1) -> None:
        spec.allow(("width", "height", "fps"))
        if spec.place != "-":
            raise spec.error(spec.text, "only standard input is read: write pipe:-")
        self.name = "pipe:-"
        self.width, self.height = spec.number("width", None), spec.number("height", None)
        self._frames_per_second = spec.number("fps", 30, FASTEST)
        self._number, self._channels = 0, channels
        if sys.stdin is None:  # closed when Python started; its number may be another file's by now
            raise self._error("standard input is closed: pipe frames into it, as in PROGRAM | ./start --source pipe:-")

    def _error(self, what: str) -> DeviceError:
        return DeviceError("{}: {}".format(self.name, what))

    def read(self, timeout_s: float) -> Optional[Frame]:  # noqa: ARG002
        """The next frame, or None if the pipe ended after a whole one."""
        size = self.width * self.height * self._channels
        pixels = bytearray()
        while len(pixels) < size:
            part = self._part(size - len(pixels))
            if not part:
                if pixels:
                    raise self._error("frame {} is cut off: {} of {} bytes".format(self._number, len(pixels), size))
                return None
            pixels += part
        frame = Frame(bytes(pixels), self._number, self._number / self._frames_per_second)
        self._number += 1
        return frame

    def _part(self, size: int) -> bytes:
        try:
            return os.read(STANDARD_INPUT, size)
        except OSError as error:
            raise self._error("cannot be read at frame {}: {}".format(self._number, error.strerror)) from error
