"""A folder of photographs as they are in the wild: loaded at the first try with `skip`, or told about in one go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwaki.data import folder
from niwaki.data.dataset import open_dataset
from niwaki.data.look import are_coloured
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError

GOOD = 9  # images that can be read, of each class


def photograph(seed: int, size: tuple[int, int] = (50, 40)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    root = tmp_path / "사진"
    (root / "고양이").mkdir(parents=True)
    (root / "dog" / "2023" / "may").mkdir(parents=True)
    cats, dogs = root / "고양이", root / "dog"
    photograph(0).save(cats / "a.jpg")
    photograph(1).convert("CMYK").save(cats / "cmyk.jpg")
    photograph(2).convert("P").save(cats / "palette.png")
    photograph(3).convert("RGBA").save(cats / "alpha.png")
    Image.fromarray((np.arange(2000, dtype=np.uint16) * 32).reshape(50, 40)).save(cats / "deep.png")
    photograph(4).save(cats / "moving.gif", save_all=True, append_images=[photograph(5)])
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(6, (40, 50)).save(cats / "turned.jpg", exif=exif)
    photograph(7).convert("1").save(cats / "fax.tiff")
    photograph(8).save(cats / "야옹이 둘.webp")
    for number in range(GOOD - 2):
        photograph(20 + number, (30 + number, 60)).save(dogs / f"{number}.bmp")
    photograph(40).save(dogs / "2023" / "x.png")
    photograph(41).save(dogs / "2023" / "may" / "y.png")
    for left in (root / ".DS_Store", cats / "Thumbs.db", dogs / "desktop.ini", dogs / "._0.bmp"):
        left.write_bytes(b"of a system")
    (dogs / "empty.jpg").write_bytes(b"")
    return root


def spoil(root: Path) -> list[str]:
    """Put unusable files everywhere, and return their names."""
    (root / "고양이" / "cut.png").write_bytes((root / "고양이" / "alpha.png").read_bytes()[:200])
    (root / "고양이" / "notes.txt").write_text("not an image")
    (root / "dog" / "2023" / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (root / "dog" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (root / "dog" / "round").symlink_to(root / "dog")
    Image.new("F", (4, 3)).save(root / "dog" / "float.tiff")
    (root / "list.xlsx").write_bytes(b"PK")
    (root / "unsorted").mkdir()
    return ["cut.png", "notes.txt", "clip.mp4", "gone.jpg", "round", "float.tiff", "list.xlsx", "unsorted"]


def test_a_wild_folder_loads(wild: Path, tmp_path: Path) -> None:
    (wild / "dog" / "again.bmp").symlink_to(wild / "dog" / "0.bmp")
    data = open_dataset(prepare(DataSpec(name="folder", path=wild), cache=tmp_path / "cache"))
    assert data.labels == ("dog", "고양이")
    assert sum(map(len, (data.train, data.validation, data.test))) == 2 * GOOD + 1
    assert data.preprocessing.size == (32, 32)
    told = "\n".join(data.notes)
    assert "passed over 1 empty file (dog/empty.jpg)" in told
    assert "read 2 folders within classes as part of them (dog/2023)" in told
    assert "images of 30×60 to 36×60 are resized to 32×32 (preprocessing.size)" in told.replace("50×40", "36×60")
    assert "copies of others" in told


def test_everything_that_cannot_be_used_is_told_in_one_go(wild: Path) -> None:
    names = spoil(wild)
    with pytest.raises(DataError) as refused:
        folder.source(wild)
    text = str(refused.value)
    assert all(name in text for name in names)
    assert text.startswith(f"{len(names)} of ")
    assert text.endswith("or go on without them: data.skip = true")


def test_what_is_skipped_is_counted_and_named_and_changes_nothing_else(wild: Path, tmp_path: Path) -> None:
    whole = open_dataset(prepare(DataSpec(name="folder", path=wild), cache=tmp_path / "cache"))
    names = spoil(wild)
    data = open_dataset(prepare(DataSpec(name="folder", path=wild, skip=True), cache=tmp_path / "cache"))
    [told] = [note for note in data.notes if note.startswith("skipped")]
    assert told.startswith(f"skipped {len(names)} files: ")
    assert all(name in told for name in names)
    assert data.fingerprint == whole.fingerprint


def test_a_class_of_which_nothing_can_be_read(wild: Path) -> None:
    for path in (wild / "고양이").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="no training image of class '고양이' can be read"):
        folder.source(wild, skip=True).decode(Preprocessing())


def test_a_folder_in_a_folder_as_archives_unpack(wild: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    (outer / "photos-main").mkdir(parents=True)
    wild.rename(outer / "photos-main" / "photos")
    assert folder.source(outer).decode(Preprocessing()).labels == ("dog", "고양이")


def test_what_is_in_colour() -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8), 3, axis=2)
    colour = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert not are_coloured([grey] * 9)
    assert not are_coloured([])
    assert are_coloured([grey] * 9 + [colour])
    assert not are_coloured([grey] * 10 + [colour])
