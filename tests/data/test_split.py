import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.data.split import first_of_each, hold_out, images_needed, shares, usual_validation
from niwaki.errors import DataError

ABC = ("a", "b", "c")


def test_shares_by_hand():
    assert shares(np.array([50, 30, 20]), 7).tolist() == [4, 2, 1]  # 3.5, 2.1, 1.4
    assert shares(np.array([1, 1, 1]), 2).tolist() == [1, 1, 0]  # equal remainders: the first classes
    assert shares(np.array([6000] * 10), 5000).tolist() == [500] * 10
    assert shares(np.array([3, 1] * 50), 40).tolist() == [1, 0] * 40 + [0, 0] * 10  # of many equals too, the first


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), st.data())
def test_shares_are_exact_and_within_one_of_the_quota(counts, data):
    total = data.draw(st.integers(0, sum(counts)))
    out = shares(np.array(counts), total)
    assert out.sum() == total
    for have, got in zip(counts, out, strict=True):
        assert got <= have
        assert abs(got - have * total / sum(counts)) < 1


@given(st.lists(st.integers(0, 2), min_size=30, max_size=60), st.integers(0, 5))
def test_both_parts_are_the_whole(labels, seed):
    labels = np.array([0, 1, 2] * 10 + labels)
    stays, held = hold_out(labels, ABC, 9, seed)
    assert len(held) == 9
    assert sorted([*stays, *held]) == list(range(len(labels)))
    assert (np.diff(stays) > 0).all()
    assert (np.diff(held) > 0).all()
    np.testing.assert_array_equal(np.bincount(labels[held], minlength=3), shares(np.bincount(labels), 9))


def test_the_seed_decides_and_nothing_else():
    labels = np.arange(300) % 3
    first = hold_out(labels, ABC, 30, 1)[1]
    np.testing.assert_array_equal(first, hold_out(labels, ABC, 30, 1)[1])
    assert not np.array_equal(first, hold_out(labels, ABC, 30, 2)[1])


def test_as_many_are_held_out_as_a_small_or_a_large_data_set_can_spare():
    assert [usual_validation(images) for images in (60_000, 20_000, 19_999, 604, 11, 5)] == [5000, 5000, 1999, 60, 1, 1]


def test_images_that_a_class_needs():
    assert images_needed() == 1  # nothing is held out
    assert images_needed(0.5) == 2
    assert images_needed(0.2, 0.1) == 3  # one of each part, whatever the fraction, and one to train on


@pytest.mark.parametrize(
    ("labels", "classes", "count", "before", "message"),
    [
        ([0, 1, 2] * 2, ABC, 6, (), "6 images to hold out of 6: set data.validation lower, or give more images"),
        (
            [0, 1, 1], ABC[:2], 2, (),
            "class 'a' has 1 image, which is held out: none is left to train on; "
            "every class needs at least 3 images, or fewer held out (data.validation)",
        ),
        (
            [0, 1, 1], ABC[:2], 2, (0.2,),
            "class 'a' has 1 image beside those held out before, which is held out: none is left to train on; "
            "every class needs at least 4 images, or fewer held out (data.validation)",
        ),
        (
            [0, 0] + [1] * 20, ABC[:2], 21, (),
            "class 'a' has 2 images, all of which are held out: none is left to train on; "
            "every class needs at least 22 images, or fewer held out (data.validation)",
        ),
        (
            [0, 1] * 5, ABC, 2, (),
            "class 'c' has no image: none is left to train on; "
            "every class needs at least 2 images, or fewer held out (data.validation)",
        ),
    ],
)  # fmt: skip
def test_too_few_images(labels, classes, count, before, message):
    with pytest.raises(DataError) as error:
        hold_out(np.array(labels), classes, count, 0, before=before)
    assert str(error.value) == message


def test_limit_takes_the_first_of_each_class():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert first_of_each(labels, ABC, 3).tolist() == [0, 3, 6]
    assert first_of_each(labels, ABC, 4).tolist() == [0, 1, 3, 6]
    assert first_of_each(labels, ABC, 100).tolist() == list(range(9))


@pytest.mark.parametrize(
    ("labels", "limit", "lost"),
    [([0, 1, 2, 0, 1, 2], 2, "'c' (of 3 classes)"), ([0] * 9 + [1], 2, "'b' (of 3 classes)")],
)
def test_a_limit_that_leaves_a_class_out(labels, limit, lost):
    with pytest.raises(DataError) as error:
        first_of_each(np.array(labels), ABC, limit)
    assert str(error.value) == f"a limit of {limit} images leaves none of class {lost}: raise the limit"


def test_a_class_that_a_test_part_lacks_is_no_reason_to_refuse_a_limit():
    assert first_of_each(np.array([0, 2, 0, 2]), ABC, 2).tolist() == [0, 1]
