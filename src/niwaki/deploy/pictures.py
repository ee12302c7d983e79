"""From a model's files to the images that it is calibrated and tested on: the same way for every command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from niwaki.data.classes import in_order, shown
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.datasets import BUILT_IN
from niwaki.data.prepare import find_decoded, prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError, ModelError, Setting
from niwaki.models.provenance import Provenance
from niwaki.notify import Notify

NO_PIXELS = "no file says how pixels become the model's input"


@dataclass(frozen=True)
class ImageNeeds:
    """What the images for a model must be, according to its files."""

    name: str
    """The model's name in errors."""
    input_shape: tuple[int, ...]
    """(channels, height, width)."""
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    """None: no file says how pixels become its input, so only made-up images are possible."""
    provenance: Provenance = field(default_factory=Provenance)
    outputs: int | None = None
    """The number of scores for an image; None if only its labels say it."""
    data: str | None = None
    """Where the images were found when it was exported, if a user named that."""


@dataclass(frozen=True)
class Pictures:
    """The images of a model: its dataset, with the classes in its order; or none, and why."""

    data: Dataset | None = None
    error: DataError | None = None
    """Why they are not available, if it is known which ones they are."""


def find_pictures(
    needs: ImageNeeds, named: Dataset | str | None, notify: Notify, *, any_classes: bool = False, ready: bool = False
) -> Pictures:
    """The dataset that a user named, or else the one that the model was trained on.

    A user's dataset (`npz`, `folder`) that is not named is found only in the cache of decoded data; with `ready`, this
    applies to every dataset. With `any_classes`, a model without class names accepts any classes: enough to calibrate.
    A study may have held out other images than the default: a note says so.

    Raises DataError if the user named data that is not available, and if the images or the classes do not match the
    model; ModelError if data is named for a model whose input niwaki cannot prepare.
    """
    if isinstance(named, Dataset):
        return Pictures(_fitted(needs, named, notify, any_classes))
    if needs.preprocessing is None:
        if named is not None:
            raise ModelError(
                f"{needs.name}: {NO_PIXELS}, so ", Setting("data"), " does not apply to it: give the file with ",
                Setting("preprocessing"),
            )  # fmt: skip
        return Pictures()
    try:
        found = _decoded(needs) if ready else _found(needs, named or needs.data, needs.preprocessing, notify)
    except DataError as error:
        if named is not None:
            raise
        return Pictures(error=error)
    return Pictures(None if found is None else _fitted(needs, found, notify, any_classes))


def fit_to(
    data: Dataset, input_shape: tuple[int, ...], labels: Sequence[str], notify: Notify, outputs: int | None = None
) -> Dataset:
    """`data` with its classes in a model's order (`labels`, compared by name).

    For a model without labels, it compares only the number of `outputs`, if known, and says so in a note. Raises
    DataError if the images or the classes do not match the model.
    """
    if data.input_shape != input_shape:
        want, have = ("×".join(map(str, shape)) for shape in (input_shape, data.input_shape))
        raise DataError(
            f"{data.origin}: its images are {have}, but the model takes {want}: give the data that it was trained on"
        )
    if labels:
        return in_order(data, labels, notify=notify)
    if outputs is not None and data.num_classes != outputs:
        raise DataError(
            f"{data.origin}: {data.num_classes} classes ({shown(data.labels)}), but the model has "
            f"{outputs} output{'' if outputs == 1 else 's'}: "
            "give the data that it was trained on"
        )
    notify(f"the model does not name its classes: niwaki takes its outputs as {shown(data.labels)}, in this order")
    return data


def _fitted(needs: ImageNeeds, data: Dataset, notify: Notify, any_classes: bool) -> Dataset:
    labels = needs.labels or (data.labels if any_classes else ())
    return fit_to(data, needs.input_shape, labels, notify, needs.outputs)


def _found(needs: ImageNeeds, named: str | None, preprocessing: Preprocessing, notify: Notify) -> Dataset | None:
    """The dataset of that name, or the one in the model's provenance; None if that names none."""
    known, name = needs.provenance.data, needs.provenance.data_name
    found = cached = _decoded(needs)
    if named is not None:
        found = _prepared(named, preprocessing, notify)
        if cached and cached.origin == found.origin and np.array_equal(cached.test.images, found.test.images):
            found = cached  # the same, split as it was for training
    elif cached is None and name in BUILT_IN:
        found = _prepared(str(name), preprocessing, notify)
    if found is None:
        return None
    if known is not None and found.fingerprint != known:
        notify(f"{found.origin}: not the images that the model was trained on, or split differently")
    if found.synthetic:
        notify(f"{found.name}: garments that niwaki draws; these results say nothing about Fashion-MNIST")
    return found


def _decoded(needs: ImageNeeds) -> Dataset | None:
    return find_decoded(needs.provenance.data) if needs.provenance.data is not None else None


def _prepared(named: str, preprocessing: Preprocessing, notify: Notify) -> Dataset:
    if named in BUILT_IN:
        return open_dataset(prepare(DataSpec(name=named, preprocessing=preprocessing), notify=notify))
    usual = DataSpec(name="folder", path=Path(named), preprocessing=preprocessing)
    return open_dataset(prepare(usual, data=named, notify=notify))
