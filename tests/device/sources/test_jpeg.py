"""JPEG, if this machine has a decoder: pictures, and cameras that give nothing else."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.foreign import NATIVE, foreign_python
from niwaki.device.errors import DeviceError
from niwaki.device.sources import jpeg, open_source
from niwaki.device.sources.jpeg import decode_jpeg

GREY = Image.fromarray(np.add.outer(np.arange(48) * 3, np.arange(64)).astype(np.uint8))
WHEELS = {"Pillow": "pillow", "OpenCV": "opencv-python-headless"}
READ_CAMERA = Path(__file__).parent / "read_camera.py"
ONLY_MJPEG = "sizes=64x48,formats=MJPG"
# Decodes with Pillow and writes PGM, as ffmpeg does when asked so.
FFMPEG = """#!{python}
import sys
from PIL import Image
assert sys.argv[1:] == "-v error -f mjpeg -i pipe:0 -frames:v 1 -pix_fmt gray -c:v pgm -f image2pipe pipe:1".split()
try:
    Image.open(sys.stdin.buffer).convert("L").save(sys.stdout.buffer, "PPM")
except Exception as error:
    print("[mjpeg @ 0x55] noise", "pipe:0: Invalid data found when processing input", sep="\\n", file=sys.stderr)
    sys.exit(183)
"""


def jpeg_of(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def only(monkeypatch, tmp_path, decoder):
    """A machine that has this decoder and no other: Pillow, OpenCV, ffmpeg or none."""
    package = {"Pillow": "PIL.Image", "OpenCV": "cv2"}.get(decoder)
    if package:
        pytest.importorskip(package, reason=f"needs {decoder}: pip install {WHEELS[decoder]}")
    known = {package, "numpy"} if decoder == "OpenCV" else {package}
    monkeypatch.setattr(jpeg, "_module", lambda name: sys.modules.get(name) if name in known else None)
    monkeypatch.setenv("PATH", str(tmp_path))
    if decoder == "ffmpeg":
        (tmp_path / "ffmpeg").write_text(FFMPEG.format(python=sys.executable))
        (tmp_path / "ffmpeg").chmod(0o755)


@pytest.mark.parametrize("decoder", ["Pillow", "OpenCV", "ffmpeg"])
def test_a_picture_by_each_decoder(monkeypatch, tmp_path, decoder):
    only(monkeypatch, tmp_path, decoder)
    (tmp_path / "a.jpg").write_bytes(jpeg_of(GREY))
    with open_source(f"file:{tmp_path / 'a.jpg'}") as opened:
        assert (opened.width, opened.height) == (64, 48)
        grey = np.frombuffer(opened.read(1.0).pixels, np.uint8).astype(int).reshape(48, 64)
    decoded = np.asarray(Image.open(tmp_path / "a.jpg"))
    assert np.abs(grey - decoded).max() <= 1
    with pytest.raises(ValueError, match=r"is a damaged JPEG|ffmpeg cannot decode it: pipe:0: Invalid data found"):
        decode_jpeg(jpeg_of(GREY)[:200])


def test_colour_gives_its_luminance(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, "Pillow")
    colour = Image.merge("RGB", [GREY, GREY.transpose(Image.Transpose.ROTATE_180), GREY])
    width, height, grey = decode_jpeg(jpeg_of(colour, subsampling=0))
    difference = np.frombuffer(grey, np.uint8).astype(int) - np.asarray(colour.convert("L")).reshape(-1)
    assert (width, height) == (64, 48)
    assert np.abs(difference).max() <= 8


def test_without_a_decoder_it_says_what_to_install(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, None)
    (tmp_path / "a.jpg").write_bytes(jpeg_of(GREY))
    line = (
        f"{tmp_path / 'a.jpg'}: JPEG needs a decoder: sudo apt-get install ffmpeg (or python3-opencv, or python3-pil); "
        "or convert it to PNG"
    )
    with pytest.raises(DeviceError) as caught:
        open_source(f"file:{tmp_path / 'a.jpg'}")
    assert str(caught.value) == line


def test_ffmpeg_that_hangs_or_says_nothing(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, "ffmpeg")
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ValueError, match="ffmpeg cannot decode it: no reason given"):
        decode_jpeg(jpeg_of(GREY))
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nexec /bin/sleep 1000\n")
    monkeypatch.setattr(jpeg, "FFMPEG_S", 0.05)
    with pytest.raises(ValueError, match="ffmpeg did not decode it in 0 s"):
        decode_jpeg(jpeg_of(GREY))


def test_a_camera_that_gives_only_mjpeg(package, shim, tmp_path):
    """Frames that are cut off, or have another size than agreed, are passed over."""
    pictures = {"good": jpeg_of(GREY), "other": jpeg_of(GREY.resize((32, 24)))}
    for name, data in pictures.items():
        (tmp_path / name).write_bytes(data)
    cameras = {
        "good": {"source": "v4l2:", "shim": f"{ONLY_MJPEG},jpeg={tmp_path / 'good'}"},
        "short": {"source": "v4l2:", "shim": f"{ONLY_MJPEG},jpeg={tmp_path / 'good'},short=2"},
        "other": {"source": "v4l2:", "shim": f"{ONLY_MJPEG},jpeg={tmp_path / 'other'}", "timeout_s": 0.2},
    }
    environment = foreign_python("newest").environment([package], shim("newest"))
    done = subprocess.run(  # this Python, with its packages
        [sys.executable, READ_CAMERA],
        input=json.dumps(cameras).encode(),
        env=environment,
        check=True,
        capture_output=True,
    )
    seen = json.loads(done.stdout)
    decoded = np.asarray(Image.open(tmp_path / "good"))
    for name in ("good", "short"):
        assert seen[name]["error"] is None
        assert [(first, size) for _, first, _ in seen[name]["frames"] for size in [seen[name]["size"]]] == [
            (decoded[0, 0], [64, 48])
        ] * 3
    assert seen["other"]["error"] == [
        "SourceLost",
        "/dev/video0: no frame for 0.2 s; the last one is 32×24, not 64×48 as agreed",
        3,
    ]


@pytest.mark.parametrize("name", NATIVE)
def test_mjpeg_through_an_ffmpeg_child(read_cameras, monkeypatch, shim, tmp_path, name):
    """If Python has no decoder, ffmpeg gets the size that the camera agreed to, not the requested one."""
    shim(name)
    camera = {"camera": {"source": "v4l2:?width=100&height=80", "shim": ONLY_MJPEG}}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_cameras(name, camera)["camera"]["error"] == [
        "DeviceError",
        "/dev/video0: gives only MJPEG, which needs sudo apt-get install ffmpeg (or python3-opencv, or python3-pil)",
        3,
    ]
    fake = (Path(__file__).parent / "fake_camera.py").read_text()
    (tmp_path / "ffmpeg").write_text(f"#!{sys.executable} -IS\n{fake}")
    (tmp_path / "ffmpeg").chmod(0o755)
    seen = read_cameras(name, camera)["camera"]
    assert (seen["error"], seen["size"], len(seen["frames"]), seen["leaked"]) == (None, [64, 48], 3, 0)


def test_the_size_is_known_before_a_decoder_takes_memory_for_it(monkeypatch, tmp_path):
    """65,500 × 65,500 would be 4 GB. Sizes lie behind comments, tables and fill bytes."""
    monkeypatch.setattr(jpeg, "_opencv_decoder", lambda _channels: pytest.fail)
    whole = bytearray(jpeg_of(GREY, comment=b"\xff\xc0" * 40))
    at = whole.index(b"\xff\xc0\x00\x0b")
    large = whole[:at] + b"\xff" * 3 + whole[at : at + 5] + b"\xff\xdc\xff\xdc" + whole[at + 9 :]
    (tmp_path / "large.jpg").write_bytes(large)
    with pytest.raises(DeviceError, match=r"large\.jpg: 65500×65500 pixels, at most 4096 a side"):
        open_source(f"file:{tmp_path / 'large.jpg'}")
    for name, data in {
        "cut": whole[:at],
        "lost": b"\xff\xd8" + bytes(100),
        "short": b"\xff\xd8\xff\xfe\0\0" * 9,
    }.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
        with pytest.raises(DeviceError, match=f"{name}.jpg: is a damaged JPEG: it does not state its size"):
            open_source(f"file:{tmp_path / name}.jpg")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"exif": b"Exif" + bytes(900)}])
def test_the_size_of_every_kind_is_found(options):
    for mode in ("L", "RGB"):
        jpeg.check_size(jpeg_of(GREY.convert(mode), **options))
