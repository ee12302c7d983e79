"""The arrays of an .npz file: every size that the file states is checked before memory is allocated for it.

The format is NumPy's (`numpy.lib.format`, NEP 1) in a ZIP archive, stored or deflated, as `savez` writes it.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.lib import format as npy

from niwaki.data.limits import BYTES
from niwaki.errors import DataError, first_line

Result = TypeVar("Result")
KINDS = "biufU"  # numbers and strings
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PACKERS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA"}  # types with no natural bound
DEFLATE_MOST = 1032  # bytes that one byte of deflated data can expand to
KEYS_SHOWN = 7
HEADER_LIMIT, CHUNK = 10_000, 1 << 20


@dataclass(frozen=True)
class Header:
    """An array's header, and the number of its bytes in the file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    length: int


def read_arrays(path: Path, known: Sequence[str]) -> dict[str, np.ndarray]:
    """The file's arrays by key.

    Raises DataError for any damage, an unknown key, or anything that is not an array of plain values.
    """
    return dict(_of_file(path, known, _array))


def read_headers(path: Path, known: Sequence[str]) -> dict[str, Header]:
    """The headers of the file's arrays by key. Raises DataError as `read_arrays`."""
    return dict(_of_file(path, known, _header))


def _of_file(
    path: Path, known: Sequence[str], read: Callable[[IO[bytes], str, int], Result]
) -> Iterator[tuple[str, Result]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for key, member in _members(archive, known).items():
                with archive.open(member) as file:
                    yield key, read(file, key, member.file_size)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # zipfile, zlib and NumPy fail in many ways on damaged bytes
        raise DataError(f"{path}: not an .npz file of plain arrays, or damaged: {first_line(error)}") from error


def _members(archive: zipfile.ZipFile, known: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by key, none of which may need more memory than a dataset may use."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        key = member.filename.removesuffix(".npy")
        if key not in known:
            raise DataError(f"unknown key {key!r}; known are {', '.join(known[:KEYS_SHOWN])}")
        if key in found:
            raise DataError(f"{key} occurs twice")
        if member.flag_bits & 1:
            raise DataError(f"{key} is encrypted: write the file again without a password")
        if member.compress_type not in PACKED:
            name = PACKERS.get(member.compress_type, f"method {member.compress_type}")
            raise DataError(f"{key} is compressed by {name}: write the file with numpy.savez or savez_compressed")
        if member.file_size > DEFLATE_MOST * (member.compress_size + 1):
            raise DataError(
                f"{key}: {member.compress_size:,} bytes cannot unpack to {member.file_size:,}: the file is damaged"
            )
        found[key] = member
    BYTES.check(sum(member.file_size for member in found.values()), "its arrays")
    return found


def _header(file: IO[bytes], key: str, size: int) -> Header:
    """The header of an array in a member of `size` bytes. Raises DataError unless the other bytes match the array."""
    start = file.read(12)
    major = start[6] if start[:6] == npy.MAGIC_PREFIX and len(start) == 12 else 0
    if major not in (1, 2):
        raise DataError(f"{key} is not a NumPy array")
    prefix = 10 if major == 1 else 12
    length = int.from_bytes(start[8:prefix], "little")
    if length > HEADER_LIMIT:
        raise DataError(f"{key}: a header of {length:,} bytes, at most {HEADER_LIMIT:,} are read: it is damaged")
    whole = io.BytesIO(start[8:] + file.read(prefix + length - 12))
    read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
    shape, fortran, dtype = read(whole)
    if dtype.hasobject:
        raise DataError(f"{key} holds Python objects, not plain values: store numbers or strings")
    if dtype.kind not in KINDS or not dtype.itemsize or min(shape, default=0) < 0:
        raise DataError(f"{key} is {dtype} {_shown(shape)}: expected numbers or strings")
    stated, follow = math.prod(shape) * dtype.itemsize, size - prefix - length
    if stated != follow:
        raise DataError(
            f"{key}: its header says {dtype} {_shown(shape)}, which is {stated:,} bytes, but {follow:,} follow"
        )
    return Header(shape, fortran, dtype, prefix + length)


def _array(file: IO[bytes], key: str, size: int) -> np.ndarray:
    header = _header(file, key, size)
    flat = np.empty(math.prod(header.shape), dtype=header.dtype)
    view, at = flat.view(np.uint8), 0
    while piece := file.read(CHUNK):  # to the end, where zipfile compares the checksum
        view[at : at + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        at += len(piece)
    if at != len(view):
        raise DataError(f"{key} is cut off: {at:,} of {len(view):,} bytes")
    return flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)


def _shown(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 60 else f"{text[:59]}…"
