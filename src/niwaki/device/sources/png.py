"""PNG pictures (W3C PNG, third edition) through zlib: every bit depth and colour type, all filters, not interlaced."""

import struct
import zlib
from typing import Iterator, List, NamedTuple, Tuple

from ..finding import interleaved
from .luminance import as_wanted
from .spec import LARGEST_SIDE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}


class Header(NamedTuple):
    """The IHDR chunk."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels, without the byte that names its filter."""
        return (self.width * CHANNELS[self.colour] * self.depth + 7) // 8


def decode_png(data: bytes, channels: int = 1) -> Tuple[int, int, bytes]:
    """Width, height and luminance, or with 3 channels colours; a `ValueError` says what is wrong.

    Transparent pixels show white behind them.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("has a damaged PNG signature")
    header, packed, palette, transparent = None, b"", b"", b""
    parts = []
    for kind, content in _chunks(data):
        if kind == b"IHDR":
            header = _header(content)
        elif kind == b"PLTE":
            palette = content
        elif kind == b"tRNS":
            transparent = content
        elif kind == b"IDAT":
            parts.append(content)
    packed = b"".join(parts)
    if header is None:
        raise ValueError("has no PNG header")
    samples = _unfilter(header, _inflate(header, packed))
    return header.width, header.height, _pixels(header, samples, (palette, transparent), channels)


def _chunks(data: bytes) -> Iterator[Tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise ValueError("is cut off: it has no end of PNG")
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        if len(checksum) != 4:
            raise ValueError("is cut off inside PNG chunk {!r}".format(kind.decode("latin-1")))
        if zlib.crc32(kind + content) & 0xFFFFFFFF != struct.unpack(">I", checksum)[0]:
            raise ValueError("PNG chunk {!r} has a wrong checksum: the file is damaged".format(kind.decode("latin-1")))
        if kind == b"IEND":
            return
        yield kind, content
        at += 12 + length


def _header(content: bytes) -> Header:
    if len(content) != 13:
        raise ValueError("has a damaged PNG header")
    header = Header(*struct.unpack(">IIBBBBB", content))
    if not (1 <= header.width <= LARGEST_SIDE and 1 <= header.height <= LARGEST_SIDE):
        raise ValueError("{}×{} pixels, at most {} a side".format(header.width, header.height, LARGEST_SIDE))
    if header.depth not in DEPTHS.get(header.colour, ()) or header.compression or header.filtering:
        raise ValueError("PNG of colour type {} with {} bits is unknown".format(header.colour, header.depth))
    if header.interlace:
        raise ValueError("is an interlaced PNG, which is not read: save it without interlacing")
    return header


def _inflate(header: Header, packed: bytes) -> bytes:
    expected = header.height * (1 + header.row_bytes)
    try:
        raw = zlib.decompressobj().decompress(packed, expected)
    except zlib.error as error:
        raise ValueError("PNG pixels are damaged: {}".format(error)) from error
    if len(raw) != expected:
        raise ValueError("PNG pixels are cut off: {} of {} bytes".format(len(raw), expected))
    return raw


def _unfilter(header: Header, raw: bytes) -> bytes:
    """Undo the prediction of each row from the pixel to the left, the row above, or both."""
    size = header.row_bytes
    left = max(1, CHANNELS[header.colour] * header.depth // 8)
    above = bytearray(size)
    rows = []
    for start in range(0, len(raw), size + 1):
        row = bytearray(raw[start + 1 : start + 1 + size])
        _unfilter_row(raw[start], row, above, left)
        rows.append(row)
        above = row
    return b"".join(rows)


def _unfilter_row(kind: int, row: bytearray, above: bytearray, left: int) -> None:
    size = len(row)
    if kind == 1:
        for i in range(left, size):
            row[i] = (row[i] + row[i - left]) & 255
    elif kind == 2:
        row[:] = bytes([(value + up) & 255 for value, up in zip(row, above)])
    elif kind == 3:
        for i in range(size):
            row[i] = (row[i] + (((row[i - left] if i >= left else 0) + above[i]) >> 1)) & 255
    elif kind == 4:
        for i in range(size):
            before, corner = (row[i - left], above[i - left]) if i >= left else (0, 0)
            row[i] = (row[i] + _paeth(before, above[i], corner)) & 255
    elif kind != 0:
        raise ValueError("PNG row filter {} is unknown: the file is damaged".format(kind))


def _paeth(left: int, above: int, corner: int) -> int:
    """Whichever of the three is nearest to left + above - corner."""
    to_left, to_above, to_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner


def _pixels(header: Header, samples: bytes, colours: Tuple[bytes, bytes], channels: int) -> bytes:
    """`colours`: the palette and how opaque its entries are."""
    if header.colour == PALETTE:
        indices = _unpack(header, samples)
        tables = _palette(*colours, max(indices), channels)
        return interleaved([indices.translate(table) for table in tables])
    if header.depth < 8:
        scale = 255 // ((1 << header.depth) - 1)
        grey = _unpack(header, samples).translate(bytes((value * scale) & 255 for value in range(256)))
        return as_wanted(grey, 1, channels)
    if header.depth == 16:
        samples = samples[::2]  # the most significant byte comes first
    if header.colour in (GREY, RGB):
        return as_wanted(samples, CHANNELS[header.colour], channels)
    if header.colour == GREY_ALPHA:
        return as_wanted(_over_white(samples[::2], samples[1::2]), 1, channels)
    pixels = as_wanted(interleaved([samples[channel::4] for channel in range(3)]), 3, channels)
    return interleaved([_over_white(pixels[channel::channels], samples[3::4]) for channel in range(channels)])


def _unpack(header: Header, samples: bytes) -> bytes:
    """One byte per sample; rows of packed bits end at a byte boundary."""
    if header.depth == 8:
        return samples
    shifts, mask = range(8 - header.depth, -1, -header.depth), (1 << header.depth) - 1
    rows = []
    for start in range(0, len(samples), header.row_bytes):
        row = samples[start : start + header.row_bytes]
        rows.append(bytes([(byte >> shift) & mask for byte in row for shift in shifts])[: header.width])
    return b"".join(rows)


def _palette(palette: bytes, transparent: bytes, largest: int, channels: int) -> List[bytes]:
    """For each channel a table of 256 levels."""
    if len(palette) % 3 or largest >= len(palette) // 3:
        raise ValueError("PNG palette has {} bytes, but a pixel says colour {}".format(len(palette), largest))
    entries = as_wanted(palette, 3, channels)
    alpha = transparent.ljust(len(palette) // 3, b"\xff")
    return [_over_white(entries[channel::channels], alpha).ljust(256, b"\0") for channel in range(channels)]


def _over_white(grey: bytes, alpha: bytes) -> bytes:
    return bytes([255 + ((value - 255) * part + 127) // 255 for value, part in zip(grey, alpha)])
