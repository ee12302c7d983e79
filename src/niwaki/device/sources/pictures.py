"""Still pictures: one file, or a folder of them as a film."""

import re
from pathlib import Path
from typing import List, Optional, Tuple, Union

from ..errors import DeviceError
from ..outside import read_at_most
from .jpeg import decode_jpeg
from .png import decode_png
from .pnm import decode_pnm
from .source import Frame, Source
from .spec import LARGEST_SIDE

ENDINGS = (".pgm", ".ppm", ".pnm", ".png", ".jpg", ".jpeg")
LARGEST_FILE = 6 * LARGEST_SIDE * LARGEST_SIDE + (1 << 16)
"""Bytes: 16-bit colour, as large as the runner accepts, and a header."""
MAGIC = ((b"P", decode_pnm), (b"\x89PNG", decode_png), (b"\xff\xd8", decode_jpeg))


def read_picture(path: Path, channels: int = 1) -> Tuple[int, int, bytes]:
    """Width, height and luminance (with 3 channels colours) of the PGM, PPM, PNG or JPEG file at `path`.

    A `DeviceError` names what is wrong.
    """
    try:
        data = read_at_most(path, LARGEST_FILE)
    except OSError as error:
        raise DeviceError("{}: {}".format(path, error.strerror)) from error
    except ValueError as error:
        raise DeviceError("{}: {}".format(path, error)) from error
    for magic, decode in MAGIC:
        if data.startswith(magic):
            try:
                width, height, pixels = decode(data, channels)
            except ValueError as error:
                raise DeviceError("{}: {}".format(path, error)) from error
            if max(width, height) > LARGEST_SIDE:
                raise DeviceError("{}: {}×{} pixels, at most {} a side".format(path, width, height, LARGEST_SIDE))
            return width, height, pixels
    raise DeviceError("{}: is neither a Y4M film nor a PGM, PPM, PNG or JPEG picture".format(path))


class Pictures(Source):
    """The picture at `path`, or all pictures of that folder in the order of their names (2 before 10).

    All must have the same size. Other kinds of files in the folder are skipped.
    """

    def __init__(self, path: str, frames_per_second: int, channels: int = 1) -> None:
        self.name = path
        self._channels = channels
        self._paths = _pictures_in(Path(path))
        self._frames_per_second = frames_per_second
        self._number = 0
        self.width, self.height, self._first = read_picture(self._paths[0], channels)

    def read(self, timeout_s: float) -> Optional[Frame]:  # noqa: ARG002
        """The next picture, or None after the last."""
        number = self._number
        if number == len(self._paths):
            return None
        pixels = self._first if number == 0 else self._read(self._paths[number])
        self._number += 1
        return Frame(pixels, number, number / self._frames_per_second)

    def _read(self, path: Path) -> bytes:
        width, height, pixels = read_picture(path, self._channels)
        if (width, height) != (self.width, self.height):
            sizes = (path, width, height, self._paths[0].name, self.width, self.height)
            raise DeviceError("{}: {}×{} pixels, but {} has {}×{}: give all one size".format(*sizes))
        return pixels


def _pictures_in(path: Path) -> List[Path]:
    if not path.is_dir():
        return [path]
    found = sorted((p for p in path.iterdir() if p.suffix.lower() in ENDINGS), key=_natural)
    if not found:
        raise DeviceError("{}: contains no picture ({})".format(path, " ".join(ENDINGS)))
    return found


def _natural(path: Path) -> List[Union[str, int]]:
    """Digits as numbers; text and digits alternate, so that only like is compared with like."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
