"""How a camera's frame becomes a network's picture: a garment searched for in it, the whole frame, or its centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niwaki.board.visions import CENTRE, GARMENT, VISIONS, WHOLE
from niwaki.data.dataset import Dataset
from niwaki.data.datasets import GARMENTS
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, Setting, SpecError, Wording, guess
from niwaki.vision.frame import FILTERS, How

_NEAREST = {"hamming": "bilinear", "lanczos": "bicubic"}  # what a board has instead
_BLACK, _OFTEN, _LOOKED_AT = 16, 0.9, 500  # grey level of a border; share of the images that have one; images


@dataclass(frozen=True)
class Look:
    """The choice, and how the whole frame or its centre is resized; None for a garment."""

    vision: str = GARMENT
    how: How | None = None
    notes: tuple[str, ...] = ()

    @property
    def finds(self) -> bool:
        """Whether a garment is searched for."""
        return self.how is None


SEARCHING = Look()


def check_vision(asked: str | None) -> None:
    """Raise SpecError for a vision that does not exist."""
    if asked is not None and asked not in VISIONS:
        what = Setting("vision", f'"{asked}"')
        raise SpecError(what, f": {guess(asked, VISIONS)}expected {', '.join(VISIONS)}")


def choose_look(
    told: Preprocessing, labels: Sequence[str], inner: tuple[int, int], data: Dataset | None, asked: str | None
) -> Look:
    """The vision that is asked for, or that suits what the network was trained on, with a note that says why.

    A garment is searched for if the images are grey and the classes are clothes, or the images show one bright thing on
    black, as the search makes them. Otherwise a network whose images were cut to their centre gets the frame's centre,
    and any other the whole frame. Raises ModelError for a garment in colours.
    """
    if asked == GARMENT and told.channels != 1:
        what = Setting("vision", f'"{GARMENT}"')
        raise ModelError(
            what,
            f": the search for a garment gives grey pictures, but the network takes colour: {_other(GARMENT, told)}",
        )
    vision, why = (asked, "as asked for") if asked else _suitable(told, labels, data)
    change = Wording(" (", Setting("vision"), f": {_other(vision, told)})") if not asked else ""
    note = Wording(f"vision: {vision}, {why}", change)
    if vision == GARMENT:
        return Look(notes=(note,))
    how, remarks = _resizing(told, vision, inner)
    return Look(vision, how, (note, *remarks))


def _other(vision: str, told: Preprocessing) -> str:
    possible = VISIONS if told.channels == 1 else (WHOLE, CENTRE)
    return " or ".join(one for one in possible if one != vision)


def _suitable(told: Preprocessing, labels: Sequence[str], data: Dataset | None) -> tuple[str, str]:
    if told.channels == 1 and set(labels) <= set(GARMENTS):
        return GARMENT, "since its classes are clothes in grey"
    if told.channels == 1 and data is not None and _on_black(data, told.pad):
        return GARMENT, "since its images show one bright thing on black"
    if told.resize == "crop" and told.size is not None:
        return CENTRE, "since its images were cut to their centre"
    if told.size is None:
        return CENTRE, "since its images were not resized"
    how = "with their proportions" if told.resize == "fit" else "stretched"
    return WHOLE, f"since its images were resized as a whole, {how}"


def _on_black(data: Dataset, pad: int) -> bool:
    """Whether nearly all images are dark along their border and not within it."""
    images = np.asarray(data.train.images[:_LOOKED_AT])[:, 0]
    inner = images[:, pad : images.shape[1] - pad, pad : images.shape[2] - pad]
    edge = np.ones(inner.shape[1:], bool)
    edge[1:-1, 1:-1] = False
    dark, bright = inner[:, edge].mean(1) < _BLACK, inner.reshape(len(inner), -1).max(1) > 8 * _BLACK
    return float((dark & bright).mean()) >= _OFTEN


def _resizing(told: Preprocessing, vision: str, inner: tuple[int, int]) -> tuple[How, tuple[str, ...]]:
    """As the images were resized, as far as that suits the vision and a board can do it."""
    height, width = inner
    notes = []
    name: str = told.interpolation if told.size is not None else "bilinear"
    if name not in FILTERS:
        notes.append(f"frames are resized by {_NEAREST[name]}: a board has no {name} filter")
        name = _NEAREST[name]
    if not told.antialias and name != "nearest":
        notes.append("frames are resized with antialias: a board has no filter without")
    if vision == CENTRE:
        return How(height, width, "crop", told.shorter or 0, name), tuple(notes)
    resize = "fit" if told.resize == "fit" and told.size is not None else "stretch"
    return How(height, width, resize, 0, name), tuple(notes)
