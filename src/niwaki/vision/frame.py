"""The whole frame of a camera, or its centre, as a network's picture: the reference for the C of `niwaki_frame.h`.

NumPy; doubles for the tables of weights alone, integers for pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESIZES = ("stretch", "fit", "crop")  # by niwaki_resize
FILTERS = ("nearest", "box", "bilinear", "bicubic")  # by niwaki_filter
LARGEST = 1024  # pixels of a side of the picture
BITS = 22  # of a weight's fraction
SUPPORTS = {"box": 0.5, "bilinear": 1.0, "bicubic": 2.0}


@dataclass(frozen=True)
class How:
    """How a frame becomes a picture."""

    height: int
    """Of the picture, in pixels, as its width."""
    width: int
    resize: str
    """One of RESIZES: both sides; all of it on black; its centre."""
    shorter: int = 0
    """crop: the shorter side before the centre is cut out; 0: just enough."""
    filter: str = "bilinear"
    """One of FILTERS."""

    @property
    def numbers(self) -> tuple[int, int, int, int, int]:
        """As the C takes them: width, height, rule, shorter side, filter."""
        return self.width, self.height, RESIZES.index(self.resize), self.shorter, FILTERS.index(self.filter)


@dataclass(frozen=True)
class Axis:
    """One direction: the frame's side, what it becomes, and the part of that which the picture has from `place` on."""

    side: int
    whole: int
    first: int
    count: int
    place: int


def shrink(frame: np.ndarray, how: How) -> np.ndarray:
    """The picture of a frame, uint8 (height, width, channels) → (channels, height, width).

    Pillow's filters, weights and rounding, first across, then down; in `Image.resize` it depends on the sides which
    direction is the first, so that its pixels may differ by one level.
    """
    down, across = plan(frame.shape[0], frame.shape[1], how)
    picture = np.zeros((frame.shape[2], how.height, how.width), np.uint8)
    rows = _means(_means(frame.transpose(2, 0, 1), across, how.filter).swapaxes(1, 2), down, how.filter)
    picture[:, down.place : down.place + down.count, across.place : across.place + across.count] = rows.swapaxes(1, 2)
    return picture


def box_of(height: int, width: int, how: How) -> tuple[int, int, int, int]:
    """The part of a frame that its picture shows: x, y, width, height."""
    down, across = plan(height, width, how)
    begin = [axis.first * axis.side // axis.whole for axis in (across, down)]
    size = [max(1, axis.count * axis.side // axis.whole) for axis in (across, down)]
    return begin[0], begin[1], size[0], size[1]


def plan(height: int, width: int, how: How) -> tuple[Axis, Axis]:
    """Rows and columns, as `niwaki.data.preprocessing` places them."""
    sides, sizes = (height, width), (how.height, how.width)
    factors = [size / side for side, size in zip(sides, sizes, strict=True)]
    axes = []
    for side, size in zip(sides, sizes, strict=True):
        inner = size if how.resize == "stretch" else max(1, round(side * min(factors)))
        if how.resize != "crop":
            axes.append(Axis(side, inner, 0, inner, (size - inner) // 2))
        elif how.shorter:  # as torchvision's Resize and CenterCrop
            whole = how.shorter * side // min(sides)
            axes.append(Axis(side, whole, round((whole - size) / 2), size, 0))
        else:
            whole = max(size, round(side * max(factors)))
            axes.append(Axis(side, whole, (whole - size) // 2, size, 0))
    return axes[0], axes[1]


def _means(planes: np.ndarray, axis: Axis, name: str) -> np.ndarray:
    """Weighted means along the last direction: uint8 (…, side) → (…, count)."""
    means = np.empty((*planes.shape[:-1], axis.count), np.uint8)
    for sample in range(axis.count):
        start, weights = _weights(axis, name, sample)
        sums = (planes[..., start : start + len(weights)].astype(np.int64) * weights).sum(-1) + (1 << (BITS - 1))
        means[..., sample] = (sums >> BITS).clip(0, 255)
    return means


def _weights(axis: Axis, name: str, sample: int) -> tuple[int, np.ndarray]:
    """The first pixel that a sample is the mean of, and the weights, int64."""
    scale = axis.side / axis.whole
    if name == "nearest":
        place = 0.5 * scale
        for _ in range(sample + axis.first):
            place += scale
        return min(int(place), axis.side - 1), np.array([1 << BITS])
    wider = max(scale, 1.0)
    reach, centre = SUPPORTS[name] * wider, (sample + axis.first + 0.5) * scale
    start, end = max(0, int(centre - reach + 0.5)), min(int(centre + reach + 0.5), axis.side)
    shares = [_weight(name, (x + start - centre + 0.5) * (1.0 / wider)) for x in range(end - start)]
    total = 0.0
    for share in shares:
        total += share
    scaled = [share / total * (1 << BITS) if total else share * (1 << BITS) for share in shares]
    return start, np.array([int(value - 0.5 if value < 0 else value + 0.5) for value in scaled])


def _weight(name: str, x: float) -> float:
    """A filter's value; bicubic: Keys, Cubic convolution interpolation for digital image processing (1981)."""
    if name == "box":
        return float(-0.5 < x <= 0.5)
    x = abs(x)
    if name == "bilinear":
        return max(0.0, 1.0 - x)
    a = -0.5
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2.0 else 0.0


def to_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Pixels, uint8 (height, width, 3), of samples of one size in the limited range of Rec. ITU-R BT.601.

    Integers with 16 bits of fraction, rounded to the nearest: to the bit what `niwaki_frame_pixels` gives.
    """
    y = 76309 * (luma.astype(np.int64) - 16) + 32768
    u, v = blue.astype(np.int64) - 128, red.astype(np.int64) - 128
    channels = (y + 104597 * v, y - 25675 * u - 53279 * v, y + 132201 * u)
    return np.stack([(channel >> 16).clip(0, 255) for channel in channels], axis=-1).astype(np.uint8)


def to_grey(luma: np.ndarray) -> np.ndarray:
    """Grey pixels, uint8 (height, width, 1), of luminance in the limited range."""
    grey: np.ndarray = ((76309 * (luma.astype(np.int64) - 16) + 32768) >> 16).clip(0, 255)
    return grey.astype(np.uint8)[..., None]
