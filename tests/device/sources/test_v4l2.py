"""Cameras of Video4Linux, in the Pythons of every board, against a preloaded camera built from the kernel's header."""

import errno
import functools
import hashlib
import itertools

import numpy as np
import pytest

from device.foreign import PYTHONS
from niwaki.device.sources import GREY, SourceLost
from niwaki.device.sources.luminance import PACKINGS
from niwaki.device.sources.v4l2 import V4l2Camera
from niwaki.device.sources.v4l2_device import Picture

CAMERA = "v4l2:/dev/video0?width=64&height=48"
SMALL = "sizes=64x48,"
CAPTURE_IN_PLANES, METADATA, WITHOUT_STREAMING, PIPELINE = "0x04201000", "0x04A00000", "0x00200001", "0x24200001"
FAILURES = {  # call, errno: the error's kind and what its line says
    ("open", errno.ENOENT): ("SourceLost", "no such camera; to list cameras: ls /dev/video*"),
    ("open", errno.ENODEV): ("SourceLost", "no such camera: it was unplugged"),
    ("open", errno.EACCES): (
        "DeviceError", "no permission to use the camera: sudo usermod -aG video $USER, then log in again",
    ),
    ("QUERYCAP", errno.ENOTTY): ("DeviceError", "is not a camera"),
    ("S_FMT", errno.EBUSY): ("SourceLost", "another program uses the camera: fuser -v /dev/video0"),
    ("ENUM_FMT", errno.EIO): ("SourceLost", "the camera does not answer"),
    ("S_PARM", errno.EIO): ("SourceLost", "the camera does not answer"),
    ("REQBUFS", errno.EBUSY): ("SourceLost", "another program uses the camera: fuser -v /dev/video0"),
    ("QUERYBUF", errno.EINVAL): ("DeviceError", "Invalid argument"),
    ("STREAMON", errno.ENOSPC): (
        "SourceLost", "USB has too little room for this size and rate: ask for less, or use another port",
    ),
    ("STREAMON", errno.EPIPE): (
        "DeviceError", "is part of a larger camera: for a camera on a ribbon cable use csi:0 (Jetson) or rpicam:0 "
        "(Raspberry Pi)",
    ),
    ("DQBUF", errno.EIO): ("SourceLost", "the camera stopped: Input/output error"),
    ("DQBUF", errno.ENODEV): ("SourceLost", "the camera was unplugged"),
}  # fmt: skip


def cameras():
    """Every situation, so that an emulated Python, which starts slowly, starts once."""
    described = {
        "usual": {"source": "v4l2:/dev/video0", "shim": "pad=64,period=20000"},
        "default node": {"source": "v4l2:", "shim": SMALL},
        "another size": {"source": "v4l2:/dev/video0?width=200&height=150", "shim": "sizes=1280x720+160x120+64x48"},
        "another node": {"source": "v4l2:/dev/v4l/by-id/it", "shim": SMALL + "path=/dev/v4l/by-id/it"},
        "damaged": {"source": CAMERA, "shim": SMALL + "damaged=2", "frames": 6},
        "short": {"source": CAMERA, "shim": SMALL + "short=2", "frames": 6},
        "only damaged": {"source": CAMERA, "shim": SMALL + "damaged=1", "timeout_s": 0.1},
        "frozen": {"source": CAMERA, "shim": SMALL + "freeze=2", "frames": 3, "timeout_s": 0.5},
        "slow reader": {"source": CAMERA, "shim": SMALL + "period=5000", "frames": 3, "sleep_s": 0.2},
        "unplugged": {"source": CAMERA, "shim": SMALL + "unplug=2,gone=0"},
        "fixed rate": {"source": CAMERA, "shim": SMALL + f"fail=S_PARM:{errno.ENOTTY}"},
        "lost often": {"source": CAMERA, "shim": SMALL + "unplug=1,gone=2", "patient": True, "frames": 51},
        "metadata": {"source": CAMERA, "shim": f"capabilities={METADATA}"},
        "in planes": {"source": CAMERA, "shim": f"capabilities={CAPTURE_IN_PLANES}"},
        "no streaming": {"source": CAMERA, "shim": f"capabilities={WITHOUT_STREAMING}"},
        "pipeline": {"source": CAMERA, "shim": f"capabilities={PIPELINE}"},
        "raw sensor": {"source": CAMERA, "shim": "formats=RG10+BA81"},
        "virtual": {"source": CAMERA, "shim": "formats=RGB3+BGR3"},
        "nothing": {"source": CAMERA, "shim": "formats="},
        "too large": {"source": CAMERA, "shim": "sizes=8000x6000,formats=GREY"},
        "one buffer": {"source": CAMERA, "shim": SMALL + "buffers=1"},
    }
    for fourcc in PACKINGS:
        described[fourcc] = {"source": CAMERA, "shim": SMALL + f"pad=16,formats=MJPG+{fourcc}"}
    for call, number in FAILURES:
        described[f"{call} {number}"] = {"source": CAMERA, "shim": SMALL + f"fail={call}:{number}"}
    return described


@pytest.fixture(scope="module", params=PYTHONS)
def seen(request, read_cameras):
    """What one Python saw in every situation."""
    return read_cameras(request.param, cameras())


@functools.cache
def hash_of(first_pixel, width, height):
    """Of the frame that the camera makes: x + 3 y + 7 n; its first pixel says n."""
    x, y = np.arange(width), np.arange(height)[:, None]
    return hashlib.sha256((x + 3 * y + first_pixel).astype(np.uint8).tobytes()).hexdigest()


def check_frames(result, width=64, height=48):
    assert result["error"] is None
    assert result["frames"]
    for _, first_pixel, digest in result["frames"]:
        assert digest == hash_of(first_pixel, width, height)


def times_of(result):
    """The camera's own numbers of the frames, modulo 256."""
    return [first_pixel * pow(7, -1, 256) % 256 for _, first_pixel, _ in result["frames"]]


def test_frames_of_the_usual_camera(seen):
    """It prefers MJPEG; rows are padded."""
    assert seen["usual"]["size"] == [640, 480]
    assert seen["usual"]["live"]
    check_frames(seen["usual"], 640, 480)
    numbers = [number for number, _, _ in seen["usual"]["frames"]]
    assert numbers == sorted(set(numbers))
    check_frames(seen["default node"])
    check_frames(seen["another node"])
    check_frames(seen["fixed rate"])


@pytest.mark.parametrize("fourcc", PACKINGS)
def test_every_packing_of_luminance(seen, fourcc):
    check_frames(seen[fourcc])


def test_the_nearest_size_is_taken(seen):
    assert seen["another size"]["size"] == [160, 120]
    check_frames(seen["another size"], 160, 120)


def test_damaged_and_short_frames_are_passed_over(seen):
    for name in ("damaged", "short"):
        check_frames(seen[name])
        numbers = times_of(seen[name])
        assert len({number % 2 for number in numbers}) == 1, numbers
    assert seen["only damaged"]["error"] == ["SourceLost", "/dev/video0: no frame for 0.1 s", 3]


def test_a_frozen_camera_is_lost(seen):
    assert 1 <= len(seen["frozen"]["frames"]) <= 2
    assert seen["frozen"]["error"] == ["SourceLost", "/dev/video0: no frame for 0.5 s", 3]


def test_a_slow_reader_gets_new_frames(seen):
    """200 ms pass between reads and a frame takes 5: what the four buffers hold is old. (On a busy machine it takes
    longer, but what they could hold is at most 5 frames further.)
    """
    check_frames(seen["slow reader"])
    numbers = times_of(seen["slow reader"])
    assert all((b - a) % 256 >= 8 for a, b in itertools.pairwise(numbers)), numbers


def test_an_unplugged_camera_is_lost(seen):
    assert len(seen["unplugged"]["frames"]) <= 2
    assert seen["unplugged"]["error"] == ["SourceLost", "/dev/video0: the camera was unplugged", 3]


def test_fifty_losses_leave_nothing_behind(seen):
    result = seen["lost often"]
    check_frames(result)
    assert [number for number, _, _ in result["frames"]] == list(range(51))
    lost = "camera lost: /dev/video0: the camera was unplugged; waiting"
    times = len(result["said"]) // 2
    assert times >= 50  # on a busy machine a camera may be gone again before its frame is read
    assert result["said"] == [lost, "camera back"] * times
    assert {name: result["leaked"] for name, result in seen.items()} == dict.fromkeys(seen, 0)


@pytest.mark.parametrize(("call", "number"), FAILURES)
def test_what_goes_wrong_is_said(seen, call, number):
    kind, line = FAILURES[call, number]
    assert seen[f"{call} {number}"]["error"] == [kind, f"/dev/video0: {line}", 3]


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("metadata", "DeviceError", "gives no pictures (Shim Camera): its camera may have another number"),
        ("in planes", "DeviceError", "gives pictures in several planes (Shim Camera), which niwaki does not read"),
        ("no streaming", "DeviceError", "cannot stream to memory (Shim Camera): too old a driver"),
        ("pipeline", "DeviceError", "is part of a larger camera (Shim Camera): for a camera on a ribbon cable"),
        ("raw sensor", "DeviceError", "gives only RG10, BA81, which niwaki does not read; for a camera on"),
        ("virtual", "DeviceError", "gives only RGB3, BGR3, which niwaki does not read; for a virtual camera choose"),
        ("nothing", "DeviceError", "gives only no picture at all, which"),
        ("too large", "DeviceError", "gives only GREY, which niwaki does not read"),
        ("one buffer", "SourceLost", "the driver has no memory for frames"),
    ],
)  # fmt: skip
def test_cameras_that_cannot_be_used(seen, name, kind, line):
    given, message, exit_code = seen[name]["error"]
    assert (given, exit_code) == (kind, 3)
    assert message.startswith(f"/dev/video0: {line}")


def test_what_the_driver_is_asked(read_cameras, tmp_path):
    """The size and rate wished for, four shared buffers that all wait for frames, and nothing held after the end."""
    log = tmp_path / "log"
    wish = "v4l2:/dev/video0?width=60&height=50&fps=15"
    read_cameras("newest", {"camera": {"source": wish, "shim": f"{SMALL}buffers=4,log={log}"}})
    assert log.read_text().splitlines() == [
        "open",
        "S_FMT 60x50 YUYV",
        "S_PARM 1/15",
        "REQBUFS 4",
        "STREAMON with 4 queued, 4 mapped",
        "close with 0 mapped",
    ]


@pytest.mark.parametrize(
    ("decoded", "why"),
    [(ValueError("is a damaged JPEG"), "is a damaged JPEG"), ((32, 24, b""), "is 32×24, not 64×48 as agreed")],
)
def test_why_no_frame_came_is_said(decoded, why, monkeypatch):
    """A camera whose every frame the decoder refuses, or that is of another size than agreed."""

    def decode(_data):
        if isinstance(decoded, Exception):
            raise decoded
        return decoded

    class AlwaysReady:
        def poll(self, _milliseconds):
            return [1]

    camera = V4l2Camera.__new__(V4l2Camera)
    camera.name, camera._number, camera._refused = "/dev/video0", 0, ""
    camera._picture, camera._decoder, camera._want = Picture("MJPG", 64, 48, 0, 6144), decode, GREY
    camera._memory, camera._poll = [b"a frame", b"another"], AlwaysReady()
    taken = itertools.cycle([(0, 7), None])
    monkeypatch.setattr(camera, "_take", lambda: next(taken))
    monkeypatch.setattr(camera, "_buffer", lambda *_arguments: ())
    with pytest.raises(SourceLost) as lost:
        camera.read(0.05)
    assert str(lost.value) == f"/dev/video0: no frame for 0.1 s; the last one {why}"
