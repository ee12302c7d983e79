"""The IDX format of MNIST and similar datasets: big-endian header, then bytes (Y. LeCun, the MNIST database)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from niwaki.data.limits import BYTES
from niwaki.errors import DataError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20


def read_images(path: Path) -> np.ndarray:
    """The images of an IDX file, gzipped or plain, as uint8 (N, H, W). Raises DataError saying what is wrong."""
    return parse_idx(_contents(path, 3), dimensions=3, name=str(path))


def read_labels(path: Path, classes: int) -> np.ndarray:
    """The labels of an IDX file as int64 (N,), each below `classes`. Raises DataError saying what is wrong."""
    labels = parse_idx(_contents(path, 1), dimensions=1, name=str(path))
    if labels.size and labels.max() >= classes:
        where = int(np.argmax(labels >= classes))
        raise DataError(f"{path}: label {labels[where]} of image {where}: expected 0 to {classes - 1}")
    return labels.astype(np.int64)


def count(path: Path) -> int:
    """How many labels the header of an IDX file states; 0 if it is none (reading it then says why)."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP_MAGIC
            file.seek(0)
            with gzip.open(file) if zipped else file as inside:
                head = inside.read(8)
    except (OSError, EOFError, zlib.error):
        return 0
    return int.from_bytes(head[4:8], "big") if head[:4] == _magic(1) and len(head) == 8 else 0


def parse_idx(data: bytes, *, dimensions: int, name: str) -> np.ndarray:
    """The array in the bytes of an IDX file: uint8 with the requested number of dimensions.

    Raises DataError, beginning with `name`, for another type or number of dimensions, and for too few or too many
    bytes.
    """
    header = 4 + 4 * dimensions
    expected = _magic(dimensions)
    if data[:4] != expected:
        raise DataError(
            f"{name}: begins with {data[:4].hex() or 'nothing'}, expected {expected.hex()}: not such an IDX file"
        )
    if len(data) < header:
        raise DataError(f"{name}: ends inside its header ({len(data)} of {header} bytes): it is cut off")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4))
    if 0 in shape:
        raise DataError(f"{name}: its header says {shape}: it is empty")
    size = header + math.prod(shape)
    if len(data) != size:
        wrong = "it is cut off" if len(data) < size else "there is extra data after the last image or label"
        raise DataError(f"{name}: {len(data)} bytes, but its header says {shape}, which is {size} bytes: {wrong}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)


def _contents(path: Path, dimensions: int) -> bytes:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if not zipped:
                return _as_stated(file, dimensions, path)
            with gzip.open(file) as inside:
                return _as_stated(inside, dimensions, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip data: {error}; get the file again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _as_stated(file: BinaryIO | gzip.GzipFile, dimensions: int, path: Path) -> bytes:
    """As many bytes as the header says, and one more if there is one: a small file may unpack to a huge one."""
    header = file.read(4 + 4 * dimensions)
    if header[:4] != _magic(dimensions):
        return header
    stated = math.prod(int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4))
    BYTES.check(stated, f"{path}: its header says")
    pieces, left = [header], stated + 1
    while left and (piece := file.read(min(left, CHUNK))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _magic(dimensions: int) -> bytes:
    return bytes([0, 0, UNSIGNED_BYTE, dimensions])
