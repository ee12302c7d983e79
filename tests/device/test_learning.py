"""The empty scene is learned from frames that are alike."""

import numpy as np
import pytest

from device.film import HEIGHT, WIDTH, Table
from niwaki.device.learning import Learning, Taken


def take(learning, frames):
    return [learning.take(frame.tobytes(), frame.shape[1]) for frame in frames]


def test_frames_that_are_alike():
    learning = Learning(4)
    assert take(learning, Table().empty(4)) == [
        Taken(learn=True, anew=True, last=False), *[Taken(True, False, False)] * 2, Taken(True, False, True),
    ]  # fmt: skip
    assert learning.attempts == 1


def test_a_single_frame():
    assert take(Learning(1), Table().empty(1)) == [Taken(learn=True, anew=True, last=True)]


def test_a_hand_in_the_second_frame_begins_anew(garments):
    table, learning = Table(), Learning(3)
    coat = table.shows(garments.image("Coat"), 1)
    taken = take(learning, [*table.empty(2), *coat, *table.empty(3)])
    assert [t.anew for t in taken] == [True, False, True, True, False, False]
    assert [t.last for t in taken] == [False] * 5 + [True]
    assert learning.attempts == 3


def test_an_exposure_that_still_adapts():
    frames = [frame // divisor for divisor in (4, 3, 2, 1, 1, 1) for frame in Table().empty(1)]
    taken = take(Learning(3), frames)
    assert [t.anew for t in taken] == [True, True, True, True, False, False]
    assert taken[-1].last


def test_a_picture_that_never_rests_is_not_learned():
    rng, learning, taken = np.random.default_rng(0), Learning(3), []
    while not taken or not taken[-1].last:
        taken += take(learning, [rng.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)])
    assert len(taken) == 21
    assert taken[-1] == Taken(learn=False, anew=False, last=True)


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1280, 720), (2003, 7), (16, 16), (4096, 4096)])
def test_every_part_of_a_frame_is_looked_at(size):
    """A change of a sixteenth of the frame, in any place, is seen."""
    width, height = size
    empty = np.zeros((height, width), np.uint8)
    for row, column in ((0, 0), (0, 3), (3, 0), (3, 3), (1, 2)):
        changed, learning = empty.copy(), Learning(3)
        changed[row * height // 4 : (row + 1) * height // 4, column * width // 4 : (column + 1) * width // 4] = 100
        assert [t.anew for t in take(learning, [empty, changed])] == [True, True]
