"""Cameras behind their maker's program: the command line, and a real child that follows it."""

import itertools
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from device.foreign import NATIVE
from niwaki.device.errors import DeviceError
from niwaki.device.sources import Patient, SourceLost, cameras, child, open_source
from niwaki.device.sources.spec import Spec

FAKE = Path(__file__).parent / "fake_camera.py"
SPECS = {"csi:0": "gst-launch-1.0", "rpicam:0": "rpicam-vid"}


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A function that puts the fake camera on the PATH, which holds nothing else, under some names."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(*names, script=None, **behaviour):
        monkeypatch.setenv("FAKE_CAMERA", json.dumps(behaviour))
        for name in names:
            program = folder / name
            program.write_text(script or f"#!{sys.executable} -IS\n{FAKE.read_text()}")
            program.chmod(0o755)

    (folder / "sleep").symlink_to(shutil.which("sleep", path="/usr/bin:/bin"))
    return put


def read_all(opened):
    while opened.read(20.0):
        pass


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_csi_command_line():
    recipe = cameras.csi(Spec("csi:1?width=320&height=180&fps=60"))
    assert recipe.command(9) == [
        "gst-launch-1.0", "-q", "nvarguscamerasrc", "sensor-id=1",
        "!", "video/x-raw(memory:NVMM),width=1280,height=720,framerate=60/1,format=NV12",
        "!", "nvvidconv", "!", "video/x-raw,format=GRAY8,width=320,height=180",
        "!", "fdsink", "fd=9", "sync=false",
    ]  # fmt: skip
    assert (recipe.width, recipe.height, recipe.frame_bytes) == (320, 180, 57600)
    assert (cameras.csi(Spec("csi:")).width, cameras.csi(Spec("csi:?width=320")).height) == (640, 180)


def test_rpicam_command_line(programs):
    words = [
        "--camera",
        "0",
        "--nopreview",
        "--timeout",
        "0",
        "--codec",
        "yuv420",
        "--flush",
        "--width",
        "640",
        "--height",
        "480",
        "--framerate",
        "30",
        "--output",
        "/dev/fd/7",
    ]
    recipe = cameras.rpicam(Spec("rpicam:0"))
    assert recipe.command(7) == ["rpicam-vid", *words]
    assert (recipe.width, recipe.height, recipe.frame_bytes) == (640, 480, 460800)
    programs("libcamera-vid")
    assert cameras.rpicam(Spec("rpicam:0")).command(7) == ["libcamera-vid", *words]


def test_ffmpeg_command_line():
    recipe = cameras.ffmpeg("/dev/video2", (800, 600), 15)
    words = (
        "ffmpeg -nostdin -loglevel error -fflags nobuffer -f v4l2 -input_format mjpeg -video_size 800x600 "
        "-framerate 15 -i /dev/video2 -s 800x600 -pix_fmt gray -f rawvideo pipe:5"
    )
    assert recipe.command(5) == words.split()
    assert (recipe.width, recipe.height, recipe.frame_bytes) == (800, 600, 480000)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("csi:0?width=640&height=480", "640×480: pictures are 16:9 with a width of 32, 64, 96, …, such as 640×360"),
        ("csi:0?width=400", "400×225: pictures are 16:9 with a width of 32, 64, 96, …, such as 640×360"),
        ("csi:front", "'front' is not a camera's number, such as 0"),
        ("rpicam:0?width=800&height=600", "800×600: width must be 64, 128, 192, …, height even"),
        ("rpicam:0?height=481", "640×481: width must be 64, 128, 192, …, height even"),
        ("rpicam:0?size=1", "option 'size' is unknown: it takes fps, height, width"),
    ],
)
def test_wishes_that_cannot_be_met(spec, line):
    with pytest.raises(DeviceError, match="source") as caught:
        open_source(spec)
    assert (str(caught.value), caught.value.exit_code) == (f"source {spec}: {line}", 2)


@pytest.mark.parametrize("spec", SPECS)
def test_frames_of_a_child(programs, spec):
    """Whole frames, in spite of messages on standard output and error; the luminance plane only."""
    programs(SPECS[spec])
    with open_source(spec) as opened:
        frames = [opened.read(20.0) for _ in range(5)]
        assert (opened.name, opened.live) == (spec, True)
    assert [frame.pixels for frame in frames] == [
        bytes([frame.number % 256]) * (opened.width * opened.height) for frame in frames
    ]
    assert all(a.number < b.number and a.time_s < b.time_s for a, b in itertools.pairwise(frames))


def test_a_slow_reader_gets_the_newest_frame(programs):
    programs("rpicam-vid", frames=40)
    with open_source("rpicam:0?width=64&height=64") as opened:
        opened.read(20.0)
        opened._threads[0].join(20.0)
        assert opened.read(20.0).number == 39
        with pytest.raises(SourceLost):
            opened.read(20.0)


@pytest.mark.parametrize(
    ("behaviour", "line"),
    [
        ({"status": 1, "words": "ERROR: No cameras available!\nExiting"},
         "rpicam-vid ended (exit status 1): ERROR: No cameras available!"),
        ({"status": -signal.SIGSEGV}, "rpicam-vid ended (signal 11): [0:10:11.1] INFO Camera: a word on stderr"),
        ({"part": 100}, "rpicam-vid ended (exit status 0): [0:10:11.1] INFO Camera: a word on stderr"),
    ],
)  # fmt: skip
def test_sudden_death(programs, behaviour, line):
    programs("rpicam-vid", frames=2, **behaviour)
    with open_source("rpicam:0") as opened, pytest.raises(SourceLost) as caught:
        read_all(opened)
    assert str(caught.value) == f"rpicam:0: {line}"


def test_death_without_a_word_and_silence(programs, monkeypatch):
    programs("rpicam-vid", script="#!/bin/sh\nexit 3\n")
    with open_source("rpicam:0") as opened:
        for _ in range(2):
            with pytest.raises(SourceLost, match=r"^rpicam:0: rpicam-vid ended \(exit status 3\): it gave no reason$"):
                opened.read(20.0)
    programs("rpicam-vid", script="#!/bin/sh\nexec sleep 1000\n")
    monkeypatch.setattr(child, "START_S", 0.1)
    with open_source("rpicam:0") as opened, pytest.raises(SourceLost, match=r"^rpicam:0: no frame for 0.1 s$"):
        opened.read(0.05)


def test_the_first_frame_may_take_longer(programs):
    programs("rpicam-vid", first_s=0.3)
    with open_source("rpicam:0") as opened:
        assert opened.read(0.001).number >= 0


def test_a_program_of_another_processor(programs):
    programs("rpicam-vid", script="no program")
    line = "rpicam:0: rpicam-vid cannot be started: Exec format error"
    with pytest.raises(DeviceError, match=f"^{line}$") as caught:
        open_source("rpicam:0")
    assert caught.value.exit_code == 3


def alive(pid):
    """Neither gone nor a zombie that nobody waited for."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def alive_in(group):
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = entry.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(after_name[2]) == group and alive(entry.parent.name):
            yield entry.parent.name


@pytest.mark.parametrize("behaviour", [{}, {"stubborn": True}, {"grandchild": True}])
def test_closing_ends_the_child_and_what_it_started(programs, monkeypatch, behaviour):
    monkeypatch.setattr(child, "END_S", 1.0)
    programs("rpicam-vid", **behaviour)
    opened = open_source("rpicam:0")
    opened.read(20.0)
    group = opened._process.pid
    opened.close()
    opened.close()
    assert not Path(f"/proc/{group}").exists()
    assert not any(thread.is_alive() for thread in opened._threads)
    deadline = time.monotonic() + 20.0
    while list(alive_in(group)):  # they were all told; on a busy machine the last one takes a moment
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("csi:0", "csi:0: needs gst-launch-1.0: csi: is for NVIDIA Jetson, whose system brings it; "
                  "sudo apt-get install gstreamer1.0-tools"),
        ("rpicam:0", "rpicam:0: needs rpicam-vid: rpicam: is for Raspberry Pi; sudo apt-get install rpicam-apps"),
    ],
)  # fmt: skip
def test_a_missing_program_is_named(programs, spec, line):
    before = descriptors()
    with pytest.raises(DeviceError) as caught:
        open_source(spec)
    assert (str(caught.value), caught.value.exit_code) == (line, 3)
    assert not isinstance(caught.value, SourceLost)
    assert descriptors() == before


class EnoughError(Exception):
    """Raised by the test's pause."""


def test_fifty_deaths_leave_nothing_behind(programs):
    programs("gst-launch-1.0", script="#!/bin/sh\necho 'ERROR: Device 0 is busy' >&2\nexit 1\n")
    waits, said = [], []

    def pause(seconds):
        waits.append(seconds)
        if len(waits) == 50:
            raise EnoughError

    before = descriptors()
    with pytest.raises(EnoughError):
        Patient("csi:0", said.append, pause)
    assert said == ["camera lost: csi:0: gst-launch-1.0 ended (exit status 1): ERROR: Device 0 is busy; waiting"]
    assert waits == [0.25, 0.5, 1.0, 2.0] + [4.0] * 46
    assert descriptors() == before


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("spec", SPECS)
def test_in_every_python(programs, package, read_cameras, name, spec):
    """The oldest and the newest; the children of emulated ones run on the machine itself."""
    wanted = {"source": spec + "?width=320", "frames": 4, "patient": True}
    programs(SPECS[spec], frames=2)
    result = read_cameras(name, {"camera": wanted}, preload=False)["camera"]
    assert (result["error"], result["leaked"]) == (None, 0)
    assert len(result["frames"]) == 4
    assert result["said"][1::2] == ["camera back"] * (len(result["said"]) // 2)
    assert result["said"][0].startswith(f"camera lost: {wanted['source']}: {SPECS[spec]} ended (exit status 0): ")
