"""What becomes of a camera's frame is chosen by what the network was trained on, and said."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.board.look import check_vision, choose_look
from niwaki.board.visions import CENTRE, GARMENT, WHOLE
from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, SpecError
from niwaki.vision.frame import How


def data_of(images: np.ndarray) -> Dataset:
    split = Split(images, np.zeros(len(images), np.int64))
    return Dataset("mine", ("a",), Preprocessing(), "", "mine", False, split, split, split)


def on_black(level: int) -> Dataset:
    images = np.full((40, 1, 20, 20), level, np.uint8)
    images[:, :, 6:14, 6:14] = 220
    return data_of(images)


@pytest.mark.parametrize(
    ("told", "labels", "vision", "why"),
    [
        (Preprocessing(pad=2), ("Bag", "Coat"), GARMENT, "its classes are clothes in grey"),
        (Preprocessing(size=(32, 32)), ("cat", "dog"), WHOLE, "resized as a whole, with their proportions"),
        (Preprocessing(color="rgb", size=(32, 32), resize="stretch"), ("Bag", "Coat"), WHOLE, "as a whole, stretched"),
        (Preprocessing(color="rgb", size=(24, 24), resize="crop"), ("cat", "dog"), CENTRE, "cut to their centre"),
        (Preprocessing(color="rgb"), ("cat", "dog"), CENTRE, "not resized"),
    ],
)
def test_the_choice_and_its_reason(told: Preprocessing, labels: tuple[str, ...], vision: str, why: str) -> None:
    look = choose_look(told, labels, (32, 32), None, None)
    assert look.vision == vision
    assert look.finds == (vision == GARMENT)
    assert why in look.notes[0]
    assert "`vision=`" in look.notes[0]


def test_one_bright_thing_on_black_is_searched_for() -> None:
    look = choose_look(Preprocessing(), ("0", "1"), (20, 20), on_black(5), None)
    assert (look.vision, look.how) == (GARMENT, None)
    assert choose_look(Preprocessing(), ("0", "1"), (20, 20), on_black(30), None).vision == CENTRE
    assert choose_look(Preprocessing(), ("0", "1"), (20, 20), data_of(np.zeros((40, 1, 20, 20), np.uint8)), None).how


@pytest.mark.parametrize(
    ("told", "asked", "how", "remark"),
    [
        (Preprocessing(color="rgb", size=(32, 48)), None, How(32, 48, "fit"), ""),
        (Preprocessing(color="rgb", size=(32, 48), resize="crop"), WHOLE, How(32, 48, "stretch"), ""),
        (Preprocessing(color="rgb", size=(32, 48)), CENTRE, How(32, 48, "crop"), ""),
        (
            Preprocessing(color="rgb", size=(32, 48), resize="crop", shorter=60, interpolation="bicubic"), None,
            How(32, 48, "crop", 60, "bicubic"), "",
        ),
        (
            Preprocessing(color="rgb", size=(32, 48), interpolation="lanczos"), None, How(32, 48, "fit", 0, "bicubic"),
            "frames are resized by bicubic: a board has no lanczos filter",
        ),
        (
            Preprocessing(color="rgb", size=(32, 48), antialias=False), None, How(32, 48, "fit"),
            "frames are resized with antialias: a board has no filter without",
        ),
    ],
)  # fmt: skip
def test_frames_are_resized_as_the_images_were(told: Preprocessing, asked: str | None, how: How, remark: str) -> None:
    look = choose_look(told, ("cat", "dog"), (32, 48), None, asked)
    assert look.how == how
    assert look.notes[1:] == ((remark,) if remark else ())
    assert ("as asked for" in look.notes[0]) == (asked is not None)


def test_what_does_not_exist_or_cannot_be_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r'`vision="whole"`: did you mean .*expected garment, whole frame, centre square'
    ):
        check_vision("whole")
    with pytest.raises(ModelError, match="gives grey pictures, but the network takes colour: whole frame or centre"):
        choose_look(Preprocessing(color="rgb"), ("cat", "dog"), (32, 32), None, GARMENT)
    check_vision(None)
    check_vision(WHOLE)


@pytest.mark.parametrize(("color", "others"), [("rgb", "whole frame"), ("grey", "garment or whole frame")])
def test_only_a_vision_that_is_possible_is_offered(color: str, others: str) -> None:
    told = Preprocessing(color=color, size=(8, 8), resize="crop")
    assert f"vision: centre square, since its images were cut to their centre (`vision=`: {others})" in str(
        choose_look(told, ["a", "b"], (8, 8), None, None).notes[0]
    )
