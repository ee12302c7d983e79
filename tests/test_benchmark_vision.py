"""The benchmark of vision: that all forms are compared before they are timed. No time is tested."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import vision
from benchmarks.pairs import spread

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import NiwakiError
from niwaki.vision.library import compile_vision


def garments() -> Dataset:
    images = np.zeros((4, 1, 32, 32), np.uint8)
    images[:, 0, 2:30, 8:24] = 200
    part = Split(images, np.zeros(4, np.int64))
    return Dataset("drawn", ("shirt",), Preprocessing(pad=2), "", "", True, part, part, part)


@pytest.mark.parametrize("learned", [False, True])
def test_every_form_looks_at_the_same_frames(tmp_path: Path, learned: bool) -> None:
    scenes = vision.draw_scenes(garments(), 2, (120, 160))
    library = compile_vision(tmp_path / "vision.so", flags=("-O1",))
    sides = vision.make_sides({"C": library}, scenes, learned=learned)
    assert list(sides) == ["C", vision.NUMPY]
    assert all(side() > 0 for side in sides.values())


def test_a_form_that_differs_is_not_timed() -> None:
    scenes = vision.draw_scenes(garments(), 2, (120, 160))
    one, other = (vision.Reference(160, 120).find(scene.frame) for scene in scenes)
    vision.check([one], [one], "C")
    with pytest.raises(NiwakiError, match=r"^C finds found \(.*\): the reference finds found \("):
        vision.check([one], [other], "C")


def test_the_goal_is_for_the_slowest_build() -> None:
    times = {
        (name, way, size): spread([value])
        for name, value in (("fast", 1.0), ("slow", 2.9), (vision.NUMPY, 30.0))
        for way in ("a", "b")
        for size in vision.SIZES
    }
    assert vision.report(times, "so").findings == ("A frame of 640×480 takes at most 2.90 ms; goal: under 3 ms (met).",)
    times["slow", "b", vision.GOAL_SIZE] = spread([3.1])
    assert "3.10 ms; goal: under 3 ms (MISSED)" in vision.report(times, "so").findings[0]
    assert len(vision.report(times, "so").tables[0].rows) == 6
