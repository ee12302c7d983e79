"""Image files: opened by Pillow within limits; errors name the file."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from niwaki.data.limits import PIXELS
from niwaki.errors import DataError, first_line

Result = TypeVar("Result")
NAMED = 20  # problems named in one line
OTHER_PROGRAMS = ("EPS",)  # formats for which Pillow starts an external program
ORIENTATION = 0x0112  # EXIF's orientation tag
QUARTER_TURNS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Problem:
    """A file or folder that cannot be used, and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


def each(paths: Sequence[Path], use: Callable[[int, Image.Image], object]) -> list[Problem]:
    """Call `use` with the number and the image of each file; returns the files that cannot be read."""
    failures: list[Problem] = []
    with _bounded():
        formats = [name for name in Image.OPEN if name not in OTHER_PROGRAMS]
        for number, path in enumerate(paths):
            try:
                _open(path, formats, lambda image, number=number: use(number, image))  # type: ignore[misc]
            except DataError as error:
                failures.append(Problem(path, str(error).removeprefix(f"{path}: ")))
    return failures


def raise_together(failures: Sequence[Problem], total: int) -> None:
    """Raise one DataError that names all problems, if there are any: the first with their reasons."""
    if not failures:
        return
    if len(failures) == 1:
        raise DataError(f"{failures[0]}; or go on without it: data.skip = true")
    more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    raise DataError(
        f"{len(failures)} of {total} files cannot be used: {'; '.join(map(str, failures[:NAMED]))}{more}; "
        "or go on without them: data.skip = true"
    )


def size_of(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image as displayed: turned as its EXIF says."""
    turned = image.getexif().get(ORIENTATION, 1) in QUARTER_TURNS
    return (image.width, image.height) if turned else (image.height, image.width)


def _open(path: Path, formats: list[str], use: Callable[[Image.Image], Result]) -> Result:
    if not path.is_file():
        raise DataError(f"{path}: not a regular file: remove it")
    try:
        with Image.open(path, formats=formats) as image:
            PIXELS.check(image.width * image.height, str(path))
            return use(image)
    except DataError as error:
        text = str(error)
        raise DataError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{path}: more than {PIXELS.value:,} pixels: make it smaller, or set {PIXELS.variable} to allow more"
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not a readable image: repair or remove it") from error
    except Exception as error:  # Pillow's readers fail in many ways on damaged bytes
        raise DataError(f"{path}: not a readable image ({first_line(error)}): repair or remove it") from error


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Replace Pillow's own limit by ours for a while; Pillow also applies it to sizes that a file states later."""
    Image.init()
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, PIXELS.value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # warnings about tags that do not affect the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
