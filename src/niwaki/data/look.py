"""A look at a user's images before they are decoded: sizes, colour, and the settings that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from niwaki.data import pictures

SIDES = (32, 48, 64)  # to choose from: larger ones are for networks larger than a microcontroller's
LOOKED_AT = 64  # images
COLOURED = 6.0  # mean difference between the strongest and the weakest channel of an image, in grey levels
Size = tuple[int, int]


def proposed_size(sizes: Sequence[Size]) -> Size:
    """A square for images of these heights and widths: the largest of `SIDES` that half of them fill.

    >>> proposed_size([(480, 640), (50, 60), (52, 70)]), proposed_size([(20, 20)])
    ((48, 48), (32, 32))
    """
    shorter = median(min(size) for size in sizes)
    side = max((side for side in SIDES if side <= shorter), default=SIDES[0])
    return side, side


def size_range(sizes: Sequence[Size]) -> str:
    """The sizes in words, height × width.

    >>> size_range([(480, 640), (50, 60)]), size_range([(50, 60)])
    ('50×60 to 480×640', '50×60')
    """
    area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    least, most = (f"{height}×{width}" for height, width in (area[0], area[-1]))
    return least if least == most else f"{least} to {most}"


def are_coloured(images: Sequence[np.ndarray]) -> bool:
    """Whether at least one in ten images, uint8 (H, W, 3), is in colour and not in shades of grey or of one tint."""
    found = [float(np.ptp(image.astype(np.int16), axis=2).mean()) for image in images]
    return bool(found) and sum(spread > COLOURED for spread in found) * 10 >= len(found)


def look_at(paths: Sequence[Path]) -> tuple[list[Size], bool]:
    """The sizes of some of the files, spread evenly, and whether they are in colour; files that cannot be read do not
    count.
    """
    chosen = [paths[number * len(paths) // LOOKED_AT] for number in range(LOOKED_AT)]
    sizes: list[Size] = []
    small: list[np.ndarray] = []

    def keep(_: int, image: Image.Image) -> None:
        sizes.append(pictures.size_of(image))
        image.thumbnail((64, 64))
        small.append(np.asarray(image.convert("RGB")))

    pictures.each(list(dict.fromkeys(chosen)), keep)
    return sizes, are_coloured(small)
