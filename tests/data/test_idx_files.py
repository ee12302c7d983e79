"""IDX files of one's own: KMNIST's names, EMNIST's labels from 1 and its turned images."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import niwaki
from niwaki.data import idx_files
from niwaki.data.datasets import kind_of
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError

LABELS = "train-labels-idx1-ubyte.gz"


def write(path: Path, array: np.ndarray) -> Path:
    data = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 5, 7), dtype=np.uint8)


def put(root: Path, before: str, labels: np.ndarray, part: str = "train", ending: str = ".gz") -> None:
    write(root / f"{before}{part}-images-idx3-ubyte{ending}", images(len(labels)))
    write(root / f"{before}{part}-labels-idx1-ubyte{ending}", labels.astype(np.uint8))


def test_files_with_kmnist_names(tmp_path: Path) -> None:
    put(tmp_path, "", np.arange(40) % 10)
    put(tmp_path, "", np.arange(10), "t10k")
    data = niwaki.load_data(tmp_path, validation=10)
    assert (data.name, data.labels) == ("idx", tuple("0123456789"))
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 10)
    np.testing.assert_array_equal(data.test.images[:, 0], images(10))


@pytest.mark.parametrize("mapping", [True, False])
def test_files_with_emnist_letters_names(tmp_path: Path, mapping: bool) -> None:
    put(tmp_path, "emnist-letters-", np.arange(78) % 26 + 1)
    put(tmp_path, "emnist-letters-", np.arange(26) + 1, "test")
    if mapping:
        lines = [f"{label} {64 + label} {96 + label}\n" for label in range(1, 27)]
        (tmp_path / "emnist-letters-mapping.txt").write_text("".join(lines))
    raw = idx_files.source(tmp_path).decode(Preprocessing())
    assert raw.labels == (tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if mapping else tuple(map(str, range(1, 27))))
    assert raw.test.labels.tolist() == list(range(26))
    np.testing.assert_array_equal(raw.train.images[:, 0], images(78).transpose(0, 2, 1))
    assert raw.notes == ("EMNIST stores its images with rows and columns exchanged: they are turned back",)


def test_several_datasets_in_a_folder(tmp_path: Path) -> None:
    for before in ("emnist-digits-", "emnist-letters-"):
        put(tmp_path, before, np.array([1, 2, 1, 2]), ending="")
    with pytest.raises(DataError, match=r"several datasets: name the file .*: emnist-digits-train-images-idx3-ubyte, "):
        idx_files.source(tmp_path)
    file = tmp_path / "emnist-digits-train-images-idx3-ubyte"
    assert kind_of(file) == "idx"
    assert idx_files.source(file).decode(Preprocessing()).labels == ("1", "2")


def test_names_of_a_list_and_dotted_files(tmp_path: Path) -> None:
    write(tmp_path / "train-images.idx3-ubyte", images(4))
    write(tmp_path / "train-labels.idx1-ubyte", np.array([0, 1, 1, 0], np.uint8))
    before = idx_files.source(tmp_path)
    (tmp_path / "labels.txt").write_text("yes\nno\n")
    named = idx_files.source(tmp_path)
    assert (before.train_images, named.has_test) == (4, False)
    assert named.decode(Preprocessing()).labels == ("yes", "no")
    assert named.identity != before.identity
    (tmp_path / "labels.txt").write_text("yes\n")
    with pytest.raises(DataError, match=r"labels\.txt: 1 names for 2 classes"):
        idx_files.source(tmp_path).decode(Preprocessing())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / LABELS).unlink(), "train-labels-idx1-ubyte: missing: the labels of"),
        (lambda root: put(root, "", np.array([0, 9]), "t10k"), "label 9 of image 1: no training image has it"),
        (lambda root: write(root / LABELS, np.zeros(3, np.uint8)), "only the label 0"),
        (lambda root: write(root / LABELS, np.arange(3, dtype=np.uint8)), "4 images, but .* 3 lab"),
        (lambda root: (root / "labels.txt").write_bytes(b"\xff"), r"labels\.txt: cannot be read"),
        (lambda root: (root / "mapping.txt").write_text("0 x"), "expected lines of a label and its characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, spoil, message: str) -> None:
    put(tmp_path, "", np.array([0, 1, 0, 1]))
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        idx_files.source(tmp_path).decode(Preprocessing())


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no IDX file of training images in it"):
        idx_files.source(tmp_path)
    with pytest.raises(DataError, match="not a file of IDX images"):
        idx_files.source(tmp_path / "x-idx3-ubyte")
