"""The bundle's library, called through ctypes: the network, and what makes its picture of a frame."""

import ctypes
from pathlib import Path
from typing import Any, List, Optional, Union

from .bundle import LIBRARY, Bundle
from .decision import OUTCOMES
from .elf import processor_here, processor_of
from .errors import BAD_INPUT, NO_LIBRARY, DeviceError
from .finding import Finding
from .sources import GREY, Layout, Pixels

_MOST_SCORES = 1 << 16  # bytes that a library may write before its number of classes is known
_FINDING_NUMBERS = 8  # int32 each: outcome, x, y, width, height, polarity, contrast, used_scene


class Network:
    """The network of a bundle. Do not call it from two threads at once: the library has one static arena."""

    def __init__(self, bundle: Bundle, library: Optional[Path] = None) -> None:
        """Load `library`, or the bundle's own. Raises DeviceError: changed, another processor, not niwaki's."""
        self.bundle = bundle
        self._path = bundle.path(LIBRARY) if library is None else library
        self._library = _load(self._path)
        self._run = self._function("niwaki_model_run_pixels", ctypes.c_int, 2)
        self._pixels = bundle.input.pixels
        self._scores = (ctypes.c_int8 * len(bundle.classes))()
        given = self._count_scores()
        if given != len(bundle.classes):
            what = "{}: gives {} scores, but bundle.json names {} classes: build the bundle again"
            raise DeviceError(what.format(self._path, given, len(bundle.classes)), BAD_INPUT)

    def _function(self, name: str, result: Any, pointers: int, *numbers: Any) -> Any:
        try:
            function = getattr(self._library, name)
        except AttributeError:
            what = "{}: has no {}: it is not of this niwaki: build the bundle again".format(self._path, name)
            raise DeviceError(what, NO_LIBRARY) from None
        function.restype, function.argtypes = result, [ctypes.c_void_p] * pointers + list(numbers)
        return function

    def _count_scores(self) -> int:
        """How many bytes the library writes: up to the last one that changed, over zeros or over ones."""
        most = 0
        for fill in (b"\x00", b"\x01"):
            before = fill * _MOST_SCORES
            memory = ctypes.create_string_buffer(before, _MOST_SCORES)
            self._run(bytes(self._pixels), memory)
            most = max(most, len(memory.raw.rstrip(fill)))
        return most

    def scores(self, pixels: bytes) -> List[int]:
        """int8 scores of raw pixels, one byte each, the border included. Raises ValueError for another size."""
        if len(pixels) != self._pixels:
            raise ValueError("{} pixels: the network takes {}".format(len(pixels), self._pixels))
        self._run(pixels, self._scores)
        return list(self._scores)

    def vision(self, width: int, height: int) -> "Union[Vision, WholeFrame]":
        """What makes pictures of frames of this size. Raises DeviceError if they are too small or large."""
        return Vision(self, width, height) if self.bundle.look.finds else WholeFrame(self, width, height)

    @property
    def wants(self) -> Pixels:
        """The pixels that frames must have."""
        if self.bundle.look.finds:
            return GREY
        channels = self.bundle.input.channels
        number, place = ctypes.c_int32, ctypes.c_void_p
        function = self._function("niwaki_frame_pixels", ctypes.c_int, 0)
        function.argtypes = [place, ctypes.c_size_t, place, number, place]

        def convert(data: bytes, layout: Layout) -> bytes:
            pixels = ctypes.create_string_buffer(layout.width * layout.height * channels)
            if function(data, len(data), (number * 15)(*layout.numbers), channels, pixels) != 0:
                raise ValueError("a frame of {} bytes: expected {}".format(len(data), layout.bytes))
            return pixels.raw

        return Pixels(channels, convert)


class Vision:
    """Finds the garment in frames of one size, and remembers the empty scene that it learned."""

    def __init__(self, network: Network, width: int, height: int) -> None:
        inner = network.bundle.input
        sizes = width, height, inner.inner_width, inner.inner_height
        number, function = ctypes.c_int32, network._function
        needed = function("niwaki_vision_bytes", ctypes.c_size_t, 0, number, number, number, number)(*sizes)
        if not needed:
            raise DeviceError("frames of {} x {}: niwaki takes 16 to 4096 pixels a side".format(width, height))
        self.width, self.height = width, height
        self._memory = (ctypes.c_uint64 * (-(-needed // 8)))()  # aligned to 8
        self._learn = function("niwaki_vision_learn", ctypes.c_int, 2, number)
        self._forget = function("niwaki_vision_forget", None, 1)
        self._find = function("niwaki_vision_find", ctypes.c_int, 2, number, ctypes.c_void_p, ctypes.c_void_p)
        self._picture = (ctypes.c_uint8 * (inner.inner_width * inner.inner_height))()
        self._finding = (number * _FINDING_NUMBERS)()
        function("niwaki_vision_init", ctypes.c_int, 1, number, number, number, number)(self._memory, *sizes)

    def learn(self, grey: bytes) -> int:
        """Take one frame of the empty scene; returns how many were learned so far."""
        return int(self._learn(self._memory, self._checked(grey), self.width))

    def forget(self) -> None:
        """Forget the empty scene."""
        self._forget(self._memory)

    def find(self, grey: bytes) -> Finding:
        """Where the garment is, and how it looks to the network. Raises ValueError for a frame of another size."""
        self._find(self._memory, self._checked(grey), self.width, self._picture, self._finding)
        outcome, x, y, width, height, polarity, contrast, used_scene = self._finding
        return Finding(
            OUTCOMES[outcome], x, y, width, height, polarity, contrast, bool(used_scene), bytes(self._picture)
        )

    def _checked(self, grey: bytes) -> bytes:
        if len(grey) != self.width * self.height:
            raise ValueError("a frame of {} bytes: expected {} x {}".format(len(grey), self.width, self.height))
        return grey


class WholeFrame:
    """The whole of each frame, or its centre, as the network's picture; nothing is searched for, nothing learned."""

    def __init__(self, network: Network, width: int, height: int) -> None:
        shape, look = network.bundle.input, network.bundle.look
        self.width, self.height = width, height
        self._bytes = width * height * shape.channels
        numbers = (width, height, shape.channels, shape.inner_width, shape.inner_height, *look.numbers)
        how = (ctypes.c_int32 * 8)(*numbers)
        needed = network._function("niwaki_frame_bytes", ctypes.c_size_t, 1)(how)
        if not needed:
            raise DeviceError("frames of {} x {}: niwaki takes 1 to 4096 pixels a side".format(width, height))
        self._memory, self._box = (ctypes.c_uint64 * (-(-needed // 8)))(), (ctypes.c_int32 * 4)()
        network._function("niwaki_frame_init", ctypes.c_int, 3)(self._memory, how, self._box)
        self._shrink = network._function("niwaki_frame_shrink", None, 3)
        self._picture = (ctypes.c_uint8 * shape.inner_pixels)()

    def learn(self, pixels: bytes) -> int:  # noqa: ARG002
        """There is no empty scene to learn."""
        return 0

    def forget(self) -> None:
        """Nothing was learned."""

    def find(self, pixels: bytes) -> Finding:
        """The picture, and the part of the frame that it shows. Raises ValueError for a frame of another size."""
        if len(pixels) != self._bytes:
            raise ValueError("a frame of {} bytes: expected {}".format(len(pixels), self._bytes))
        self._shrink(self._memory, pixels, self._picture)
        x, y, across, down = self._box
        return Finding(OUTCOMES[0], x, y, across, down, 0, 0, False, bytes(self._picture))


def _load(path: Path) -> ctypes.CDLL:
    theirs, ours = processor_of(path), processor_here()
    if theirs and ours and theirs != ours:
        what = "{}: is for {}, this Python is for {}: build the bundle with another --target".format(path, theirs, ours)
        raise DeviceError(what, NO_LIBRARY)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        what = "{}: cannot be loaded: {}: build the bundle with the --target of this board".format(path, error)
        raise DeviceError(what, NO_LIBRARY) from error
