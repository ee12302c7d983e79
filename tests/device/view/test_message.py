"""The message for a snapshot."""

import numpy as np
import pytest

from live_view import COAT, LABELS, LOGITS, NOTHING, frame_of, read_message, snapshot
from niwaki.device.view.latest import Entry, Word
from niwaki.device.view.message import Encoder, describe, interleaved, thin


def test_a_small_frame_is_sent_as_it_is():
    grey = bytes(range(12))
    sent, step = thin(grey, 4, 3)
    assert sent is grey
    assert step == 1


def test_of_a_large_frame_every_second_pixel_of_every_second_row():
    grey = bytes(range(15))  # 5 × 3
    assert thin(grey, 5, 3, longest=3) == (bytes([0, 2, 4, 10, 12, 14]), 2)


def test_a_message_in_colours_has_both_pictures_side_by_side():
    pixels, inner = np.random.default_rng(1).integers(0, 256, (2, 28, 28, 3), np.uint8)
    shot = snapshot(frame=frame_of(28, 28))._replace(
        pixels=pixels.tobytes(), picture=inner.transpose(2, 0, 1).tobytes()
    )
    sent = Encoder(LABELS._replace(channels=3)).encode(Entry(7, shot, ()))
    assert sent.endswith(pixels.tobytes() + inner.tobytes())


def test_colours_are_thinned_and_sent_side_by_side():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    assert thin(pixels.tobytes(), 5, 3, longest=3, channels=3) == (pixels[::2, ::2].tobytes(), 2)
    assert interleaved([plane.tobytes() for plane in pixels.transpose(2, 0, 1)]) == pixels.tobytes()


@pytest.mark.parametrize(("width", "height", "step"), [(400, 300, 1), (401, 16, 2), (640, 480, 2), (480, 1920, 5)])
def test_the_step_is_the_smallest_that_does(width, height, step):
    frame = frame_of(width, height)
    sent, taken = thin(frame.tobytes(), width, height)
    assert taken == step
    assert sent == np.ascontiguousarray(frame[::step, ::step]).tobytes()


def test_a_message_holds_both_pictures_and_the_fields():
    shot = snapshot(frame=frame_of(641, 479))
    fields, picture, inner = read_message(Encoder(LABELS).encode(Entry(7, shot, ())))
    assert fields["sent"] == {"width": 321, "height": 240, "step": 2}
    np.testing.assert_array_equal(picture, frame_of(641, 479)[::2, ::2])
    assert inner.tobytes() == shot.picture
    assert (fields["sequence"], fields["width"], fields["height"]) == (7, 641, 479)


def test_an_entry_is_encoded_once():
    encoder = Encoder(LABELS)
    entry = Entry(1, snapshot(), ())
    assert encoder.encode(entry) is encoder.encode(entry)
    assert encoder.encode(Entry(2, snapshot(number=9), ())) != encoder.encode(entry)


def test_scores_are_the_mean_where_there_is_one():
    shot = snapshot(logits=(0.0,) * 10)
    assert describe(Entry(1, shot, ()), 0.0)["logits"] == list(LOGITS)
    assert describe(Entry(1, shot._replace(decision=COAT._replace(mean_logits=None)), ()), 0.0)["logits"] == [0.0] * 10


def test_an_empty_scene_has_no_box_and_no_scores():
    empty = COAT._replace(state="empty", class_index=None, energy=None, mean_logits=None, reason="nothing")
    said = describe(Entry(1, snapshot(finding=NOTHING, logits=None, decision=empty), ()), 0.0)
    assert (said["box"], said["logits"], said["energy"], said["index"]) == (None, None, None, None)


def test_words_tell_how_long_ago():
    said = describe(Entry(1, snapshot(), (Word(4, "ko", 10.0), Word(0, "en", 2.5))), 12.0)
    assert said["words"] == [[4, "ko", 2.0], [0, "en", 9.5]]
