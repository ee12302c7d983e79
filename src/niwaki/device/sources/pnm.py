"""PGM and PPM pictures (binary: P5, P6), as netpbm's manual defines them."""

import re
from typing import Tuple

from .luminance import as_wanted
from .spec import LARGEST_SIDE

# Magic, then three numbers; before each, blanks and comments to the end of a line; one blank before the samples.
HEADER = re.compile(rb"P([56])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d{1,9})" + rb"\s")
PLAIN = (b"P1", b"P2", b"P3", b"P4", b"P7")


def decode_pnm(data: bytes, channels: int = 1) -> Tuple[int, int, bytes]:
    """Width, height and pixels (luminance, or with 3 channels colours) of the first picture in `data`.

    A `ValueError` says what is wrong.
    """
    if data[:2] in PLAIN:
        raise ValueError("is a {} picture: only binary PGM (P5) and PPM (P6) are read".format(data[:2].decode()))
    match = HEADER.match(data)
    if match is None:
        raise ValueError("has a damaged PGM header")
    width, height, largest = (int(number) for number in match.groups()[1:])
    stored = 1 if match.group(1) == b"5" else 3
    if not (width and height and 1 <= largest <= 65535):
        raise ValueError("header says {}×{}, largest value {}".format(width, height, largest))
    if max(width, height) > LARGEST_SIDE:
        raise ValueError("{}×{} pixels, at most {} a side".format(width, height, LARGEST_SIDE))
    count = width * height * stored
    size = count if largest < 256 else 2 * count
    samples = data[match.end() : match.end() + size]
    if len(samples) != size:
        raise ValueError("is cut off: {} of {} bytes of pixels".format(len(samples), size))
    eight_bits = _to_eight_bits(samples, largest)
    return width, height, as_wanted(eight_bits, stored, channels)


def _to_eight_bits(samples: bytes, largest: int) -> bytes:
    """Rounded to 0..255; two bytes per sample are most significant first."""
    if largest == 255:
        return samples
    if largest < 256:
        return samples.translate(bytes((min(v, largest) * 255 + largest // 2) // largest for v in range(256)))
    values = (256 * high + low for high, low in zip(samples[::2], samples[1::2]))
    return bytes((min(v, largest) * 255 + largest // 2) // largest for v in values)
