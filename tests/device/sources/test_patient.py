"""The runner waits for a lost or absent camera and resumes; what cannot come by itself is an error at once."""

import itertools
import os
import signal
import subprocess

import pytest

from device.foreign import NATIVE, foreign_python
from niwaki.device.errors import DeviceError
from niwaki.device.sources import Patient, SourceLost, open_source, patient
from niwaki.device.sources.source import Frame, Source

FILM = b"YUV4MPEG2 W4 H2 F25:1 Cmono\n" + b"FRAME\nabcdefgh" + b"FRAME\nABCDEFGH"


class Scripted(Source):
    """A camera that follows a script: frames, and errors raised."""

    live = True

    def __init__(self, script, size=(4, 2)):
        self.width, self.height = size
        self.script, self.number, self.closed = list(script), itertools.count(), False

    def read(self, timeout_s):  # noqa: ARG002
        step = self.script.pop(0)
        if isinstance(step, BaseException):
            raise step
        return Frame(step, next(self.number), 0.0)

    def close(self):
        self.closed = True


class Cameras:
    """An opener that gives one scripted camera after another, or raises; it remembers what happened, in order."""

    def __init__(self, *openings):
        self.openings, self.opened, self.said = list(openings), [], []

    def __call__(self, text):  # noqa: ARG002
        opening = self.openings.pop(0)
        if isinstance(opening, Exception):
            raise opening
        self.opened.append(opening)
        return opening

    def patient(self):
        return Patient("cam:0", self.said.append, self.said.append, self)


def test_lost_and_back():
    cameras = Cameras(
        Scripted([b"0", b"1", SourceLost("cam:0: unplugged")]),
        SourceLost("cam:0: no such camera"),
        Scripted([SourceLost("cam:0: no frame for 10.0 s")]),
        DeviceError(
            "cam:0: no permission to use the camera", 3
        ),  # the system sets rights a moment after the node is there
        Scripted([b"2", SourceLost("cam:0: again"), b"never"]),
        Scripted([b"3"]),
    )
    with cameras.patient() as source:
        assert (source.name, source.width, source.height, source.live) == ("cam:0", 4, 2, True)
        frames = [source.read(1.0) for _ in range(4)]
    assert [(frame.pixels, frame.number) for frame in frames] == [(b"0", 0), (b"1", 1), (b"2", 2), (b"3", 3)]
    assert cameras.said == [
        "camera lost: cam:0: unplugged; waiting", 0.25, 0.5, 1.0, 2.0, "camera back",
        "camera lost: cam:0: again; waiting", 0.25, "camera back",
    ]  # fmt: skip
    assert [camera.closed for camera in cameras.opened] == [True] * 4


def test_absent_at_first_is_waited_for_without_end_of_patience():
    cameras = Cameras(*[SourceLost("cam:0: none")] * 8, Scripted([b"0"]))
    with cameras.patient() as source:
        assert source.read(1.0) == (b"0", 0, 0.0)
    assert cameras.said == ["camera lost: cam:0: none; waiting", 0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, "camera back"]


@pytest.mark.parametrize("exit_code", [2, 3])
def test_what_waiting_does_not_mend_is_an_error_at_first(exit_code):
    cameras = Cameras(DeviceError("cam:0: is not a camera", exit_code))
    with pytest.raises(DeviceError, match="cam:0: is not a camera"):
        cameras.patient()
    assert cameras.said == []


def test_another_camera_of_another_size():
    cameras = Cameras(Scripted([b"0", SourceLost("gone")]), Scripted([b"1"], size=(8, 2)))
    source = cameras.patient()
    source.read(1.0)
    assert (source.width, source.height) == (4, 2)
    assert source.read(1.0).pixels == b"1"
    assert (source.width, source.height) == (8, 2)


def test_a_start_that_is_interrupted_leaves_no_camera_open():
    camera = Scripted([KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        Cameras(camera).patient()
    assert camera.closed


def test_a_film_is_read_to_its_end(tmp_path):
    (tmp_path / "a.y4m").write_bytes(FILM)
    with patient(f"file:{tmp_path / 'a.y4m'}") as source:
        assert (source.width, source.height, source.live) == (4, 2, False)
        assert [source.read(1.0), source.read(1.0), source.read(1.0)] == [
            (b"abcdefgh", 0, 0.0),
            (b"ABCDEFGH", 1, 0.04),
            None,
        ]


def test_once_raises_where_patience_waits():
    absent = "v4l2:/dev/no-such-camera"
    for openly in (open_source, lambda text: patient(text, once=True)):
        with pytest.raises(SourceLost, match="/dev/no-such-camera: no such camera; to list cameras: ls /dev/video"):
            openly(absent)


WAITING = """
import sys
from niwaki_device.sources import open_source, patient
patient_module = sys.modules["niwaki_device.sources.patient"]
patient_module.FIRST_WAIT_S = patient_module.LONGEST_WAIT_S = 1000.0
def say(line):
    print(line, flush=True)
try:
    source = patient(sys.argv[1], say)
    source.read(1000.0)
    say("silence")
    source.read(1000.0)
except KeyboardInterrupt:
    source = None if "source" not in globals() else source.close()
    say("interrupted")
"""


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("place", ["between attempts", "for a frame", "for a child", "for a pipe"])
def test_ctrl_c_ends_every_waiting_at_once(package, shim, tmp_path, name, place):
    """The waits are of 1,000 seconds: a test that ends shows it."""
    child = tmp_path / "rpicam-vid"
    child.write_text("#!/bin/sh\nhead -c 6144 /dev/zero >$(echo $* | grep -o '/dev/fd/.*')\nexec sleep 1000\n")
    child.chmod(0o755)
    text, variables, told = {
        "between attempts": ("v4l2:/dev/no-such-camera", {}, b"camera lost: "),
        "for a frame": ("v4l2:", {"V4L2_SHIM": "freeze=1"}, b"silence"),
        "for a child": ("rpicam:0?width=64&height=64", {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, b"silence"),
        "for a pipe": ("pipe:-?width=4&height=4", {}, b"silence"),
    }[place]
    library = shim(name) if place == "for a frame" else None
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = foreign_python(name).start(
        "-c", WAITING, text, packages=[package], preload=library, variables=variables, **pipes
    )
    with process:
        if place == "for a pipe":
            process.stdin.write(bytes(16))
            process.stdin.flush()
        assert process.stdout.readline().startswith(told)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"interrupted\n"
        assert process.wait(60) == 0
