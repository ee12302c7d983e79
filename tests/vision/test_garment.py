"""The steps of the search for the garment, compared with plain implementations."""

import numpy as np
import pytest

from niwaki.vision.garment import Box, blur, distance, is_sharp, label, otsu, widen, without_shadow


def plain_otsu(values):
    """The variance between the classes for every threshold, in floating point."""
    best = max(range(255), key=lambda t: between(values, t))
    return best if between(values, best) > 0 else 0


def between(values, threshold):
    upper = values > threshold
    if upper.all() or not upper.any():
        return 0.0
    return float(upper.mean() * (1 - upper.mean()) * (values[upper].mean() - values[~upper].mean()) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_otsu(seed):
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(40, 10, 6000), rng.normal(150, 30, 2000)]).clip(0, 255).astype(np.int64)
    assert between(values, otsu(values)) >= 0.999 * between(values, plain_otsu(values))


def test_otsu_of_values_that_are_alike():
    assert otsu(np.full(100, 7)) == 0
    assert otsu(np.array([3] * 50 + [200] * 50)) == 3


def flooded(mask):
    """Parts of a mask, found by spreading from each cell in turn."""
    labels, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        waiting = [start]
        while waiting:
            y, x = waiting.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                labels[y, x] = count
                waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return labels, count


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_connected_parts(share):
    for seed in range(10):
        mask = np.random.default_rng(seed).random((23, 31)) < share
        labels, count = label(mask)
        expected, expected_count = flooded(mask)
        assert count == expected_count
        np.testing.assert_array_equal(labels, expected)


def test_a_spiral_is_one_part():
    mask = np.zeros((11, 11), bool)
    for k in range(0, 5, 2):
        mask[k, k : 11 - k] = mask[10 - k, k : 11 - k] = mask[k : 11 - k, k] = mask[k : 11 - k, 10 - k] = True
    assert label(mask)[1] == 3
    mask[1, 5] = mask[3, 5] = True
    labels, count = label(mask)
    assert (count, set(labels[mask])) == (1, {1})


def test_widen():
    mask = np.zeros((7, 8), bool)
    mask[0, 0] = mask[4, 5] = True
    expected = np.zeros((7, 8), bool)
    expected[:3, :3] = expected[2:7, 3:8] = True
    np.testing.assert_array_equal(widen(mask, 2), expected)


def test_blur():
    values = np.zeros((5, 5), np.int64)
    values[2, 2] = 160
    np.testing.assert_array_equal(blur(values)[1:4, 1:4], [[10, 20, 10], [20, 40, 20], [10, 20, 10]])
    np.testing.assert_array_equal(blur(np.full((3, 3), -7)), np.full((3, 3), -7))


def test_a_faint_slope_beside_cloth_is_taken_away_and_a_faint_edge_is_not():
    away = np.zeros((40, 60), np.int64)
    away[10:30, 20:40] = 1600
    away[10:30, 40:52] = 400 - 30 * np.arange(12)  # a shadow
    away[10:30, 10:20] = 800  # a sleeve in the light
    marked = away > 60
    kept = without_shadow(marked, away, blur(away))
    assert kept[10:30, 10:40].all()
    assert not kept[14:26, 43:].any()  # above and below, its own edges are sharp
    nothing = np.zeros((4, 4), np.int64)
    np.testing.assert_array_equal(without_shadow(nothing > 0, nothing, nothing), False)


def test_cloth_has_a_sharp_outline_and_a_spot_of_light_has_none():
    rows, columns = np.mgrid[:60, :80]
    spot = 800 - 20 * np.hypot(rows - 30, columns - 40).astype(np.int64)
    assert not is_sharp(spot > 300, blur(spot), 500)
    cloth = np.where(spot > 300, 800, 0)
    assert is_sharp(spot > 300, blur(cloth), 800)
    cut = np.full((60, 80), 800)  # by the frame on all sides: no outline at all
    assert is_sharp(cut > 0, blur(cut), 800)


def test_distance_between_boxes():
    box = Box(10, 10, 19, 19)
    assert distance(box, Box(25, 12, 30, 14)) == 6
    assert distance(box, Box(25, 0, 30, 3)) == 7
    assert distance(box, Box(12, 12, 40, 40)) < 0
