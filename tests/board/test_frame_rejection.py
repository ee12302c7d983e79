"""Thresholds for whole frames: on images of the network's own, and on drawn pictures or the user's that show none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.small_colours import PAD, SIDE, THINGS, small_things
from niwaki.board.decide import decide
from niwaki.board.frame_rejection import FEWEST, calibrate_frames, drawn_none, own_images, users_none
from niwaki.board.network import Network
from niwaki.board.rejection import words_for
from niwaki.data.dataset import Dataset
from niwaki.errors import DataError, ModelError
from niwaki.vision.frame import How

HOW = How(SIDE, SIDE, "fit")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_things()


def by_colour(images: np.ndarray) -> np.ndarray:
    """A classifier that needs no training: how near the colour in the middle is to that of each thing."""
    middle = images[:, :, 8:12, 8:12].mean((2, 3)) - images.mean((2, 3))
    colours = np.array(list(THINGS.values()), float)
    colours -= colours.mean(1, keepdims=True)
    return middle @ colours.T / np.linalg.norm(colours, axis=1) / 4


def test_own_images_are_those_of_validation(data: Dataset) -> None:
    own, name = own_images(data, 1000)
    assert (len(own), name) == (len(data.validation), "validation")
    few = replace(data, validation=data.train.__class__(data.train.images[:5], data.train.labels[:5]))
    own, name = own_images(few, 30)
    assert (len(own), name) == (30, "training")


def test_drawn_scenes_have_the_colours_and_the_size_of_the_images(data: Dataset) -> None:
    none = drawn_none(data, HOW, 25, PAD)
    assert none.shape == (25, 3, SIDE + 2 * PAD, SIDE + 2 * PAD)
    assert none.dtype == np.uint8
    assert not none[:, :, :PAD].any()
    assert np.array_equal(none, drawn_none(data, HOW, 25, PAD))
    inner = none[:, :, 6:-6, 6:-6].astype(int)
    assert abs(inner[:, 0] - inner[:, 1]).mean() > 5  # tinted
    assert len({picture.tobytes() for picture in none}) == 25


def test_false_words_stay_within_the_target_and_own_images_are_named(data: Dataset) -> None:
    none = drawn_none(data, HOW, 80, PAD)
    decision = calibrate_frames(by_colour, data, none, 1000, "drawn scenes")
    named = words_for(by_colour(none), decision.rule) >= 0
    assert named.mean() <= 0.025
    about = decision.calibration
    assert about is not None
    assert (about.scenes, about.empty) == (len(data.validation), 80)
    assert about.false_word_rate == round(float(named.mean()), 4)
    assert about.accepted_true_rate > 0.8
    assert about.accuracy_accepted == 1.0
    assert about.source == f"{len(data.validation)} validation images and 80 drawn scenes"


def test_the_users_own_pictures_of_nothing(data: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    with pytest.raises(DataError, match=r"nothing\"`: is no folder"):
        users_none(folder, data.preprocessing, HOW, 100)
    (folder / "more").mkdir(parents=True)
    for number in range(FEWEST):
        place = folder / "more" if number % 2 else folder
        Image.new("L" if number == 3 else "RGB", (40, 30), number * 10).save(place / f"{number:02}.png")
        if number == FEWEST - 2:
            with pytest.raises(DataError, match=f"{FEWEST - 1} pictures: {FEWEST} or more that show none"):
                users_none(folder, data.preprocessing, HOW, 100)
    none = users_none(folder, data.preprocessing, HOW, 100)
    assert none.shape == (FEWEST, 3, SIDE + 2 * PAD, SIDE + 2 * PAD)
    # of plain pictures, in the order of their names: those in the folder first; red alone but for the grey one
    assert none[:3, :, 10, 10].tolist() == [[0, 0, 0], [20, 0, 0], [40, 0, 0]]
    assert [30, 30, 30] in none[:, :, 10, 10].tolist()
    assert len(users_none(folder, data.preprocessing, HOW, FEWEST)) == FEWEST
    (folder / "00.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"00\.png: cannot be read"):
        users_none(folder, data.preprocessing, HOW, 100)


def test_pictures_of_nothing_are_no_use_to_the_search_for_a_garment(tmp_path: Path) -> None:
    network = Network("mine", b"", None, {}, (), 0, None)
    with pytest.raises(ModelError, match="`others=`: applies to whole frames"):
        decide(network, 10, lambda _line: None, others=tmp_path)
