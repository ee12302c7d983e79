import numpy as np
import pytest
from PIL import Image

from niwaki.data import folder
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError


def put(path, value, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if isinstance(value, tuple) else "L", size, value).save(path)


@pytest.fixture
def leaves(tmp_path):
    for index, name in enumerate(("oak", "ash", "elm")):
        for number in range(2):
            put(tmp_path / name / f"{number}.png", 10 * index + number)
    return tmp_path


def test_classes_are_sorted_and_images_keep_their_order(leaves):
    (leaves / ".DS_Store").write_bytes(b"hidden")
    (leaves / "oak" / ".thumb").write_bytes(b"hidden")
    raw = folder.source(leaves).decode(Preprocessing(pad=1))
    assert raw.labels == ("ash", "elm", "oak")
    assert raw.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert raw.train.images.shape == (6, 1, 5, 6)
    assert raw.train.images[:, 0, 1, 1].tolist() == [10, 11, 20, 21, 0, 1]
    assert raw.validation is None
    assert raw.test is None


def test_parts_of_their_own(tmp_path):
    for part, value in (("train", 1), ("val", 2), ("test", 3)):
        for name in "ab":
            put(tmp_path / part / name / "x.png", value)
    raw = folder.source(tmp_path).decode(Preprocessing())
    assert [split.images.max() for split in (raw.train, raw.validation, raw.test)] == [1, 2, 3]


def test_colour_and_size(tmp_path):
    put(tmp_path / "a" / "x.png", (1, 2, 3), size=(9, 4))
    put(tmp_path / "b" / "x.png", (4, 5, 6), size=(4, 9))
    raw = folder.source(tmp_path).decode(Preprocessing(color="rgb", size=(2, 2), resize="crop"))
    assert raw.train.images[:, :, 0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_turned_photographs_have_the_size_they_are_seen_in(tmp_path):
    put(tmp_path / "a" / "x.png", 1, size=(3, 4))
    exif = Image.Exif()
    exif[0x0112] = 8
    (tmp_path / "b").mkdir()
    Image.new("L", (4, 3), 2).save(tmp_path / "b" / "x.png", exif=exif)
    assert folder.source(tmp_path).decode(Preprocessing()).train.images.shape == (2, 1, 4, 3)


def test_identity_follows_contents_and_names_not_the_place(leaves, tmp_path_factory):
    before = folder.source(leaves).identity
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    leaves.rename(moved)
    assert folder.source(moved).identity == before
    put(moved / "oak" / "1.png", 99)
    changed = folder.source(moved).identity
    (moved / "oak").rename(moved / "pine")
    assert len({before, changed, folder.source(moved).identity}) == 3


def test_different_sizes_get_one_that_is_told(leaves):
    put(leaves / "elm" / "1.png", 5, size=(100, 70))
    raw = folder.source(leaves).decode(Preprocessing())
    assert raw.preprocessing.size == (32, 32)
    assert raw.train.images.shape == (6, 1, 32, 32)
    assert raw.notes == ("images of 3×4 to 70×100 are resized to 32×32 (preprocessing.size)",)
    assert folder.source(leaves).decode(Preprocessing(size=(8, 9))).preprocessing.size == (8, 9)


@pytest.mark.parametrize("size", [None, (4, 4)])
def test_an_unreadable_image_is_named(leaves, size):
    (leaves / "elm" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"elm/1\.png: not a readable image"):
        folder.source(leaves).decode(Preprocessing(size=size))


def test_a_cut_image_is_named(leaves):
    noise = np.random.default_rng(0).integers(0, 256, (3, 4), dtype=np.uint8)
    Image.fromarray(np.tile(noise, (20, 20))).save(leaves / "elm" / "1.png")
    data = (leaves / "elm" / "1.png").read_bytes()
    (leaves / "elm" / "1.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"elm/1\.png: not a readable image"):
        folder.source(leaves).decode(Preprocessing(size=(4, 4)))


def test_pixels_of_32_bits_are_named(leaves):
    Image.new("F", (4, 3)).save(leaves / "elm" / "1.tiff")
    with pytest.raises(DataError, match=r"elm/1\.tiff: pixels of mode F are not 8 or 16 bits deep"):
        folder.source(leaves).decode(Preprocessing())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "notes.txt").write_text("x"), r"notes\.txt: a file among the class folders"),
        (lambda root: (root / "yew").mkdir(), "yew: no images in it"),
        (lambda root: [(root / name).rename(root / f".{name}") for name in ("oak", "ash")], "only the class 'elm'"),
        (
            lambda root: [(root / name).rename(root / f".{name}") for name in ("oak", "ash", "elm")],
            "no folder in it that has images",
        ),
        (lambda root: (root / "oak" / "back").symlink_to(root), "oak/back: leads back to a folder that it is in"),
    ],
)
def test_a_folder_that_is_no_dataset(leaves, spoil, message):
    spoil(leaves)
    with pytest.raises(DataError, match=message):
        folder.source(leaves)


def test_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match="absent: there is no such folder"):
        folder.source(tmp_path / "absent")


def test_a_class_that_training_does_not_know(tmp_path):
    for place in ("train/a", "train/b", "test/a", "test/c"):
        put(tmp_path / place / "x.png", 1)
    with pytest.raises(DataError, match=r"test/c: no such class in .*train: a, b"):
        folder.source(tmp_path)
