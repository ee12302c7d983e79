"""Films in Y4M: every frame's luminance, and a line for each way to be damaged."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.device.errors import DeviceError
from niwaki.device.sources import open_source
from niwaki.device.sources.y4m import Y4mFilm

COLOUR_BYTES = {  # of a 5×3 picture, worked out by hand
    "mono": 0, "420": 12, "420jpeg": 12, "420mpeg2": 12, "420paldv": 12, "411": 12,
    "422": 18, "444": 30, "444alpha": 45,
}  # fmt: skip
GREY = bytes(range(16, 31))


def film(path, *parts):
    path.write_bytes(b"".join(parts))
    return str(path)


def error_of(path):
    with pytest.raises(DeviceError) as caught, Y4mFilm(path) as opened:
        list(iter(lambda: opened.read(1.0), None))
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("colour", COLOUR_BYTES)
def test_luminance_of_every_layout(tmp_path, colour):
    header = f"YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1 C{colour} XYSCSS=any\n".encode()
    after = b"\xee" * COLOUR_BYTES[colour]
    frames = [b"FRAME\n", GREY, after, b"FRAME Ixyz XCOMMENT\n", GREY[::-1], after]
    with open_source(f"file:{film(tmp_path / 'a.y4m', header, *frames)}") as opened:
        assert (opened.width, opened.height, opened.live) == (5, 3, False)
        assert opened.read(1.0) == (GREY, 0, 0.0)
        assert opened.read(1.0) == (GREY[::-1], 1, pytest.approx(1001 / 30000))
        assert opened.read(1.0) is None
        assert opened.read(1.0) is None


def test_limited_range_stays_as_it_is(tmp_path):
    """Without a C parameter it is 4:2:0; levels 16 and 235 are not stretched."""
    path = film(tmp_path / "no-ending", b"YUV4MPEG2 W2 H2 F25:1\nFRAME\n", b"\x10\xeb\x10\xeb", b"\x80\x80")
    with open_source(f"file:{path}") as opened:
        assert opened.read(1.0).pixels == b"\x10\xeb\x10\xeb"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.sampled_from(sorted(COLOUR_BYTES)), st.randoms())
def test_what_ffmpeg_would_write_comes_back(tmp_path_factory, width, height, count, colour, random):
    """Colour planes by another way of counting: samples of a picture that is rounded up to whole blocks."""
    across, down = {"mono": (1, 1), "411": (4, 1), "422": (2, 1), "444": (1, 1), "444alpha": (1, 1)}.get(colour, (2, 2))
    planes = {"mono": 0, "444alpha": 3}.get(colour, 2)
    chroma = np.zeros((height, width))[::down, ::across].size * planes
    pictures = [random.randbytes(width * height) for _ in range(count)]
    body = b"".join(b"FRAME\n" + picture + bytes(chroma) for picture in pictures)
    path = tmp_path_factory.mktemp("film") / "a.y4m"
    with Y4mFilm(film(path, f"YUV4MPEG2 W{width} H{height} F24:1 C{colour}\n".encode(), body)) as opened:
        assert [opened.read(1.0).pixels for _ in pictures] == pictures
        assert opened.read(1.0) is None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is not a Y4M film: it does not begin with YUV4MPEG2"),
        (b"RIFF W4 H4\n", "is not a Y4M film: it does not begin with YUV4MPEG2"),
        (b"YUV4MPEG2 W4 H4", "is damaged at byte 15: a header line has no end"),
        (b"YUV4MPEG2 H4\n", "header says W: expected 1 to 4096 pixels"),
        (b"YUV4MPEG2 W4 H0\n", "header says H0: expected 1 to 4096 pixels"),
        (b"YUV4MPEG2 W9999 H4\n", "header says W9999: expected 1 to 4096 pixels"),
        (b"YUV4MPEG2 W4 H4 F25\n", "header says F25: expected frames per second as a fraction, such as F30:1"),
        (b"YUV4MPEG2 W4 H4 F0:0\n", "header says F0:0: expected frames per second as a fraction, such as F30:1"),
        (
            b"YUV4MPEG2 W4 H4 F1:" + b"9" * 400 + b"\n",
            "header says F1:" + "9" * 38 + ": expected frames per second as a fraction, such as F30:1",
        ),
        (b"YUV4MPEG2 W" + b"0" * 30 + b"4 H4\n", "header says W" + "0" * 20 + ": expected 1 to 4096 pixels"),
        (b"YUV4MPEG2 W4 H4 C420p10\n", "C420p10 is not read: convert it with ffmpeg -i IN -pix_fmt gray OUT.y4m"),
        (b"YUV4MPEG2 W4 H4 Cmono\nframe\n", "frame 0 does not begin with FRAME: the film is damaged"),
        (b"YUV4MPEG2 W4 H4 Cmono\nFRAME\n" + bytes(15), "frame 0 is cut off: the film is incomplete"),
        (b"YUV4MPEG2 W4 H4 Cmono\nFRAME\n" + bytes(16) + b"FRAME", "is damaged at byte 49: a header line has no end"),
        (b"YUV4MPEG2 W4 H4 C420\nFRAME\n" + bytes(16 + 7), "frame 0 is cut off: the film is incomplete"),
    ],
)
def test_damage_is_told(tmp_path, content, line):
    assert error_of(film(tmp_path / "a.y4m", content)) == line


def test_no_such_film(tmp_path):
    assert error_of(str(tmp_path / "none.y4m")) == "No such file or directory"


def test_a_disk_that_fails_in_the_middle(tmp_path):
    """A terminal that was hung up stands for it: reading gives EIO."""
    path = film(tmp_path / "a.y4m", b"YUV4MPEG2 W256 H256 Cmono\n", *[b"FRAME\n" + bytes(65536)] * 2)
    master, slave = os.openpty()
    os.close(slave)
    with Y4mFilm(path) as opened:
        assert opened.read(1.0).number == 0
        os.dup2(master, opened._file.fileno())
        with pytest.raises(DeviceError, match=f"^{path}: cannot be read at frame 1: Input/output error$"):
            opened.read(1.0)
    os.close(master)


def test_a_named_pipe_is_a_film(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"YUV4MPEG2 W4 H4 Cmono\nFRAME\n" + bytes(16),))
    writer.start()
    with open_source(f"file:{path}") as opened:
        assert opened.read(1.0).pixels == bytes(16)
        assert opened.read(1.0) is None
    writer.join()
