import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.errors import DataError, ModelError, SpecError, StageFailed
from niwaki.measure.accuracy import Accuracy, evaluate, wilson_interval


def as_images(*answers):
    """One 1×1 image per answer; `first_pixel` reads it back."""
    return np.array(answers, dtype=np.uint8).reshape(-1, 1, 1, 1)


def first_pixel(images):
    """Scores whose highest is at the class that the first pixel names."""
    return np.eye(3, dtype=np.float32)[images[:, 0, 0, 0]]


def test_confusion_by_hand():
    found = evaluate(first_pixel, as_images(0, 1, 1, 0, 1), np.array([0, 0, 1, 1, 1]), 3)
    assert found == Accuracy(5, 3, ((1, 1, 0), (1, 2, 0), (0, 0, 0)))
    assert found.accuracy == 60.0
    assert found.per_class == (50.0, pytest.approx(200 / 3), None)


def test_figures_by_class_by_hand():
    found = Accuracy(20, 12, ((10, 0, 0), (4, 1, 0), (2, 2, 1)))
    assert found.balanced == pytest.approx((100 + 20 + 20) / 3)
    assert (found.worst, found.only_answer) == (20.0, None)
    without = Accuracy(10, 5, ((5, 0, 0), (5, 0, 0), (0, 0, 0)))
    assert (without.balanced, without.worst, without.only_answer) == (None, None, 0)
    assert Accuracy(5, 5, ((5, 0), (0, 0))).only_answer is None  # there is no other class to see


@pytest.mark.parametrize(
    ("right", "total", "lost"),  # of the base, where the other recognizes none
    [(3, 3, True), (2, 2, False), (4, 5, True), (3, 5, False), (5, 100, True), (4, 100, False), (4500, 5000, True)],
)
def test_a_class_is_lost_where_the_base_clearly_had_it(right, total, lost):
    base = Accuracy(total + 1, right + 1, ((1, 0), (total - right, right)))
    assert Accuracy(total + 1, 1, ((1, 0), (total, 0))).lost(base) == ((1,) if lost else ())
    assert Accuracy(total + 1, 2, ((1, 0), (total - 1, 1))).lost(base) == ()  # one of its images is recognized


@pytest.mark.parametrize(("batch", "sizes"), [(2, [2, 2, 1]), (5, [5]), (500, [5])])
def test_batches(batch, sizes):
    seen = []

    def predict(images):
        seen.append(len(images))
        return first_pixel(images)

    found = evaluate(predict, as_images(0, 1, 2, 0, 1), np.array([0, 1, 2, 0, 0]), 3, batch=batch)
    assert seen == sizes
    assert (found.correct, found.confusion) == (4, ((2, 1, 0), (0, 1, 0), (0, 0, 1)))


def test_first_of_equal_scores_is_the_answer_and_integers_are_scores_too():
    found = evaluate(lambda _: np.array([[3, 7, 7]], dtype=np.int8), as_images(0), np.array([2]), 3)
    assert found.confusion == ((0, 0, 0), (0, 0, 0), (0, 1, 0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_fail(value):
    def predict(images):
        scores = first_pixel(images)
        scores[images[:, 0, 0, 0] == 1, 2] = value  # one score is enough
        return scores

    with pytest.raises(StageFailed, match="outputs for 3 of 4 images are not finite"):
        evaluate(predict, as_images(1, 0, 1, 1), np.zeros(4, dtype=np.int64), 3, batch=2)


@pytest.mark.parametrize("scores", [np.zeros((1, 2)), np.zeros((2, 3)), np.zeros(3)])
def test_scores_of_another_shape(scores):
    with pytest.raises(ModelError, match=r"predict gave shape \(.*\) for 1 images, expected \(1, 3\)"):
        evaluate(lambda _: scores, as_images(0), np.array([0]), 3)


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_out_of_range(labels):
    with pytest.raises(DataError, match=r"labels run from .* classes are 0 to 2"):
        evaluate(first_pixel, as_images(0, 0), np.array(labels), 3)


@pytest.mark.parametrize("labels", [np.array([0]), np.array([0.0, 1.0]), np.array([[0, 1]])])
def test_labels_that_do_not_belong_to_the_images(labels):
    with pytest.raises(DataError, match=r"labels are .*: expected integers \(2,\)"):
        evaluate(first_pixel, as_images(0, 0), labels, 3)


@pytest.mark.parametrize("images", [np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 2, 2), np.uint8)])
def test_images_of_another_kind(images):
    with pytest.raises(DataError, match=r"images are .*: expected uint8"):
        evaluate(first_pixel, images, np.array([0]), 3)


def test_no_images():
    with pytest.raises(DataError, match="no images to evaluate on"):
        evaluate(first_pixel, as_images(), np.array([], dtype=np.int64), 3)


@pytest.mark.parametrize("batch", [0, -1])
def test_batch_of_nothing(batch):
    with pytest.raises(SpecError, match=f"batch = {batch}: give at least 1"):
        evaluate(first_pixel, as_images(0), np.array([0]), 3, batch=batch)


def test_record_survives_json():
    found = evaluate(first_pixel, as_images(0, 1, 2), np.array([0, 1, 1], dtype=np.uint8), 3)
    assert Accuracy.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_wilson_interval_as_published(correct, total, low, high):
    assert wilson_interval(correct, total) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_wilson_interval_knows_nothing_of_no_images():
    assert wilson_interval(0, 0) == (0.0, 100.0)


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.floats(0.1, 5))
def test_wilson_interval_holds_the_proportion_and_mirrors(correct, total, z):
    correct = min(correct, total)
    low, high = wilson_interval(correct, total, z)
    assert 0 <= low <= 100 * correct / total + 1e-9
    assert 100 * correct / total - 1e-9 <= high <= 100
    assert wilson_interval(total - correct, total, z) == (pytest.approx(100 - high), pytest.approx(100 - low))


@given(st.integers(1, 1000), st.integers(2, 50))
def test_wilson_interval_narrows_with_more_images(correct, times):
    few, many = wilson_interval(correct, 1000), wilson_interval(correct * times, 1000 * times)
    assert many[1] - many[0] < few[1] - few[0]


@pytest.mark.parametrize(("correct", "total"), [(12, 10), (-1, 10), (0, -1)])
def test_wilson_interval_of_impossible_counts(correct, total):
    with pytest.raises(DataError, match=f"{correct} correct of {total}"):
        wilson_interval(correct, total)


def test_top5_by_hand() -> None:
    images = np.zeros((4, 1, 1, 1), np.uint8)
    images[:, 0, 0, 0] = range(4)
    scores = np.zeros((4, 12))
    scores[0, :6] = [6, 5, 4, 3, 2, 1]  # classes 0 to 4 are among the five
    scores[1] = 1.0  # a tie: the first five
    scores[2, 11] = 1.0
    scores[3, :6] = [6, 5, 4, 3, 2, 1]
    found = evaluate(lambda some: scores[some[:, 0, 0, 0]], images, np.array([4, 5, 11, 5]), 12)
    assert (found.correct, found.in_top5, found.top5) == (1, 2, 50.0)
    assert Accuracy.from_dict(found.to_dict()) == found
    assert Accuracy.fault(found.to_dict()) is None
    assert Accuracy.fault({**found.to_dict(), "in_top5": 5}) == "in_top5 does not match confusion"
    few = evaluate(lambda some: scores[some[:, 0, 0, 0], :10], images, np.array([4, 5, 1, 5]), 10)
    assert few.top5 is None
    assert "in_top5" not in few.to_dict()
