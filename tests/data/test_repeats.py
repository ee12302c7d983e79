"""Copies among images: found when they are decoded, and reported each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import niwaki
from niwaki.data.dataset import open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.spec import DataSpec

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 4, 4), dtype=np.uint8)


def put(root: Path, **images: int) -> None:
    for name, number in images.items():
        path = root / f"{name.replace('_', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[number]).save(path)


def test_a_test_image_that_is_trained_on(tmp_path: Path) -> None:
    put(tmp_path / "d", train_a_1=0, train_a_2=1, train_b_1=2, train_b_2=3, test_a_5=1, test_a_6=4, test_b_5=5)
    put(tmp_path / "d", test_b_6=0, valid_a_1=6, valid_b_1=7, valid_b_2=5)
    spec = DataSpec(name="folder", path=tmp_path / "d")
    for _ in range(2):  # decoded, then found decoded
        told: list[str] = []
        kept = prepare(spec, cache=tmp_path, notify=told.append)
        assert told[-3:] == [
            "folder d: 2 of 4 test images are also training images (test/a/5.png is train/a/2.png): accuracy "
            "on them says nothing about new images",
            "folder d: 1 of 4 test images are also validation images (test/b/5.png is valid/b/2.png): accuracy "
            "on them says nothing about new images",
            "folder d: 1 image is in two classes, pixel for pixel (test/b/6.png is train/a/1.png)",
        ]
    assert len(open_dataset(kept).notes) == 3
    with pytest.warns(UserWarning, match="^folder d: ") as warned:
        niwaki.load_data(tmp_path / "d")
    assert [str(line.message) for line in warned] == told[-3:]


def test_copies_that_may_be_held_out(tmp_path: Path) -> None:
    labels = np.arange(12) % 2
    np.savez(tmp_path / "d.npz", x_train=X[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0]], y_train=labels)
    told: list[str] = []
    prepare(DataSpec(name="npz", path=tmp_path / "d.npz"), cache=tmp_path, notify=told.append)
    assert told[1:] == [
        "d.npz: 2 of 12 training images are copies of others (x_train[10] is x_train[0]): one may be held out while "
        "the other is trained on",
        "d.npz: 1 image is in two classes, pixel for pixel (x_train[11] is x_train[0])",
    ]


def test_nothing_is_said_of_images_that_differ(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=X, y_train=np.arange(12) % 2)
    told: list[str] = []
    prepare(DataSpec(name="npz", path=tmp_path / "d.npz"), cache=tmp_path, notify=told.append)
    assert len(told) == 1
    assert told[0].startswith("decoding d.npz into")
