"""Still pictures: PGM, PPM and PNG without a package, compared with Pillow; folders as films."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from niwaki.device.errors import DeviceError
from niwaki.device.sources import open_source
from niwaki.device.sources.png import SIGNATURE, decode_png
from niwaki.device.sources.pnm import decode_pnm

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, 9, 4), dtype=np.uint8)


def png_of(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, colour, rows, *between, interlace=0, packed=None):
    """A PNG from rows that begin with their filter's number."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = zlib.compress(b"".join(rows)) if packed is None else packed
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(between) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def luminance_by_pillow(image):
    """Over white, as a viewer shows it."""
    if image.mode in ("LA", "RGBA", "P"):
        layers = image.convert("RGBA")
        grey, alpha = layers.convert("RGB").convert("L"), layers.getchannel("A")
        return Image.composite(grey, Image.new("L", grey.size, 255), alpha)
    return image.convert("L")


def check(data, image):
    width, height, grey = decode_png(data)
    assert (width, height) == image.size
    np.testing.assert_array_equal(np.frombuffer(grey, np.uint8).reshape(height, width), np.asarray(image))


MODES = {
    "grey": Image.fromarray(PIXELS[:, :, 0]),
    "colour": Image.fromarray(PIXELS[:, :, :3].copy()),
    "grey and alpha": Image.fromarray(PIXELS[:, :, :2].copy(), "LA"),
    "colour and alpha": Image.fromarray(PIXELS),
    "black and white": Image.fromarray(PIXELS[:, :, 0]).convert("1"),
    "256 colours": Image.fromarray(PIXELS[:, :, :3].copy()).quantize(256),
    "16 colours": Image.fromarray(PIXELS[:, :, :3].copy()).quantize(16),
    "4 colours": Image.fromarray(PIXELS[:, :, :3].copy()).quantize(4),
    "2 colours": Image.fromarray(PIXELS[:, :, :3].copy()).quantize(2),
}


@pytest.mark.parametrize("name", MODES)
def test_png_as_pillow_reads_it(name):
    check(png_of(MODES[name]), luminance_by_pillow(MODES[name]))


def test_png_with_transparent_colours():
    data = png_of(MODES["16 colours"], transparency=bytes(range(0, 240, 16)))
    check(data, luminance_by_pillow(Image.open(io.BytesIO(data))))


def test_png_of_16_bits_keeps_the_high_byte():
    deep = Image.fromarray(PIXELS[:, :, :2].copy().view("<u2")[:, :, 0])
    check(png_of(deep), Image.fromarray(np.asarray(deep).astype("<u2").view(np.uint8)[:, 1::2]))


@pytest.mark.parametrize(("depth", "scale"), [(1, 255), (2, 85), (4, 17)])
def test_png_of_few_greys(depth, scale):
    """Rows of packed bits end at a byte's end: 11 pixels."""
    values = RNG.integers(0, 1 << depth, (3, 11), dtype=np.uint8)
    bits = np.unpackbits(values[:, :, None], axis=2)[:, :, 8 - depth :].reshape(3, -1)
    rows = [b"\0" + row.tobytes() for row in np.packbits(bits, axis=1)]
    check(png(11, 3, depth, 0, rows), Image.fromarray(values * np.uint8(scale)))


@given(st.data())
def test_png_of_every_filter(data):
    """Filters chosen by row, as an encoder may; Pillow decodes the same file."""
    colour = data.draw(st.sampled_from([0, 2, 4, 6]))
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    width, height = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    size = width * channels
    rows = [
        bytes([data.draw(st.integers(0, 4))]) + data.draw(st.binary(min_size=size, max_size=size))
        for _ in range(height)
    ]
    made = png(width, height, 8, colour, rows)
    check(made, luminance_by_pillow(Image.open(io.BytesIO(made))))


GOOD = png(2, 1, 8, 0, [b"\0ab"])


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\x89PNG\r\n\n\n", "has a damaged PNG signature"),
        (GOOD[:8], "is cut off: it has no end of PNG"),
        (GOOD[:-20], "is cut off inside PNG chunk 'IDAT'"),
        (GOOD[:-12], "is cut off: it has no end of PNG"),
        (GOOD.replace(b"IDAT", b"IDAX"), "PNG chunk 'IDAX' has a wrong checksum: the file is damaged"),
        (SIGNATURE + chunk(b"IEND", b""), "has no PNG header"),
        (SIGNATURE + chunk(b"IHDR", b"1234"), "has a damaged PNG header"),
        (png(0, 1, 8, 0, []), "0×1 pixels, at most 4096 a side"),
        (png(2, 5000, 8, 0, []), "2×5000 pixels, at most 4096 a side"),
        (png(2, 1, 3, 0, []), "PNG of colour type 0 with 3 bits is unknown"),
        (png(2, 1, 8, 5, []), "PNG of colour type 5 with 8 bits is unknown"),
        (
            png(2, 1, 8, 0, [b"\0ab"], interlace=1),
            "is an interlaced PNG, which is not read: save it without interlacing",
        ),
        (png(2, 1, 8, 0, [], packed=b"no zlib"), "PNG pixels are damaged: Error -3 while decompressing"),
        (png(2, 1, 8, 0, [b"\0a"]), "PNG pixels are cut off: 2 of 3 bytes"),
        (png(2, 1, 8, 0, [b"\5ab"]), "PNG row filter 5 is unknown: the file is damaged"),
        (png(2, 1, 8, 3, [b"\0\0\1"], chunk(b"PLTE", b"rgb")), "PNG palette has 3 bytes, but a pixel says colour 1"),
    ],
)
def test_damage_of_png_is_told(data, line):
    with pytest.raises(ValueError, match=re.escape(line)) as caught:
        decode_png(data)
    assert str(caught.value).startswith(line)


@given(st.data())
def test_any_content_is_a_picture_or_a_line(data):
    """Chunks with true checksums around whatever a damaged or hostile file may hold."""
    ihdr = data.draw(st.tuples(*[st.integers(0, 9)] * 2, st.sampled_from([1, 2, 4, 8, 16]), *[st.integers(0, 6)] * 2))
    body = data.draw(st.binary(max_size=200))
    between = [chunk(b"PLTE", data.draw(st.binary(max_size=30))), chunk(b"tRNS", data.draw(st.binary(max_size=9)))]
    made = png(*ihdr[:4], [body], *between, interlace=ihdr[4] % 2)
    made = made[: data.draw(st.integers(0, len(made)))] if data.draw(st.booleans()) else made
    try:
        width, height, grey = decode_png(made)
    except ValueError:
        return
    assert (width, height) == ihdr[:2]
    assert len(grey) == width * height


@given(st.binary(max_size=40))
def test_any_header_of_pgm_is_a_picture_or_a_line(data):
    try:
        width, height, grey = decode_pnm(b"P5 " + data)
    except ValueError:
        return
    assert len(grey) == width * height


def test_pgm_and_ppm():
    assert decode_pnm(b"P5\n# made by hand\n3 2\n255\n" + b"abcdef") == (3, 2, b"abcdef")
    assert decode_pnm(b"P5 1 1 255\n\n") == (1, 1, b"\n")
    assert decode_pnm(b"P5\n2 1\n15\n\x00\x0f") == (2, 1, b"\x00\xff")
    assert decode_pnm(b"P5\n3 1\n65535\n\x00\x00\x80\x00\xff\xff") == (3, 1, b"\x00\x80\xff")
    assert decode_pnm(b"P5\n2 1\n1023\n\x03\xff\xff\xff") == (2, 1, b"\xff\xff")
    assert decode_pnm(b"P6\n3 1\n255\n" + bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])) == (3, 1, bytes([76, 150, 29]))


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"P2\n1 1\n255\n7", "is a P2 picture: only binary PGM (P5) and PPM (P6) are read"),
        (b"P5\n1\n", "has a damaged PGM header"),
        (b"P5\n0 1\n255\n", "header says 0×1, largest value 255"),
        (b"P5\n1 1\n65536\n", "header says 1×1, largest value 65536"),
        (b"P6\n2 1\n255\nabcde", "is cut off: 5 of 6 bytes of pixels"),
        (b"P6\n4097 1\n255\nabcde", "4097×1 pixels, at most 4096 a side"),
    ],
)
def test_damage_of_pgm_is_told(data, line):
    with pytest.raises(ValueError, match=re.escape(line)) as caught:
        decode_pnm(data)
    assert str(caught.value) == line


def test_a_file_larger_than_any_picture(tmp_path):
    with (tmp_path / "a.pgm").open("wb") as file:
        file.truncate(10**12)  # takes no room on the disk
    assert error_of(tmp_path / "a.pgm") == f"{tmp_path / 'a.pgm'}: larger than 100,728,832 bytes, which is the limit"


def grey_png(level):
    return png_of(Image.new("L", (4, 2), level))


def test_a_folder_is_a_film_in_the_order_of_names(tmp_path):
    (tmp_path / "frame10.png").write_bytes(grey_png(10))
    (tmp_path / "frame2.PGM").write_bytes(b"P5\n4 2\n255\n" + bytes([2]) * 8)
    (tmp_path / "2b.ppm").write_bytes(b"P6\n4 2\n255\n" + bytes([1]) * 24)
    (tmp_path / "notes.txt").write_text("no picture")
    with open_source(f"file:{tmp_path}?fps=10") as opened:
        assert (opened.width, opened.height, opened.live) == (4, 2, False)
        frames = list(iter(lambda: opened.read(1.0), None))
    assert frames == [(bytes([1]) * 8, 0, 0.0), (bytes([2]) * 8, 1, 0.1), (bytes([10]) * 8, 2, 0.2)]


def test_one_picture_is_a_film_of_one_frame(tmp_path):
    (tmp_path / "a.any").write_bytes(grey_png(77))
    with open_source(f"file:{tmp_path / 'a.any'}") as opened:
        assert opened.read(1.0) == (bytes([77]) * 8, 0, 0.0)
        assert opened.read(1.0) is None


def error_of(path):
    with pytest.raises(DeviceError) as caught, open_source(f"file:{path}") as opened:
        list(iter(lambda: opened.read(1.0), None))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_folders_and_files_that_cannot_be_read(tmp_path):
    assert error_of(tmp_path) == f"{tmp_path}: contains no picture (.pgm .ppm .pnm .png .jpg .jpeg)"
    assert error_of(tmp_path / "none") == f"{tmp_path / 'none'}: No such file or directory"
    odd = tmp_path / "1.png"
    odd.write_bytes(b"GIF89a")
    assert error_of(tmp_path) == f"{odd}: is neither a Y4M film nor a PGM, PPM, PNG or JPEG picture"
    odd.write_bytes(GOOD[:-12])
    assert error_of(odd) == f"{odd}: is cut off: it has no end of PNG"
    odd.write_bytes(b"P5\n5000 1\n255\n" + bytes(5000))
    assert error_of(odd) == f"{odd}: 5000×1 pixels, at most 4096 a side"


def test_pictures_of_another_size_are_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(grey_png(1))
    (tmp_path / "2.png").write_bytes(GOOD)
    line = f"{tmp_path / '2.png'}: 2×1 pixels, but 1.png has 4×2: give all one size"
    assert error_of(tmp_path) == line
