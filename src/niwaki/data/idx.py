"""The IDX format of MNIST and its kin: big-endian header, then bytes (Y. LeCun, the MNIST database)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from niwaki.errors import DataError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"


def read_images(path: Path) -> np.ndarray:
    """The images of an IDX file, gzipped or plain, as uint8 (N, H, W). Raises DataError saying what is wrong."""
    return parse_idx(_contents(path), dimensions=3, name=str(path))


def read_labels(path: Path, classes: int) -> np.ndarray:
    """The labels of an IDX file as int64 (N,), each below `classes`. Raises DataError saying what is wrong."""
    labels = parse_idx(_contents(path), dimensions=1, name=str(path))
    if labels.size and labels.max() >= classes:
        where = int(np.argmax(labels >= classes))
        raise DataError(f"{path}: label {labels[where]} of image {where}: expected 0 to {classes - 1}")
    return labels.astype(np.int64)


def parse_idx(data: bytes, *, dimensions: int, name: str) -> np.ndarray:
    """The array in the bytes of an IDX file: uint8 with as many dimensions as asked for.

    Raises DataError, beginning with `name`, for another type or number of dimensions, too few or too many bytes.
    """
    header = 4 + 4 * dimensions
    expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if data[:4] != expected:
        raise DataError(
            f"{name}: begins with {data[:4].hex() or 'nothing'}, expected {expected.hex()}: no such IDX file"
        )
    if len(data) < header:
        raise DataError(f"{name}: ends within its header ({len(data)} of {header} bytes): it is cut off")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4))
    if 0 in shape:
        raise DataError(f"{name}: its header says {shape}: it holds nothing")
    size = header + math.prod(shape)
    if len(data) != size:
        wrong = "it is cut off" if len(data) < size else "there is something behind the last image or label"
        raise DataError(f"{name}: {len(data)} bytes, but its header says {shape}, which is {size} bytes: {wrong}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)


def _contents(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == GZIP_MAGIC else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip data: {error}; get the file again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
