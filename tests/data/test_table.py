"""A CSV file of images and labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from niwaki.data import table
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for number in range(6):
        Image.new("L", (4, 3), number).save(tmp_path / "img" / f"{number}.png")
    return tmp_path


def write(root: Path, text: str) -> Path:
    (root / "list.csv").write_text(text, encoding="utf-8-sig")
    return root / "list.csv"


@pytest.mark.parametrize(
    "text",
    [
        "file,label\nimg/0.png,10\nimg/1.png,9\nimg/2.png,10\n",
        "label;note;filename\n10;a, b;img/0.png\n9;;img/1.png\n\n10;;img/2.png\n",
        'id\tImage\tClass\n1\t"img/0.png"\t10\n2\timg/1.png\t9\n3\timg/2.png\t10\n',
    ],
)
def test_columns_by_any_of_their_names(images: Path, text: str) -> None:
    raw = table.source(write(images, text)).decode(Preprocessing())
    assert raw.labels == ("9", "10")
    assert raw.train.labels.tolist() == [0, 1, 1]
    assert raw.train.images[:, 0, 0, 0].tolist() == [1, 0, 2]
    assert raw.test is None


def test_splits_of_its_own_and_listed_order(images: Path) -> None:
    (images / "labels.txt").write_text("dog\ncat\n")
    rows = [("0", "cat", "Train"), ("1", "dog", "train"), ("2", "dog", "valid"), ("3", "cat", "test")]
    text = "path,category,split\n" + "".join(f"img/{file}.png,{label},{part}\n" for file, label, part in rows)
    raw = table.source(write(images, text)).decode(Preprocessing())
    assert raw.labels == ("dog", "cat")
    assert [split.images[:, 0, 0, 0].tolist() for split in (raw.train, raw.validation, raw.test)] == [[1, 0], [2], [3]]
    assert [split.labels.tolist() for split in (raw.train, raw.validation, raw.test)] == [[0, 1], [0], [1]]


def test_another_label_is_another_dataset(images: Path) -> None:
    one = table.source(write(images, "file,label\nimg/0.png,a\nimg/1.png,b\n")).identity
    assert one != table.source(write(images, "file,label\nimg/0.png,b\nimg/1.png,a\n")).identity


def test_lines_that_cannot_be_used_are_told_together_or_skipped(images: Path) -> None:
    text = "file,label,split\nimg/0.png,a,\nimg/1.png,b,\nimg/2.png,,\n,a,\nimg/3.png,a,dev\nimg/9.png,b,\n"
    with pytest.raises(DataError) as refused:
        table.source(write(images, text))
    told = str(refused.value)
    assert "line 4 of list.csv: it has no label" in told
    assert "line 5 of list.csv: it has no file" in told
    assert "line 6 of list.csv: unknown split 'dev'" in told
    assert "img/9.png: not a regular file" in told
    raw = table.source(images / "list.csv", skip=True).decode(Preprocessing())
    assert raw.train.images[:, 0, 0, 0].tolist() == [0, 1]
    assert raw.notes[-1].startswith("skipped 4 files: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its columns are none: the first line must name a column file"),
        ("a,b\n1,2\n", "its columns are a, b: the first line must name"),
        ("file,label\nimg/0.png,a\n", "1 classes: at least two needed"),
        ("file,label,split\nimg/0.png,a,\nimg/1.png,b,\nimg/2.png,c,test\n", "no training image of class 'c'"),
        ("file,label\n\0,a\n" + '"' + "x" * 200_000, "line [23]: field larger than field limit|line contains NUL"),
    ],
)
def test_tables_that_are_none(images: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table.source(write(images, text))


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        table.source(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="save it as CSV in UTF-8"):
        table.source(tmp_path / "list.csv")


def test_a_file_named_twice_is_told(images: Path) -> None:
    text = "file,label\nimg/0.png,a\nimg/1.png,b\nimg/0.png,b\n"
    assert "1 lines name a file" in table.source(write(images, text)).decode(Preprocessing()).notes[0]
