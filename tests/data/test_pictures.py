"""Image files that ask for too much memory, or that no library should open."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwaki.data import folder
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError


def png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture
def one_more(tmp_path: Path) -> Path:
    """Where an image lies beside three small ones."""
    for name in ("a/1.png", "b/1.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), 3).save(tmp_path / name)
    return tmp_path / "b" / "2.png"


@pytest.mark.parametrize("sides", [(60_000, 60_000), (9_000, 9_000), (1, 60_000_000)])
@pytest.mark.parametrize("size", [None, (4, 4)])
def test_an_image_of_too_many_pixels(one_more: Path, sides: tuple[int, int], size: tuple[int, int] | None) -> None:
    one_more.write_bytes(png(*sides))
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(DataError, match=r"^\S*b/2\.png: more than 50,000,000 pixels: .* set NIWAKI_IMAGE_PIXELS to"):
        folder.source(one_more.parent.parent).decode(Preprocessing(size=size))
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_limit_can_be_set(one_more: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (20, 20), 3).save(one_more)
    source = folder.source(one_more.parent.parent)
    monkeypatch.setenv("NIWAKI_IMAGE_PIXELS", "399")
    with pytest.raises(DataError, match=r"b/2\.png: more than 399 pixels"):
        source.decode(Preprocessing(size=(4, 4)))
    monkeypatch.setenv("NIWAKI_IMAGE_PIXELS", "400")
    assert len(source.decode(Preprocessing(size=(4, 4))).train) == 4


def test_too_many_images_for_the_memory(one_more: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder.source(one_more.parent.parent)
    monkeypatch.setenv("NIWAKI_DATA_BYTES", "47")
    with pytest.raises(
        DataError, match=r"3 images of 1×4×4 \(a smaller .*: 48 bytes, at most 47 are allowed: set NIWAKI"
    ):
        source.decode(Preprocessing())
    monkeypatch.setenv("NIWAKI_DATA_BYTES", "48")
    assert len(source.decode(Preprocessing()).train) == 3


def test_a_strip_is_not_cropped(one_more: Path) -> None:
    Image.new("L", (1, 100_000), 3).save(one_more)
    source = folder.source(one_more.parent.parent)
    assert len(source.decode(Preprocessing(size=(4, 4))).train) == 4
    with pytest.raises(DataError, match=r"b/2\.png: 1×100000, too narrow to crop .*6,553,600,000 pixels"):
        source.decode(Preprocessing(size=(8, 256), resize="crop"))


def test_no_file_starts_another_program(one_more: Path) -> None:
    one_more.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    with Image.open(one_more) as image:
        assert image.format == "EPS"  # it would be drawn by Ghostscript
    with pytest.raises(DataError, match=r"b/2\.png: not a readable image: repair or remove it"):
        folder.source(one_more.parent.parent).decode(Preprocessing())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
def test_damaged_images_are_read_or_named(one_more: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(one_more, format=kind)
    whole = one_more.read_bytes()
    source = folder.source(one_more.parent.parent)
    for _ in range(60):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        one_more.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)])
        told = ""
        try:
            assert source.decode(Preprocessing(size=(4, 4))).train.images.shape == (4, 1, 4, 4)
        except DataError as error:
            told = str(error)
        assert not told or told.startswith(f"{one_more}: ")
        assert "\n" not in told
