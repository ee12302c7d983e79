"""Which pixels frames consist of, and where the formats of cameras and films have their samples.

The search for a garment takes luminance as the camera gives it. Whoever looks at the whole frame wants grey or red,
green and blue from 0 to 255: the library converts them.
"""

from typing import Callable, Dict, NamedTuple, Optional, Tuple

RGB, BT601, BT709 = 0, 1, 2  # niwaki_matrix


class Samples(NamedTuple):
    """The first byte of a component, bytes from row to row, and from sample to sample."""

    first: int
    row: int
    step: int


class Layout(NamedTuple):
    """A frame in memory, as `niwaki_layout` has it."""

    width: int
    height: int
    a: Samples  # red or Y
    b: Samples  # green or Cb
    c: Samples  # blue or Cr
    across: int = 1  # pixels that share a sample of colour
    down: int = 1
    matrix: int = RGB
    full: bool = True  # whether Y is 0 to 255, not 16 to 235

    @property
    def bytes(self) -> int:
        """How many bytes of data it reaches."""
        columns, rows = -(-self.width // self.across), -(-self.height // self.down)
        ends = [self.a.first + (self.height - 1) * self.a.row + (self.width - 1) * self.a.step]
        ends += [of.first + (rows - 1) * of.row + (columns - 1) * of.step for of in (self.b, self.c)]
        return max(ends) + 1

    @property
    def numbers(self) -> Tuple[int, ...]:
        """In the order of the C structure."""
        sides = (self.width, self.height)
        return (*sides, *self.a, *self.b, *self.c, self.across, self.down, self.matrix, int(self.full))


class Pixels(NamedTuple):
    """Which pixels a source gives, `channels` bytes each."""

    channels: int
    convert: Optional[Callable[[bytes, Layout], bytes]] = None
    """From a frame in memory; raises ValueError if the frame is too short. None: luminance as it is."""


GREY = Pixels(1)

_YCC: Dict[str, Tuple[int, int, int, int, int, int]] = {  # bytes from Y to Y; first byte of Y, Cb, Cr, or number
    # of the plane of Cb and Cr if each has its own; bytes from Cb to Cb; rows that share a Cb (0: it is between Ys)
    "YUYV": (2, 0, 1, 3, 4, 0), "UYVY": (2, 1, 0, 2, 4, 0), "YVYU": (2, 0, 3, 1, 4, 0), "VYUY": (2, 1, 2, 0, 4, 0),
    "NV12": (1, 0, 0, 1, 2, 2), "NV21": (1, 0, 1, 0, 2, 2), "NV16": (1, 0, 0, 1, 2, 1),
    "YU12": (1, 0, 0, 1, 1, 2), "YV12": (1, 0, 1, 0, 1, 2), "422P": (1, 0, 0, 1, 1, 1),
}  # fmt: skip
_COLOURS: Dict[str, Tuple[int, int, int, int]] = {  # places of red, green and blue, bytes of a pixel
    "RGB3": (0, 1, 2, 3), "BGR3": (2, 1, 0, 3), "XR24": (2, 1, 0, 4), "AR24": (2, 1, 0, 4), "BGR4": (2, 1, 0, 4),
    "XB24": (0, 1, 2, 4), "AB24": (0, 1, 2, 4), "BX24": (1, 2, 3, 4), "BA24": (1, 2, 3, 4), "RGB4": (1, 2, 3, 4),
    "RX24": (3, 2, 1, 4), "RA24": (3, 2, 1, 4),
}  # fmt: skip
_GREYS = {"GREY": (0, 1), "Y8  ": (0, 1), "Y16 ": (1, 2)}  # place and bytes of a pixel
COLOURED = (*_YCC, *_COLOURS)  # formats by V4L2's four characters, best first
COLOURLESS = tuple(_GREYS)


def layout_of(fourcc: str, size: Tuple[int, int], stride: int, matrix: int = BT601, full: bool = False) -> Layout:
    """Where a format has its samples; rows of pixels, or of luminance, begin `stride` bytes apart."""
    width, height = size
    if fourcc in _GREYS:
        first, step = _GREYS[fourcc]
        grey = Samples(first, stride, step)
        return Layout(width, height, grey, grey, grey)
    if fourcc in _COLOURS:
        *places, step = _COLOURS[fourcc]
        red, green, blue = (Samples(place, stride, step) for place in places)
        return Layout(width, height, red, green, blue)
    step, y, u, v, colour_step, down = _YCC[fourcc]
    begin, row, plane = (stride * height if down else 0), stride, 1
    if colour_step == 1:
        row, plane = stride // 2, stride // 2 * -(-height // down)
    blue, red = (Samples(begin + place * plane, row, colour_step) for place in (u, v))
    return Layout(width, height, Samples(y, stride, step), blue, red, 2, max(1, down), matrix, full)
