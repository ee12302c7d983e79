import json

import numpy as np
import pytest

from niwaki.data.dataset import SPLITS, About, Split, check_contents, fingerprint_of, open_dataset, write_dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError


def parts():
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 1, 2, 2)
    labels = np.array([0, 1, 0, 1, 0, 1])
    return {name: Split(pixels[at : at + 2], labels[at : at + 2]) for name, at in zip(SPLITS, (0, 2, 4), strict=True)}


def write(folder, splits=None, **changes):
    about = {"name": "n", "labels": ("a", "b"), "preprocessing": Preprocessing(), "origin": "o", "synthetic": False}
    folder.mkdir(exist_ok=True)
    write_dataset(folder, splits or parts(), About(**{**about, **changes}))
    return folder


def test_what_was_written_is_opened_as_a_read_only_map(tmp_path):
    data = open_dataset(write(tmp_path / "d", preprocessing=Preprocessing(mean=(0.5,)), synthetic=True))
    assert (data.name, data.labels, data.origin, data.synthetic) == ("n", ("a", "b"), "o", True)
    assert data.preprocessing.mean == (0.5,)
    assert data.input_shape == (1, 2, 2)
    assert data.num_classes == 2
    assert len(data.validation) == 2
    assert isinstance(data.train.images, np.memmap)
    assert data.train.labels.dtype == np.int64
    np.testing.assert_array_equal(data.test.images, parts()["test"].images)
    with pytest.raises(ValueError, match="read-only"):
        data.train.images[0] = 0
    check_contents(data, tmp_path / "d")


def test_the_fingerprint_follows_all_that_is_trained_on_and_nothing_else(tmp_path):
    first = open_dataset(write(tmp_path / "one")).fingerprint
    assert open_dataset(write(tmp_path / "two", origin="elsewhere", name="m")).fingerprint == first
    seen = {first}
    changed = parts()
    changed["test"] = Split(changed["test"].images, changed["test"].labels[::-1])
    seen.add(fingerprint_of(("a", "b"), Preprocessing(), changed))
    changed = parts()
    changed["train"] = Split(changed["train"].images + 1, changed["train"].labels)
    seen.add(fingerprint_of(("a", "b"), Preprocessing(), changed))
    seen.add(fingerprint_of(("a", "c"), Preprocessing(), parts()))
    seen.add(fingerprint_of(("a", "b"), Preprocessing(std=(2.0,)), parts()))
    swapped = parts()
    swapped["train"], swapped["test"] = swapped["test"], swapped["train"]
    seen.add(fingerprint_of(("a", "b"), Preprocessing(), swapped))
    assert len(seen) == 6


def test_not_a_decoded_dataset(tmp_path):
    with pytest.raises(DataError, match=r"dataset\.json: No such file or directory: not a decoded dataset; delete"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("key", ["format", "labels", "shapes"])
def test_a_damaged_manifest(tmp_path, key):
    manifest = write(tmp_path / "d") / "dataset.json"
    said = json.loads(manifest.read_text())
    said[key] = 99
    manifest.write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"dataset\.json: damaged or of another version"):
        open_dataset(tmp_path / "d")


@pytest.mark.parametrize("name", [f"{part}_{kind}.npy" for part in SPLITS for kind in ("images", "labels")])
def test_a_missing_cut_or_foreign_array_is_named(tmp_path, name):
    path = write(tmp_path / "d") / name
    whole = path.read_bytes()
    for damaged in (None, b"", whole[:20], whole[:-1]):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"{name}: missing or damaged"):
            open_dataset(tmp_path / "d")
    np.save(path, np.zeros((3, 3), dtype=np.int16))
    with pytest.raises(DataError, match=rf"{name}: holds int16 \(3, 3\), expected"):
        open_dataset(tmp_path / "d")


def test_a_pixel_that_changed_is_noticed(tmp_path):
    path = write(tmp_path / "d") / "train_images.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="its arrays do not match its fingerprint"):
        check_contents(open_dataset(tmp_path / "d"), tmp_path / "d")


def test_a_manifest_without_one_of_the_splits(tmp_path):
    manifest = write(tmp_path / "d") / "dataset.json"
    said = json.loads(manifest.read_text())
    del said["shapes"]["test"]
    manifest.write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"test_images\.npy: holds uint8"):
        open_dataset(tmp_path / "d")


@pytest.mark.parametrize("shape", ["(2, 1, 2, 1000000000000)", "(2, 1, 2, 2", "(2, 1, 2, -2)", "'x'", "(True,)"])
def test_a_header_that_lies(tmp_path, shape):
    path = write(tmp_path / "d") / "train_images.npy"
    whole = path.read_bytes()
    assert b"(2, 1, 2, 2)" in whole
    header = whole.replace(b"(2, 1, 2, 2)", shape.encode())
    path.write_bytes(header[:8] + (len(header) - 10 - 8).to_bytes(2, "little") + header[10:])
    with pytest.raises(DataError, match=r"train_images\.npy: .*delete .* and run again"):
        open_dataset(tmp_path / "d")
