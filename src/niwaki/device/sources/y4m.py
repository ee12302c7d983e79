"""Films in YUV4MPEG2 (Y4M): uncompressed, one text header, then `FRAME` and the planes of each picture.

For the search for a garment only the luminance plane of every frame is used, unchanged: a film in limited range (black
16, white 235) stays so, since the search compares grey levels within one frame and stretches what it finds. For whoever
looks at the whole frame the library makes grey or colour of the planes, in the range that the header states
(XCOLORRANGE=FULL, else limited).
"""

from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

from ..errors import DeviceError
from .pixels import BT601, GREY, Layout, Pixels, Samples
from .source import Frame, Source
from .spec import LARGEST_SIDE

MAGIC = b"YUV4MPEG2"
LONGEST_LINE = 4096
_DIGITS = 10  # of each number in the frame rate
# What follows the luminance, for those C parameters of the header that mean 8 bits a sample: how many planes, and how
# many pixels share one sample across and down.
COLOUR_PLANES = {
    "mono": (0, 1, 1),
    "420": (2, 2, 2),
    "420jpeg": (2, 2, 2),
    "420mpeg2": (2, 2, 2),
    "420paldv": (2, 2, 2),
    "411": (2, 4, 1),
    "422": (2, 2, 1),
    "444": (2, 1, 1),
    "444alpha": (3, 1, 1),
}


class Y4mFilm(Source):
    """Every frame of the Y4M file at `path`; also a named pipe that another program writes to.

    Refuses at once what is not Y4M, has no 8-bit luminance, or is larger than the runner accepts. A last frame that is
    cut off ends the film with a `DeviceError`.
    """

    def __init__(self, path: str, want: Pixels = GREY) -> None:
        self.name, self._want = path, want
        try:
            self._file = Path(path).open("rb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise DeviceError("{}: {}".format(path, error.strerror)) from error
        self._number = 0
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        words = self._line().split(b" ")
        if words[0] != MAGIC:
            raise self._error("is not a Y4M film: it does not begin with YUV4MPEG2")
        parameters = {word[:1].decode("latin-1"): word[1:].decode("latin-1") for word in words[1:] if word}
        self.width, self.height = self._side(parameters, "W"), self._side(parameters, "H")
        self.frames_per_second = self._rate(parameters.get("F", "30:1"))
        colour = parameters.get("C", "420")
        if colour not in COLOUR_PLANES:
            raise self._error("C{} is not read: convert it with ffmpeg -i IN -pix_fmt gray OUT.y4m".format(colour))
        planes, across, down = COLOUR_PLANES[colour]
        self._colour_bytes = planes * -(-self.width // across) * -(-self.height // down)
        self._layout = self._planes(planes, across, down, b"XCOLORRANGE=FULL" in words)

    def _planes(self, planes: int, across: int, down: int, full: bool) -> Layout:
        area, row = self.width * self.height, -(-self.width // across)
        luma = Samples(0, self.width, 1)
        blue, red = (Samples(area + plane * row * -(-self.height // down), row, 1) for plane in (0, 1))
        if planes == 0:  # no colour: one sample of it for all pixels, which `read` adds
            blue = red = Samples(area, 0, 0)
        return Layout(self.width, self.height, luma, blue, red, across, down, BT601, full)

    def _side(self, parameters: Dict[str, str], name: str) -> int:
        text = parameters.get(name, "")
        if not (text.isdecimal() and len(text) <= _DIGITS and 1 <= int(text) <= LARGEST_SIDE):
            raise self._error("header says {}{}: expected 1 to {} pixels".format(name, text[:20], LARGEST_SIDE))
        return int(text)

    def _rate(self, text: str) -> Tuple[int, int]:
        above, _, below = text.partition(":")
        digits = above.isdecimal() and below.isdecimal() and max(len(above), len(below)) <= _DIGITS
        if not (digits and int(above) and int(below)):
            raise self._error(
                "header says F{}: expected frames per second as a fraction, such as F30:1".format(text[:40])
            )
        return int(above), int(below)

    def _line(self) -> bytes:
        line = self._bytes(lambda: self._file.readline(LONGEST_LINE))
        if line and not line.endswith(b"\n"):
            raise self._error("is damaged at byte {}: a header line has no end".format(self._file.tell()))
        return line.rstrip(b"\n")

    def _bytes(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except OSError as error:
            raise self._error("cannot be read at frame {}: {}".format(self._number, error.strerror)) from error

    def _error(self, what: str) -> DeviceError:
        return DeviceError("{}: {}".format(self.name, what))

    def read(self, timeout_s: float) -> Optional[Frame]:  # noqa: ARG002
        """The next frame, or None at the film's end."""
        line = self._line()
        if not line:
            return None
        if line.split(b" ")[0] != b"FRAME":
            raise self._error("frame {} does not begin with FRAME: the film is damaged".format(self._number))
        grey = self._bytes(lambda: self._file.read(self.width * self.height))
        rest = self._bytes(lambda: self._file.read(self._colour_bytes))
        if len(grey) + len(rest) != self.width * self.height + self._colour_bytes:
            raise self._error("frame {} is cut off: the film is incomplete".format(self._number))
        above, below = self.frames_per_second
        if self._want.convert is not None:
            grey = self._want.convert(grey + (rest or b"\x80"), self._layout)
        frame = Frame(grey, self._number, self._number * below / above)
        self._number += 1
        return frame

    def close(self) -> None:
        """Close the file."""
        self._file.close()
