import contextlib
import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from niwaki.data.idx import parse_idx, read_images, read_labels
from niwaki.errors import DataError


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_bytes_written_by_hand(tmp_path):
    two = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 11, 12, 21, 22])
    for name, data in (("plain", two), ("zipped.gz", gzip.compress(two))):
        (tmp_path / name).write_bytes(data)
        assert read_images(tmp_path / name).tolist() == [[[11, 12]], [[21, 22]]]


def test_labels_are_int64(tmp_path):
    (tmp_path / "labels").write_bytes(idx_bytes(np.array([0, 9, 3], dtype=np.uint8)))
    labels = read_labels(tmp_path / "labels", 10)
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 9, 3]


def test_a_label_out_of_range_is_named(tmp_path):
    (tmp_path / "labels").write_bytes(idx_bytes(np.array([0, 10, 3], dtype=np.uint8)))
    with pytest.raises(DataError, match="label 10 of image 1: expected 0 to 9"):
        read_labels(tmp_path / "labels", 10)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_what_was_written_is_read(images):
    np.testing.assert_array_equal(parse_idx(idx_bytes(images), dimensions=3, name="x"), images)


@given(hnp.arrays(np.uint8, (3, 2, 2)), st.data())
def test_every_cut_is_noticed(images, data):
    whole = idx_bytes(images)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DataError, match=r"^x: "):
        parse_idx(whole[:cut], dimensions=3, name="x")


@given(st.binary(max_size=40), st.sampled_from([1, 3]))
def test_any_bytes_are_read_exactly_or_refused(data, dimensions):
    array = None
    with contextlib.suppress(DataError):
        array = parse_idx(data, dimensions=dimensions, name="x")
    assert array is None or idx_bytes(array) == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing, expected 00000803"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x00", "begins with 00000801, expected 00000803"),
        (b"\x00\x00\x0d\x03" + bytes(12), "begins with 00000d03"),
        (b"\x00\x00\x08\x03\x00\x00", "ends inside its header"),
        (b"\x00\x00\x08\x03" + bytes(12), "it is empty"),
        (idx_bytes(np.ones((2, 2, 2), dtype=np.uint8))[:-1], "it is cut off"),
        (idx_bytes(np.ones((2, 2, 2), dtype=np.uint8)) + b"!", "extra data after the last"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "it is cut off"),
    ],
)
def test_what_is_wrong_is_said(data, message):
    with pytest.raises(DataError, match=message):
        parse_idx(data, dimensions=3, name="x")


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(idx_bytes(np.ones((4, 5, 5), dtype=np.uint8)))
    for name, data in (("cut", whole[:-9]), ("flipped", whole[:-6] + b"\0\0" + whole[-4:]), ("short", whole[:12])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}: damaged gzip"):
            read_images(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="absent: cannot be read: No such file"):
        read_images(tmp_path / "absent")


def test_a_header_that_asks_for_more_than_is_allowed(tmp_path, monkeypatch):
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31)
    for data in (header, gzip.compress(header)):
        (tmp_path / "images").write_bytes(data)
        with pytest.raises(
            DataError, match=r"images: its header says: 9,903,520,314,283,042,199,192,993,792 bytes, at"
        ):
            read_images(tmp_path / "images")
    monkeypatch.setenv("NIWAKI_DATA_BYTES", "10")
    (tmp_path / "images").write_bytes(idx_bytes(np.zeros((1, 3, 4), np.uint8)))
    with pytest.raises(DataError, match=r"12 bytes, at most 10 are allowed: set NIWAKI_DATA_BYTES=12 if you mean it"):
        read_images(tmp_path / "images")


def test_no_more_is_unpacked_than_the_header_says(tmp_path):
    (tmp_path / "images").write_bytes(gzip.compress(idx_bytes(np.zeros((1, 3, 4), np.uint8)) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="there is extra data after the last image"):
        read_images(tmp_path / "images")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
