"""Match classes by name: data whose classes are in another order than the model's is renumbered."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from niwaki.data.dataset import Dataset, Split
from niwaki.device.text import printable
from niwaki.errors import DataError
from niwaki.notify import Notify, silent

SHOWN, LONGEST = 12, 24  # names in a list, characters in a name


def in_order(data: Dataset, labels: Sequence[str], *, of: str = "the model", notify: Notify = silent) -> Dataset:
    """`data` with its classes numbered as in `labels`, a model's; `data` itself if the order is the same.

    Its fingerprint stays the same: it describes the images as stored. `notify` is called if the order differs. Raises
    DataError, with both lists, if the names are not the same.
    """
    if data.labels == tuple(labels):
        return data
    places = places_of(data.labels, labels)
    if places is None:
        raise DataError(
            f"{data.origin}: {_counted(data.labels)}, but {of} has {_counted(labels)}: give the data that it was "
            "trained on, or rename the classes to match (the folders' names; `labels` of an .npz file)"
        )
    if places.tolist() != list(range(len(places))):
        line = (
            f"{data.origin}: its classes are in another order than those of {of} and are matched by name "
            f"({shown(data.labels)}; {of}: {shown(labels)})"
        )
        notify(printable(line))
    train, validation, test = (
        Split(split.images, places[split.labels]) for split in (data.train, data.validation, data.test)
    )
    return replace(data, labels=tuple(labels), train=train, validation=validation, test=test)


def places_of(names: Sequence[str], labels: Sequence[str]) -> np.ndarray | None:
    """The position of each of `names` in `labels`, int64 (classes,); None unless both hold the same names.

    Names are compared whichever way Unicode composes them: macOS decomposes letters with accents.

    >>> places_of(("1", "10", "2"), ("1", "2", "10")).tolist()
    [0, 2, 1]
    """
    wanted = {unicodedata.normalize("NFC", label): place for place, label in enumerate(labels)}
    found = [wanted.get(unicodedata.normalize("NFC", name)) for name in names]
    places = [place for place in found if place is not None]
    if len(wanted) != len(labels) or len(names) != len(labels) or set(places) != set(range(len(labels))):
        return None
    return np.array(places, dtype=np.int64)


def shown(labels: Sequence[str]) -> str:
    """A list of names, shortened if it is long: `a, b, c, … (40)`."""
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in labels[:SHOWN]]
    return ", ".join(names) + (f", … ({len(labels)})" if len(labels) > SHOWN else "")


def _counted(labels: Sequence[str]) -> str:
    return f"{len(labels)} classes ({shown(labels)})"
