import numpy as np
import pytest

from niwaki.data import npz
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError

X = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
Y = np.array([0, 1, 0, 1])


def decode(tmp_path, preprocessing=None, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return npz.source(tmp_path / "data.npz").decode(preprocessing or Preprocessing())


def test_train_and_test_arrays(tmp_path):
    names = np.array(["cat", "dog"])
    raw = decode(tmp_path, x_train=X, y_train=Y.astype(np.uint8), x_test=X[:2], y_test=Y[:2], labels=names)
    assert raw.labels == ("cat", "dog")
    assert raw.train.labels.dtype == np.int64
    np.testing.assert_array_equal(raw.train.images[:, 0], X)
    assert raw.test.labels.tolist() == [0, 1]
    assert raw.validation is None


def test_classes_without_names_are_numbers(tmp_path):
    raw = decode(tmp_path, x_train=np.stack([X] * 3, axis=-1), y_train=np.array([0, 1, 2, 2]))
    assert raw.labels == ("0", "1", "2")
    np.testing.assert_array_equal(raw.train.images[:, 0], X)  # three equal channels have themselves as luma
    assert raw.test is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": X}, "y_train is missing; it has x_train"),
        ({}, "x_train is missing; it has nothing"),
        ({"x_train": X, "y_train": Y, "y_test": Y}, "x_test is missing"),
        ({"x_train": X, "y_train": Y, "x_val": X}, "unknown key 'x_val'"),
        ({"x_train": X, "y_train": Y[:3]}, "x_train has 4 images, but y_train has 3 labels"),
        ({"x_train": X, "y_train": Y.astype(float)}, r"y_train is float64 \(4,\): expected integers"),
        ({"x_train": X, "y_train": Y[:, None]}, r"y_train is int64 \(4, 1\)"),
        ({"x_train": X / 255, "y_train": Y}, r"x_train: images are float64 \(4, 2, 3\)"),
        ({"x_train": X, "y_train": np.array([0, 1, -1, 1])}, r"y_train\[2\] is -1: expected 0 to 1"),
        ({"x_train": X, "y_train": np.array([0, 3, 0, 3])}, r"no image of class '1' \(label 1\)"),
        ({"x_train": X, "y_train": Y * 0}, "its classes are 0: at least two"),
        ({"x_train": X, "y_train": Y, "labels": np.array(["a", "a"])}, "its classes are a, a"),
        ({"x_train": X, "y_train": Y, "labels": np.array([1, 2])}, r"labels is int64 \(2,\): expected strings"),
        (
            {"x_train": X, "y_train": Y, "labels": np.array(["a", "b"], dtype=object)},
            "not an .npz file of plain arrays",
        ),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, r"y_test\[1\] is 2: expected 0 to 1"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :1], "y_test": Y}, r"images of x_test are \(1, 3\)"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        decode(tmp_path, **arrays)


def test_other_files(tmp_path):
    np.save(tmp_path / "bare.npy", X)
    (tmp_path / "text.npz").write_text("hello")
    for name in ("bare.npy", "text.npz"):
        with pytest.raises(DataError, match=f"{name}: not an .npz file"):
            npz.source(tmp_path / name).decode(Preprocessing())
    with pytest.raises(DataError, match="absent: cannot be read: No such file"):
        npz.source(tmp_path / "absent")
