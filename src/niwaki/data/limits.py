"""Limits on what a file may ask for: each size that it states is checked before memory is allocated for it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from niwaki.errors import DataError


@dataclass(frozen=True)
class Limit:
    """A number that an environment variable can raise."""

    variable: str
    usual: int
    unit: str

    @property
    def value(self) -> int:
        """The limit, from the environment if set. Raises DataError if that is not a number above 0."""
        stated = os.environ.get(self.variable)
        if not stated:
            return self.usual
        if not stated.isdecimal() or int(stated) < 1:
            raise DataError(
                f"{self.variable} = {stated!r}: expected a whole number of {self.unit}, such as {self.usual}"
            )
        return int(stated)

    def check(self, asked: int, what: str) -> None:
        """Raise DataError if `what` asks for more than the limit."""
        if asked > self.value:
            raise DataError(
                f"{what}: {asked:,} {self.unit}, at most {self.value:,} are allowed: "
                f"set {self.variable}={asked} if you mean it"
            )


BYTES = Limit("NIWAKI_DATA_BYTES", 4 << 30, "bytes")
"""Bytes of a dataset in memory."""
PIXELS = Limit("NIWAKI_IMAGE_PIXELS", 50_000_000, "pixels")
"""Pixels of one image before it is resized."""
CLASSES = Limit("NIWAKI_DATA_CLASSES", 4096, "classes")
"""Classes of a dataset: its confusion matrix has their square."""


def check_images(count: int, shape: Sequence[int], what: str) -> None:
    """Raise DataError if uint8 images (count, *shape) take more memory than a dataset may use."""
    sides = "×".join(map(str, shape))
    BYTES.check(count * math.prod(shape), f"{what}: {count:,} images of {sides} (a smaller preprocessing.size helps)")
