"""Scenes: the same for a seed, true to their description, and no easier than they should be."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.data import synthetic
from niwaki.files import sha256_of
from niwaki.scenes import backgrounds, clutter
from niwaki.scenes.fields import blur, clouds, layered, shift, wide_blur
from niwaki.scenes.garment import SEEN, Placed, place
from niwaki.scenes.scene import QVGA, VGA, Scene, bare_scene, garment_scene

GARMENTS, LABELS = synthetic.draw(np.arange(30), seed=1, split=0)


@pytest.fixture(scope="module")
def garments() -> list[Scene]:
    return [
        garment_scene(pixels, int(label), number, family="tuning")
        for number, (pixels, label) in enumerate(zip(GARMENTS, LABELS, strict=True))
    ]


@pytest.fixture(scope="module")
def bare() -> list[Scene]:
    return [bare_scene(number, family="figure") for number in range(60)]


def test_the_same_seed_gives_the_same_bits() -> None:
    for family in ("tuning", "figure"):
        first, again = (garment_scene(GARMENTS[3], 3, 7, family=family, seed=5) for _ in range(2))
        assert np.array_equal(first.frame, again.frame)
        assert np.array_equal(first.learned(2), again.learned(2))
        assert np.array_equal(bare_scene(4, family=family).frame, bare_scene(4, family=family).frame)


def test_seed_number_family_and_content_each_change_the_scene() -> None:
    scenes = [
        garment_scene(GARMENTS[3], 3, number, family=family, seed=seed)
        for number, family, seed in ((0, "tuning", 0), (1, "tuning", 0), (0, "figure", 0), (0, "tuning", 1))
    ]
    scenes += [bare_scene(0, family="tuning"), bare_scene(0, family="figure")]
    assert len({sha256_of(scene.frame.tobytes()) for scene in scenes}) == len(scenes)


def test_families_share_no_background_and_no_clutter() -> None:
    """Whatever is tuned on one family sees nothing of the other."""
    for kinds in (backgrounds.KINDS, clutter.KINDS):
        assert not set(kinds["tuning"]) & set(kinds["figure"])
        assert not set(kinds["tuning"].values()) & set(kinds["figure"].values())


def test_a_garment_lies_where_the_scene_says(garments: list[Scene]) -> None:
    """Against the same place without it: what differs by more than noise and shadow lies in the box, and fills it."""
    for scene in garments:
        x, y, width, height = scene.box
        assert x > 0
        assert y > 0
        assert x + width < QVGA[1]
        assert y + height < QVGA[0]
        away = scene.polarity * (blur(scene.frame.astype(np.float32), 1.5) - scene._before)
        inside = away[y : y + height, x : x + width]
        outside = away.copy()
        outside[y : y + height, x : x + width] = -np.inf
        assert np.mean(inside > 15) > 0.2
        shadow = 0.4 * scene._before if scene.polarity < 0 else 0
        assert np.mean(outside > 15 + shadow) < 0.01


def test_polarity_rotation_and_scale_are_spread(garments: list[Scene]) -> None:
    assert {scene.polarity for scene in garments} == {-1, 1}
    degrees = np.array([scene.placed.degrees for scene in garments])
    assert -15 <= degrees.min() < -10
    assert 10 < degrees.max() <= 15
    longest = np.array([max(scene.box[2:]) for scene in garments]) / QVGA[0]
    assert longest.min() < 0.5
    assert longest.max() > 0.8
    assert len({scene.background for scene in garments}) == len(backgrounds.KINDS["tuning"])


def test_empty_frames_are_the_place_without_what_came_later(garments: list[Scene]) -> None:
    for scene in garments[:10]:
        frames = scene.learned(3)
        assert frames.shape == (3, *QVGA)
        assert frames.dtype == np.uint8
        assert not np.array_equal(frames[0], frames[1])  # noise, flicker
        clipped = scene._before.clip(0, 255)
        for frame in frames:
            assert abs(frame.mean() / clipped.mean() - 1) < 0.05
            assert np.abs(blur(frame.astype(np.float32), 3) - blur(clipped, 3)).mean() < 0.05 * 255


def test_scenes_without_a_garment_are_empty_or_cluttered(bare: list[Scene]) -> None:
    contents = [scene.content for scene in bare]
    assert set(contents) == {"empty", "clutter"}
    assert contents[:5] == ["empty", "clutter", "empty", "clutter", "clutter"]
    assert contents.count("empty") == 2 / 5 * len(contents)
    for scene in bare:
        assert (scene.label, scene.box, scene.polarity) == (None, None, 0)
        assert bool(scene.things) == (scene.content == "clutter")
    seen = {thing for scene in bare for thing in scene.things}
    assert seen == set(clutter.KINDS["figure"])


def test_some_clutter_was_there_when_the_place_was_learned(bare: list[Scene]) -> None:
    def differs(scene: Scene) -> bool:
        learned = scene.learned(4).mean(0)
        now = scene.frame * (learned.mean() / scene.frame.mean())
        return bool(np.abs(blur((now - learned).astype(np.float32), 3)).max() > 25)

    cluttered = [differs(scene) for scene in bare if scene.content == "clutter"]
    assert 0.4 < np.mean(cluttered) < 0.95
    assert np.mean([differs(scene) for scene in bare if scene.content == "empty"]) < 0.1


@pytest.mark.parametrize("family", ["tuning", "figure"])
def test_every_background_is_about_one_and_no_two_are_alike(family: backgrounds.Family) -> None:
    for name, draw in backgrounds.KINDS[family].items():
        rng = np.random.default_rng(0)
        first, second = draw(rng, QVGA), draw(rng, QVGA)
        assert first.shape == QVGA, name
        assert first.dtype == np.float32, name
        assert 0.75 < first.mean() < 1.25, name
        assert first.min() > -0.2, name
        assert not np.array_equal(first, second), name


@pytest.mark.parametrize("family", ["tuning", "figure"])
def test_every_thing_can_be_seen(family: backgrounds.Family) -> None:
    for name, draw in clutter.KINDS[family].items():
        for seed in range(3):
            things = draw(np.random.default_rng(seed), QVGA)
            covered = np.maximum.reduce([thing.mask for thing in things])
            assert covered.shape == QVGA, name
            assert 0 <= covered.min() <= covered.max() <= 1, name
            assert covered.mean() > 0.001, (name, seed)


def test_larger_frames_show_the_same_kind_of_scene() -> None:
    scene = garment_scene(GARMENTS[0], 0, 0, family="figure", size=VGA)
    small = garment_scene(GARMENTS[0], 0, 0, family="figure")
    assert scene.frame.shape == VGA
    assert scene.placed == small.placed
    assert np.abs(np.array(scene.box) - 2 * np.array(small.box)).max() <= 3


def test_enlarging_keeps_the_picture() -> None:
    """Averaged down again to the size it had, an upright garment is what it was."""
    pixels = GARMENTS[2]
    inside = pixels > SEEN
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    scale = 8
    size = (tall * scale + 2 * scale, wide * scale + 2 * scale)
    enlarged = place(
        pixels, Placed(tall * scale / size[0] if tall >= wide else wide * scale / size[0], 0, 0.5, 0.5), size
    )
    strength = enlarged.mask * enlarged.cloth * 255
    small = strength.reshape(tall + 2, scale, wide + 2, scale).mean((1, 3))[1:-1, 1:-1]
    original = np.where(inside, pixels, 0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert np.corrcoef(small.ravel(), original.ravel())[0, 1] > 0.9
    assert abs(small.mean() / original.mean() - 1) < 0.15


def test_a_black_picture_puts_nothing_down() -> None:
    scene = garment_scene(np.full((28, 28), SEEN, dtype=np.uint8), 0, 0, family="tuning")
    assert scene.box == (0, 0, 0, 0)
    assert np.abs(blur(scene.frame.astype(np.float32), 3) - blur(scene._before, 3)).max() < 20


def test_fields() -> None:
    rng = np.random.default_rng(0)
    for field in (clouds(rng, QVGA, 1), clouds(rng, QVGA, 10), clouds(rng, QVGA, (4, 40)), layered(rng, QVGA, [60, 8])):
        assert field.dtype == np.float32
        assert 0.5 < field.std() < 1.5
    picture = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert shift(picture, 1, -2).tolist() == [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]]
    point = np.zeros((41, 41), dtype=np.float32)
    point[20, 20] = 1
    away = (np.arange(41) - 20) ** 2
    for sigma in (1.0, 2.5):
        spread = blur(point, sigma)
        assert spread.sum() == pytest.approx(1, abs=1e-4)
        assert (spread.sum(1) * away).sum() == pytest.approx(sigma**2, rel=0.1)
    assert blur(point, 0.1) is point
    blobs = clouds(rng, (120, 160), 15)
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(wide_blur(blobs, 8) - blur(blobs, 8))[inner].max() < 0.15 * blur(blobs, 8)[inner].std()
