"""Extract luminance from the formats of cameras and pictures: slices of bytes, about a millisecond a frame."""

from typing import Dict, NamedTuple

from ..finding import interleaved


class Packing(NamedTuple):
    """Where a row of pixels has its luminance: in byte `first` of every `step` bytes."""

    first: int
    step: int


# By V4L2's four characters, best first: the fewest bytes over USB and the least work. In the planar ones
# luminance comes first; what follows is not read.
PACKINGS: Dict[str, Packing] = {
    "GREY": Packing(0, 1),
    "Y8  ": Packing(0, 1),
    "YUYV": Packing(0, 2),
    "UYVY": Packing(1, 2),
    "YVYU": Packing(0, 2),
    "VYUY": Packing(1, 2),
    "NV12": Packing(0, 1),
    "NV21": Packing(0, 1),
    "YU12": Packing(0, 1),
    "YV12": Packing(0, 1),
    "422P": Packing(0, 1),
    "NV16": Packing(0, 1),
    "Y16 ": Packing(1, 2),  # least significant byte first: the other one is what 8 bits keep
}


def luminance(data: bytes, packing: Packing, width: int, height: int, stride: int) -> bytes:
    """`width`·`height` bytes from a frame whose rows start `stride` bytes apart."""
    first, step = packing.first, packing.step
    if stride == width * step:
        return data[first : stride * height : step]
    return b"".join(data[row + first : row + width * step : step] for row in range(0, stride * height, stride))


def luminance_of_rgb(rgb: bytes) -> bytes:
    """Rec. 601 luminance of packed RGB, rounded, with the same integers as Pillow."""
    red, green, blue = (tuple(v * weight for v in range(256)) for weight in (19595, 38470, 7471))
    pixels = zip(rgb[::3], rgb[1::3], rgb[2::3])
    return bytes([(red[r] + green[g] + blue[b] + 32768) >> 16 for r, g, b in pixels])


def as_wanted(pixels: bytes, stored: int, channels: int) -> bytes:
    """Pixels of 1 or 3 channels in the number that is wanted."""
    if stored == channels:
        return pixels
    return luminance_of_rgb(pixels) if channels == 1 else interleaved([pixels] * 3)
