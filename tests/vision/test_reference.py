"""The findings of vision, on frames drawn by hand."""

import numpy as np
import pytest

from niwaki.vision.reference import Reference

EMPTY = np.full((240, 320), 100, np.uint8)


def with_box(ground, value, box):
    frame = ground.copy()
    x, y, width, height = box
    frame[y : y + height, x : x + width] = value
    return frame


def noisy(frame, spread=4.0, seed=0):
    noise = np.random.default_rng(seed).normal(0, spread, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def find(frame, *learned):
    vision = Reference(frame.shape[1], frame.shape[0])
    for scene in learned:
        vision.learn(scene)
    return vision.find(frame)


def near(box, expected, by):
    return all(abs(a - b) <= by for a, b in zip(box, expected, strict=True))


@pytest.mark.parametrize("scene", [True, False])
@pytest.mark.parametrize(("ground", "garment", "polarity"), [(100, 200, 1), (200, 100, -1), (0, 255, 1), (255, 0, -1)])
def test_a_rectangle_is_found_where_it_is(ground, garment, polarity, scene):
    empty = np.full((240, 320), ground, np.uint8)
    found = find(with_box(empty, garment, (60, 40, 100, 140)), *([empty] if scene else []))
    assert (found.outcome, found.box, found.polarity) == ("found", (60, 40, 100, 140), polarity)
    assert (found.contrast, found.used_scene) == (abs(ground - garment), scene)
    expected = np.zeros((28, 28), np.uint8)
    expected[:, 4:24] = 255
    np.testing.assert_array_equal(found.picture, expected)


def test_a_picture_is_averaged_over_equal_areas():
    """Two by two pixels of a picture from three by three of the frame: worked out by hand."""
    vision = Reference(64, 64, inner=(2, 2))
    nine = np.array([[40, 80, 120], [160, 200, 40], [80, 120, 160]])
    frame = with_box(np.zeros((64, 64), np.uint8), nine.repeat(10, 0).repeat(10, 1).astype(np.uint8), (20, 20, 30, 30))
    found = vision.find(frame)
    assert found.box == (20, 20, 30, 30)
    corners = [
        [40 + 80 / 2 + 160 / 2 + 200 / 4, 120 + 80 / 2 + 40 / 2 + 200 / 4],
        [80 + 160 / 2 + 120 / 2 + 200 / 4, 160 + 40 / 2 + 120 / 2 + 200 / 4],
    ]
    means = np.array(corners) / 2.25
    white = np.sort(means.ravel())[2]  # the third of four: 95 per cent are not brighter
    np.testing.assert_allclose(found.picture, np.minimum(means / white, 1) * 255, atol=0.6)


def test_a_hole_stays_black_and_a_print_stays_visible():
    frame = with_box(EMPTY, 200, (60, 40, 140, 140))
    frame = with_box(with_box(frame, 100, (80, 60, 40, 40)), 150, (140, 110, 40, 40))
    picture = find(frame).picture
    assert (picture[4:12, 4:12] == 0).all()
    assert (abs(picture[14:22, 16:24].astype(int) - 127) <= 1).all()
    assert picture[1, 1] == 255


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("scene", [True, False])
def test_nothing_in_an_even_frame(level, scene):
    frame = np.full((240, 320), level, np.uint8)
    found = find(frame, *([frame] if scene else []))
    assert (found.outcome, found.box, found.polarity, found.contrast) == ("nothing", (0, 0, 0, 0), 0, 0)
    assert not found.picture.any()


@pytest.mark.parametrize("spread", [1, 4, 12])
def test_nothing_in_noise_and_uneven_light(spread):
    rows, columns = np.mgrid[-120:120, -160:160]
    light = 150 + 0.2 * rows - 0.1 * columns - 0.002 * (rows**2 + columns**2)
    for seed in range(3):
        frame = noisy(light, spread, seed)
        assert find(frame).outcome == "nothing"
        assert find(frame, noisy(light, spread, seed + 10)).outcome == "nothing"


def test_uneven_light_is_no_garment_and_hides_none():
    rows, columns = np.mgrid[-120:120, -160:160]
    light = 120 + 0.3 * rows - 0.2 * columns - 0.001 * (rows**2 + columns**2)
    found = find(noisy(with_box(light, 240, (150, 60, 90, 120))))
    assert found.outcome == "found"
    assert near(found.box, (150, 60, 90, 120), 3)


def test_a_lamp_that_flickers_is_no_garment():
    """Light a fifth brighter on a ground with a pattern: what the scene explains stays unseen."""
    pattern = (80 + 60 * (np.indices((240, 320)).sum(0) // 20 % 2)).astype(np.uint8)
    brighter = np.rint(pattern * 1.2).astype(np.uint8)
    assert find(noisy(brighter), noisy(pattern, seed=1)).outcome == "nothing"
    found = find(noisy(with_box(brighter, 250, (100, 60, 90, 120))), noisy(pattern, seed=1))
    assert (found.outcome, found.used_scene) == ("found", True)
    assert near(found.box, (100, 60, 90, 120), 3)


def test_folds_and_spots_of_light_are_no_garment():
    """As far from the background as a garment would be, but without an edge."""
    rows, columns = np.mgrid[:240, :320]
    spot = np.exp(-((rows - 100) ** 2 + (columns - 200) ** 2) / (2 * 30**2))
    fold = np.exp(-((columns - 150) ** 2) / (2 * 25**2))
    assert find(noisy(120 + 60 * spot, 2)).outcome == "nothing"
    assert find(noisy(120 - 60 * spot, 2)).outcome == "nothing"
    assert find(noisy(120 - 40 * fold, 2)).outcome == "nothing"
    assert find(noisy(with_box(120 + 60 * spot, 30, (60, 40, 100, 140)), 2)).outcome == "found"


def test_a_shadow_is_not_of_the_garment():
    """A soft shadow around a dark box: a third of the light is gone beside it, less and less farther away."""
    rows, columns = np.mgrid[:240, :320]
    away = np.hypot(np.clip(abs(columns - 110) - 50, 0, None), np.clip(abs(rows - 110) - 70, 0, None))
    ground = 200 * (1 - 0.33 * np.clip(1 - away / 25, 0, 1))
    frame = noisy(with_box(ground, 60, (60, 40, 100, 140)), 2)
    for found in (find(frame), find(frame, np.full((240, 320), 200, np.uint8))):
        assert found.outcome == "found"
        assert near(found.box, (60, 40, 100, 140), 10)  # 25 on each side without


def test_what_was_learned_is_not_seen():
    """A thing that lay there from the start, and a garment beside it."""
    scene = with_box(EMPTY, 250, (10, 10, 60, 60))
    frame = with_box(scene, 220, (150, 60, 100, 120))
    found = find(frame, scene)
    assert (found.box, found.used_scene) == ((150, 60, 100, 120), True)
    vision = Reference(320, 240)
    assert [vision.learn(scene), vision.learn(scene)] == [1, 2]
    vision.forget()
    assert vision.find(frame).used_scene is False
    assert vision.learn(frame) == 1
    assert vision.find(frame).outcome == "nothing"


def test_a_scene_that_no_longer_fits_is_left_aside():
    rng = np.random.default_rng(3)
    other = np.kron(rng.integers(0, 256, (12, 16)), np.ones((20, 20))).astype(np.uint8)
    found = find(with_box(EMPTY, 200, (60, 40, 100, 140)), other)
    assert (found.outcome, found.used_scene, found.box) == ("found", False, (60, 40, 100, 140))


def test_parts_that_belong_together():
    """Straps beside a sole are of the garment, dirt in a corner is not."""
    frame = EMPTY
    for box in ((80, 120, 120, 12), (90, 100, 20, 12), (160, 96, 20, 16)):
        frame = with_box(frame, 20, box)
    found = find(with_box(frame, 20, (4, 4, 6, 6)))
    assert found.box == (80, 96, 120, 36)


@pytest.mark.parametrize(
    ("box", "outcome"),
    [
        ((100, 100, 28, 29), "too_small"),
        ((100, 100, 30, 20), "found"),
        ((100, 0, 60, 240), "too_large"),
        ((0, 100, 320, 60), "too_large"),
        ((100, 0, 60, 239), "found"),
        ((0, 0, 100, 120), "found"),
        ((100, 100, 2, 2), "nothing"),
        ((40, 100, 200, 2), "nothing"),
    ],
)
def test_why_there_is_no_garment(box, outcome):
    """At least an eighth of the frame's height, not from side to side, more than a few pixels, more than a line."""
    found = find(with_box(EMPTY, 200, box))
    assert found.outcome == outcome
    assert found.box == ((0, 0, 0, 0) if outcome == "nothing" else box)
    assert found.picture.any() == (outcome == "found")


def test_a_garment_is_larger_than_its_picture():
    frame = with_box(np.full((32, 32), 100, np.uint8), 200, (4, 4, 24, 24))
    assert Reference(32, 32).find(frame).outcome == "too_small"
    assert Reference(32, 32, inner=(24, 24)).find(frame).outcome == "found"


def test_large_frames_are_looked_at_in_cells():
    """Cells of four pixels: what is left over at the edges is not looked at."""
    frame = with_box(np.full((963, 1283), 90, np.uint8), 200, (400, 200, 400, 480))
    vision = Reference(1283, 963)
    assert (vision.factor, vision.shape) == (4, (240, 320))
    assert near(vision.find(frame).box, (400, 200, 400, 480), 0)


@pytest.mark.parametrize("short", [16, 20, 31, 32, 33, 47, 48, 63, 64, 300])
@pytest.mark.parametrize("long", [300, 2477, 2478, 4096])
def test_every_block_has_cells(short, long):
    """Also of frames that are all length: there are more cells then, and still so few that the sums of the C fit."""
    for width, height in ((short, long), (long, short)):
        rows, columns = Reference(width, height).shape
        assert min(rows, columns) >= 16
        assert rows * columns <= (76_800 if short >= 32 else 31 * 4096)


@pytest.mark.parametrize("long", [3000, 4096])
@pytest.mark.parametrize("short", [20, 31])
def test_a_garment_in_a_narrow_frame(short, long):
    ground = np.full((short, long), 100, np.uint8)
    frame = with_box(ground, 220, (long // 2, 2, 60, short - 5))
    for found in (find(frame), find(frame, ground), find(255 - frame)):
        assert (found.outcome, found.box) == ("found", (long // 2, 2, 60, short - 5))
    assert find(np.ascontiguousarray(frame.T)).box == (2, long // 2, short - 5, 60)
    assert find(ground).outcome == "nothing"
