"""Images that occur more than once: accuracy on a copy of a training image tests nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from niwaki.data.classes import shown
from niwaki.data.source import Raw
from niwaki.device.text import counted

Place = tuple[str, int]  # split, number
PARTS = {"train": "training", "validation": "validation", "test": "test"}


def repeats(raw: Raw) -> Iterator[str]:
    """A line for each way in which images are repeated, pixel for pixel, as the network would see them.

    It counts validation and test images that are also in an earlier split, copies within training data from which
    images may be held out, and copies with another class. Each line names one example.
    """
    splits = {part: split for part in PARTS if (split := getattr(raw, part)) is not None}
    first: dict[bytes, Place] = {}
    again: dict[tuple[str, str], list[tuple[Place, Place]]] = {}
    classes: list[tuple[Place, Place]] = []
    for part, split in splits.items():
        for number, image in enumerate(split.images):
            place = (part, number)
            earlier = first.setdefault(_digest(image), place)
            if earlier == place:
                continue
            again.setdefault((part, earlier[0]), []).append((place, earlier))
            if splits[earlier[0]].labels[earlier[1]] != split.labels[number]:
                classes.append((place, earlier))
    for (part, other), found in again.items():
        if part != other:
            told = f"{len(found)} of {len(splits[part])} {PARTS[part]} images are also {PARTS[other]} images"
            yield f"{told} ({_pair(raw, found)}): accuracy on them says nothing about new images"
        elif part == "train" and len(splits) < len(PARTS):
            told = f"{len(found)} of {len(splits[part])} training images are copies of others"
            yield f"{told} ({_pair(raw, found)}): one may be held out while the other is trained on"
    if classes:
        images = f"{counted(len(classes), 'image')} {'is' if len(classes) == 1 else 'are'}"
        yield f"{images} in two classes, pixel for pixel ({_pair(raw, classes)})"


def absent(raw: Raw) -> Iterator[str]:
    """A line on the classes without images in a split that the data brings; none if every class has one."""
    said = []
    for part, split in (("validation", raw.validation), ("test", raw.test)):
        if split is not None:
            present = set(split.labels.tolist())
            missing = [label for index, label in enumerate(raw.labels) if index not in present]
            said += [f"no {PARTS[part]} image of {shown(missing)}"] if missing else []
    if said:
        yield f"{', '.join(said)}: accuracy there says nothing about these classes"


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _pair(raw: Raw, found: Sequence[tuple[Place, Place]]) -> str:
    one, other = (_name(raw, place) for place in found[0])
    return f"{one} is {other}"


def _name(raw: Raw, place: Place) -> str:
    part, number = place
    names = raw.names.get(part)
    return names[number] if names else f"{PARTS[part]} image {number}"
