"""Which entries of a folder of images are read, and as what."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwaki.data import folder, pictures
from niwaki.data.layout import find_layout
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError


def put(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), number).save(path)


def two_classes(root: Path, *parts: str) -> Path:
    put(*(root / part / name / "x.png" for part in parts for name in "ab"))
    return root


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"), ("train", "valid", "test"), ("train", "validation", "test"),
        ("Train", "Val", "Test"), ("TRAINING", "Validation", "testing"),
    ],
)  # fmt: skip
def test_parts_by_any_of_their_names(tmp_path: Path, train: str, validation: str, test: str) -> None:
    raw = folder.source(two_classes(tmp_path, train, validation, test)).decode(Preprocessing())
    assert raw.labels == ("a", "b")
    assert [part.images[0, 0, 0, 0] for part in (raw.train, raw.validation, raw.test)] == [0, 2, 4]


@pytest.mark.parametrize("stray", ["extra/a/x.png", "extra/x.png", "vali/a/x.png", "eval/a/x.png", "test.csv", "x.png"])
def test_what_nothing_reads_beside_train_is_named(tmp_path: Path, stray: str) -> None:
    two_classes(tmp_path, "train", "test")
    (tmp_path / stray).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stray).write_bytes(b"")
    entry = Path(stray).parts[0]
    with pytest.raises(DataError, match=rf"{entry}: unexpected beside train/ \(known folders: train"):
        folder.source(tmp_path)
    assert folder.source(tmp_path, skip=True).train_images == 2


def test_what_is_about_the_data_may_lie_there(tmp_path: Path) -> None:
    for root in (two_classes(tmp_path / "parts", "train"), two_classes(tmp_path / "bare", "")):
        for name in ("README.md", "LICENSE", "readme.dataset.txt", ".hidden"):
            (root / name).write_text("x")
        assert find_layout(root).names == ("a", "b")


def test_two_folders_for_one_part(tmp_path: Path) -> None:
    two_classes(tmp_path, "train", "val", "valid")
    with pytest.raises(DataError, match=r"val and valid: both are read as validation: merge them, or keep one"):
        find_layout(tmp_path)


def test_parts_without_train(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"valid: looks like a part of a dataset, but there is no train/ beside it"):
        find_layout(two_classes(tmp_path, "valid"))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    put(tmp_path / "Train" / "1.png", tmp_path / "bus" / "1.png", tmp_path / "test" / "1.png")
    layout = find_layout(tmp_path)
    assert layout.names == ("Train", "bus", "test")
    assert not layout.test


def test_the_listed_order_is_the_order(tmp_path: Path) -> None:
    for root, where in ((tmp_path / "bare", ""), (tmp_path / "parts", "train")):
        put(*(root / where / str(name) / "x.png" for name in (1, 2, 10)))
        by_name = folder.source(root)
        assert find_layout(root).names == ("1", "10", "2")
        (root / "labels.txt").write_text("1\n2\n\n10\n")
        listed = folder.source(root)
        raw = listed.decode(Preprocessing())
        assert raw.labels == ("1", "2", "10")
        assert raw.train.labels.tolist() == raw.train.images[:, 0, 0, 0].tolist() == [0, 1, 2]
        assert listed.identity != by_name.identity
        for text in ("1\n2\n3\n", "1\n2\n", "1\n2\n10\n10\n"):
            (root / "labels.txt").write_text(text)
            with pytest.raises(DataError, match=r"labels\.txt: lists 1, 2.*, but the classes are 1, 10, 2: list each"):
                find_layout(root)
        (root / "labels.txt").write_bytes(b"\xff\xfe")
        with pytest.raises(DataError, match=r"labels\.txt: cannot be read"):
            find_layout(root)


@pytest.mark.parametrize("twin", ["Cat", unicodedata.normalize("NFD", "chât")])
def test_twins_are_refused(tmp_path: Path, twin: str) -> None:
    put(*(tmp_path / name / "x.png" for name in ("cat", "chât", "dog", twin)))
    with pytest.raises(DataError, match=r"differ only in case or in how their accents are encoded: merge them"):
        find_layout(tmp_path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    put(tmp_path / "a" / "x.png", tmp_path / "b" / os.fsdecode(b"\xff.png"))
    assert len(folder.source(tmp_path).decode(Preprocessing()).train) == 2
    (tmp_path / os.fsdecode(b"\xffc")).mkdir()
    with pytest.raises(DataError, match=r"its name is not UTF-8: rename it"):
        find_layout(tmp_path)


def test_too_many_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIWAKI_DATA_CLASSES", "1")
    with pytest.raises(DataError, match=r": 2 classes, at most 1 are allowed: set NIWAKI_DATA_CLASSES=2 if"):
        find_layout(two_classes(tmp_path, ""))
    monkeypatch.setenv("NIWAKI_DATA_CLASSES", "many")
    with pytest.raises(DataError, match=r"NIWAKI_DATA_CLASSES = 'many': expected a whole number of classes"):
        find_layout(tmp_path)


def test_every_file_that_cannot_be_read_is_in_one_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(*(tmp_path / name / f"{number}.png" for name in "ab" for number in range(9)))
    for number in range(7):
        (tmp_path / "b" / f"{number}.png").write_bytes(b"no image")
    monkeypatch.setattr(pictures, "NAMED", 5)
    for how in (Preprocessing(), Preprocessing(size=(3, 4))):
        with pytest.raises(DataError) as caught:
            folder.source(tmp_path).decode(how)
        text = str(caught.value)
        assert text.startswith(f"7 of 18 files cannot be used: {tmp_path}/b/0.png: not a readable image")
        assert text.endswith(
            "4.png: not a readable image: repair or remove it; and 2 more; or go on without them: data.skip = true"
        )


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    two_classes(tmp_path, "")
    for name in ("y.png", "z.png"):
        os.mkfifo(tmp_path / "a" / name)
    with pytest.raises(
        DataError, match=r"2 of 4 files cannot be used: .*y\.png: not a regular file: remove it; .*z\.png"
    ):
        folder.source(tmp_path)


def test_a_few_photographs_need_no_number_for_validation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abc":
        for number in range(20):
            path = tmp_path / "d" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)).save(path)
    spec = DataSpec(name="folder", path=tmp_path / "d")
    chosen = prepare(spec, cache=tmp_path)
    assert prepare(spec.model_copy(update={"validation": 4}), cache=tmp_path) == chosen  # a tenth of 60 − 12
    with pytest.raises(DataError, match=r"5000 images to hold out of 48: set data\.validation lower, or give more"):
        prepare(spec.model_copy(update={"validation": 5000}), cache=tmp_path)


def test_what_systems_leave_is_passed_over(tmp_path: Path) -> None:
    two_classes(tmp_path, "train", "test")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        for place in (tmp_path, tmp_path / "train", tmp_path / "train" / "a"):
            (place / name).write_text("x")
    assert len(find_layout(tmp_path).paths) == 4


def test_classes_that_a_part_lacks_are_told(tmp_path: Path) -> None:
    put(*(tmp_path / "d" / place for place in ("train/a/1.png", "train/b/2.png", "train/c/3.png", "train/d/4.png")))
    put(
        *(
            tmp_path / "d" / place
            for place in ("val/a/5.png", "val/b/6.png", "val/d/7.png", "test/a/8.png", "test/b/9.png")
        )
    )
    told: list[str] = []
    prepare(DataSpec(name="folder", path=tmp_path / "d"), cache=tmp_path, notify=told.append)
    assert told[1] == (
        "folder d: no validation image of c, no test image of c, d: accuracy there says nothing about these classes"
    )
