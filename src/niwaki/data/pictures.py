"""Image files: opened by Pillow within limits; errors name the file."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from niwaki.data.limits import PIXELS
from niwaki.errors import DataError, first_line

Result = TypeVar("Result")
NAMED = 5  # unreadable files named in an error
OTHER_PROGRAMS = ("EPS",)  # formats for which Pillow starts an external program
ORIENTATION = 0x0112  # EXIF's orientation tag
QUARTER_TURNS = (5, 6, 7, 8)


def each(paths: Sequence[Path], use: Callable[[int, Image.Image], object]) -> None:
    """Call `use` with the number and the image of each file.

    Raises one DataError for all unreadable files: it names the first few and gives their number.
    """
    failures: list[str] = []
    with _bounded():
        formats = [name for name in Image.OPEN if name not in OTHER_PROGRAMS]
        for number, path in enumerate(paths):
            try:
                _open(path, formats, lambda image, number=number: use(number, image))  # type: ignore[misc]
            except DataError as error:
                failures.append(str(error))
    raise_together(failures, len(paths))


def raise_together(failures: Sequence[str], total: int) -> None:
    """Raise one DataError for all failures, if there are any."""
    if not failures:
        return
    if len(failures) == 1:
        raise DataError(failures[0])
    more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    raise DataError(f"{len(failures)} of {total} files cannot be used: {'; '.join(failures[:NAMED])}{more}")


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
