import io
import struct
import tracemalloc
import zipfile

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
        ({"x_train": X, "y_train": Y, "x_valid": X}, "y_val is missing"),
        ({"x_train": X, "y_train": Y, "weights": X}, "unknown key 'weights'; known are x_train, y_train, x_val"),
        ({"x_train": X, "y_train": Y[:3]}, "x_train has 4 images, but y_train has 3 labels"),
        ({"x_train": X, "y_train": Y.astype(float)}, r"y_train is float64 \(4,\): expected integers"),
        ({"x_train": X, "y_train": np.stack([Y, Y, Y + 2], axis=1)}, r"y_train is int64 \(4, 3\)"),
        ({"x_train": X / 255, "y_train": Y}, r"x_train: images are float64 \(4, 2, 3\)"),
        ({"x_train": X, "y_train": np.array([0, 1, -1, 1])}, r"y_train\[2\] is -1: expected 0 to 1"),
        (
            {"x_train": X, "y_train": np.array([0, 3, 0, 3])},
            r"y_train\[1\] is 3, but the only other label is 0 \(1 class\): correct it, or number the",
        ),
        ({"x_train": X, "y_train": Y * 0}, "its classes are 0: at least two"),
        ({"x_train": X, "y_train": Y, "labels": np.array(["a", "a"])}, "its classes are a, a"),
        ({"x_train": X, "y_train": Y, "labels": np.array([1, 2])}, r"labels is int64 \(2,\): expected strings"),
        (
            {"x_train": X, "y_train": Y, "labels": np.array(["a", "b"], dtype=object)},
            r"data\.npz: labels holds Python objects, not plain values",
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
    with pytest.raises(DataError, match="absent: there is no such file"):
        npz.source(tmp_path / "absent")


def npy(array=None, *, shape=None, descr="|u1", version=1, length=None):
    """The bytes of an array, or of a header that says what it likes."""
    if array is not None:
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=True)
        return file.getvalue()
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode("latin1")
    stated = len(header) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", stated) + header + bytes(8)


def archive(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in {"x_train": npy(X), "y_train": npy(Y), **members}.items():
            file.writestr(name if "." in name else f"{name}.npy", data)
    return path


def refused(path):
    with pytest.raises(DataError) as caught:
        npz.source(path).decode(Preprocessing())
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../x.npy": b"a"}, "unknown key '../x'; known are x_train"),
        ({"x_train": npy(shape=(10**12,))}, "x_train: its header says uint8 (1000000000000,), which is"),
        ({"x_train": npy(shape=(10**12,), descr="<f8", version=2)}, "which is 8,000,000,000,000 bytes, but 8 follow"),
        ({"x_train": npy(shape=(0, 10**12))}, "which is 0 bytes, but 8 follow"),
        ({"x_train": npy(shape=(-1, 8))}, "x_train is uint8 (-1, 8): expected numbers or strings"),
        ({"x_train": npy(shape=(8,), descr="|V1")}, "x_train is |V1 (8,): expected numbers or strings"),
        ({"x_train": npy(shape=(8,), descr="|O")}, "x_train holds Python objects"),
        ({"x_train": npy(shape=(8,), version=3)}, "x_train is not a NumPy array"),
        ({"x_train": npy(shape=(8,), version=2, length=2**31)}, "a header of 2,147,483,648 bytes, at most 10,000"),
        ({"x_train": b"PK"}, "x_train is not a NumPy array"),
        ({"x_train": npy(shape="8 * 'x'")}, "not an .npz file of plain arrays, or damaged: "),
        ({"x_train": npy(np.float32(3))}, "x_train: images are float32 ()"),
        ({"x_train": npy(np.full((4, 2, 3), np.nan))}, "x_train: images are float64 (4, 2, 3): expected uint8"),
        ({"y_train": npy(np.array([0, 1, 0, np.nan]))}, "y_train is float64 (4,): expected integers"),
        ({"y_train": npy(np.int64(3))}, "y_train is int64 (): expected integers"),
        ({"y_train": npy(np.array([0, 1, 0, 40_000_000]))},
         "y_train[3] is 40000000, but the other labels are 0 to 1 (2 classes): correct it, or number the classes"),
        ({"y_train": npy(np.array([0, 7, 1, 9]))}, "y_train[1] is 7, but the lower labels are 0 to 1 (2 classes)"),
        ({"y_train": npy(np.array([1, 2, 1, 2]))}, "y_train[0] is 1, but no label is 0: number the classes 0, 1, …"),
        ({"y_train": npy(np.array([0, 1, 0, 2**64 - 1], np.uint64))}, "y_train[3] is -1: expected 0 to 1"),
        ({"y_train": npy(np.arange(4))}, None),
        ({"labels": npy(np.array(["a", "\ud800"]))}, "labels contain invalid characters"),
        ({"labels": npy(np.array([0x110000, 97], "<u4").view("<U1"))}, "labels contain invalid characters"),
    ],
)  # fmt: skip
def test_an_archive_that_was_not_written_by_numpy(tmp_path, members, message):
    path = archive(tmp_path / "data.npz", **members)
    if message is None:
        assert len(npz.source(path).decode(Preprocessing()).labels) == 4
        return
    assert message in refused(path)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_LZMA, "LZMA"), (zipfile.ZIP_BZIP2, "bzip2")])
def test_other_compressions_are_named(tmp_path, method, name):
    assert f"x_train is compressed by {name}: write the file with numpy.savez" in refused(
        archive(tmp_path / "d", method)
    )


def test_an_encrypted_member_and_a_method_that_is_none(tmp_path):
    data = archive(tmp_path / "d.npz").read_bytes()
    at = data.index(b"PK\x01\x02")
    (tmp_path / "d.npz").write_bytes(data[: at + 8] + b"\x01" + data[at + 9 :])
    assert "x_train is encrypted: write the file again without a password" in refused(tmp_path / "d.npz")
    (tmp_path / "d.npz").write_bytes(data[: at + 10] + b"\x09" + data[at + 11 :])
    assert "x_train is compressed by method 9" in refused(tmp_path / "d.npz")


def test_one_key_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x_train.npy", npy(X))
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("x_train.npy", npy(X))
    assert "x_train occurs twice" in refused(tmp_path / "d.npz")


def test_columns_first_is_the_same_array(tmp_path):
    raw = decode(tmp_path, x_train=np.asfortranarray(X), y_train=Y)
    np.testing.assert_array_equal(raw.train.images[:, 0], X)


def test_a_small_file_that_unpacks_to_a_huge_one(tmp_path, monkeypatch):
    zeros = np.zeros((1000, 100, 100), np.uint8)
    path = archive(tmp_path / "d.npz", zipfile.ZIP_DEFLATED, x_train=npy(zeros), y_train=npy(np.arange(1000) % 2))
    assert path.stat().st_size < 20_000
    monkeypatch.setenv("NIWAKI_DATA_BYTES", "1000000")
    tracemalloc.start()
    assert "its arrays: 10,008,256 bytes, at most 1,000,000 are allowed: set NIWAKI_DATA_BYTES=10008256" in refused(
        path
    )
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    assert "bytes cannot unpack to 2,147,483,648: the file is damaged" in refused(path)


def test_padding_counts_too(tmp_path, monkeypatch):
    monkeypatch.setenv("NIWAKI_DATA_BYTES", "100000")
    with pytest.raises(DataError, match=r"x_train: decoded: 4 images of 1×202×203 .*164,024 bytes, at most 100,000"):
        decode(tmp_path, Preprocessing(pad=100), x_train=X, y_train=Y)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_one_byte_flipped_is_told_or_changes_nothing(tmp_path, method):
    path = archive(tmp_path / "data.npz", method)
    whole = path.read_bytes()
    right = npz.source(path).decode(Preprocessing())
    rng = np.random.default_rng(0)
    for at in range(0, len(whole), 3):
        data = bytearray(whole)
        data[at] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        told = ""
        try:
            found = npz.source(path).decode(Preprocessing())
            np.testing.assert_array_equal(found.train.images, right.train.images)
            np.testing.assert_array_equal(found.train.labels, right.train.labels)
        except DataError as error:
            told = str(error)
        assert not told or told.startswith(f"{path}: ")
        assert "\n" not in told


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
        ("X_train", "y_train", "X_val", "y_val", "X_test", "y_test"),
        ("x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test"),
        ("arr_0", "arr_1", "arr_2", "arr_3", "arr_4", "arr_5"),
    ],
)
def test_arrays_have_many_names(tmp_path, names):
    given = (X, Y[:, None], X[:2], Y[:2, None], X[2:], np.eye(2, dtype=int)[Y[2:]])
    path = tmp_path / "data.npz"
    np.savez(path, **dict(zip(names, given, strict=True)))
    source = npz.source(path)
    raw = source.decode(Preprocessing())
    assert (source.train_images, source.has_validation, source.has_test) == (4, True, True)
    assert [split.labels.tolist() for split in (raw.train, raw.validation, raw.test)] == [[0, 1, 0, 1], [0, 1], [0, 1]]
    np.testing.assert_array_equal(raw.test.images[:, 0], X[2:])


def test_arrays_without_names_in_another_order(tmp_path):
    np.savez(tmp_path / "data.npz", X, X[:2], Y, Y[:2])
    raw = npz.source(tmp_path / "data.npz").decode(Preprocessing())
    assert (len(raw.train), len(raw.test)) == (4, 2)
    np.savez(tmp_path / "data.npz", X, Y[:3])
    with pytest.raises(DataError, match=r"its arrays have no names \(arr_0 .*: save them by name"):
        npz.source(tmp_path / "data.npz")


def test_labels_may_be_numbers_beside_images(tmp_path):
    raw = decode(tmp_path, images=X, labels=Y)
    assert raw.train.labels.tolist() == Y.tolist()
    with pytest.raises(DataError, match="x_train and images would both be x_train: keep one"):
        decode(tmp_path, x_train=X, images=X, y_train=Y)


def test_channels_may_come_first(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    raw = decode(tmp_path, Preprocessing(color="rgb"), x_train=images, y_train=Y)
    np.testing.assert_array_equal(raw.train.images, images)
