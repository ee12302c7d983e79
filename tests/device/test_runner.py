"""From the camera to the spoken word, under every Python that boards have."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from device.film import FPS, HEIGHT, WIDTH, Table
from device.foreign import EMULATED, HERE, foreign_python, need
from device.small_bundle import build

DEADLINE_S = 120
SOURCE = f"pipe:-?width={WIDTH}&height={HEIGHT}&fps={FPS}"
PYTHONS = ("3.6", "newest", "arm64", pytest.param("armhf", marks=pytest.mark.soak))


@pytest.fixture(scope="session")
def bundles(garments, bundle_folder, tmp_path_factory):
    """A function: the bundle for a Python's processor."""
    made = {}

    def bundle(python):
        if not python.emulator:
            return bundle_folder
        if python.name not in made:
            need(python.compiler, EMULATED[python.name][4])
            folder, work = tmp_path_factory.mktemp(python.name), tmp_path_factory.mktemp("c")
            made[python.name] = build(garments, folder / "small", work, (python.compiler,))
        return made[python.name]

    return bundle


def wait_for(reached, process, meanwhile=lambda: None):
    """Until then; a runner that ends before has failed."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        meanwhile()
        time.sleep(0.01)


@pytest.mark.parametrize("name", PYTHONS)
def test_the_exact_words(name, bundles, bundle_folder, calls, garments, tmp_path):
    """Empty, a coat with a flicker, a boot, a bag, empty, the bag again: each is spoken once; emptiness is silent."""
    python, table = foreign_python(name), Table()
    bundle = bundles(python)
    coat, boot, bag = (garments.image(word) for word in ("Coat", "Ankle boot", "Bag"))
    film = [  # frames, and how many words must have been spoken before others are sent
        ([*table.empty(25)], 0),
        ([*table.shows(coat, 22), *table.empty(1), *table.shows(coat, 10)], 1),
        ([*table.shows(boot, 1), *table.shows(coat, 20), *table.empty(8)], 1),
        ([*table.shows(boot, 45, -1)], 2),
        ([*table.shows(bag, 45)], 3),
        ([*table.empty(25)], 3),
        ([*table.shows(bag, 25)], 4),
        ([*table.empty(25)], 4),
    ]
    arguments = ("-m", "niwaki_device", "--source", SOURCE, "--audio-device", "null", "--record", tmp_path / "kept")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with python.start(*arguments, packages=[bundle], variables=calls.variables(), **pipes) as process:

        def send(*frames):
            process.stdin.write(b"".join(frame.tobytes() for frame in frames))
            process.stdin.flush()

        for frames, words in film:  # a camera goes on while a word waits for the one before it to end
            send(*frames)
            wait_for(lambda words=words: len(calls.lines) >= words, process, lambda still=frames[-1]: send(still))
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
        assert process.stdout.read().decode().splitlines() == ["coat", "ankle boot", "bag", "bag"]
        assert process.stderr.read().decode() == "niwaki: the empty scene is learned\n"
    assert calls.words == ["en/4", "en/9", "en/8", "en/8"]
    assert all(line.startswith("-q -D null ") for line in calls.lines)
    played = foreign_python("newest").run(
        "-m", "niwaki_device", "--replay", tmp_path / "kept", packages=[bundle_folder]
    )  # fmt: skip
    assert (played.returncode, played.stdout) == (0, "coat\nankle boot\nbag\nbag\n")  # on every processor the same


@pytest.mark.parametrize("name", PYTHONS)
def test_selftest(name, bundles):
    python = foreign_python(name)
    done = python.run(
        "-m", "niwaki_device", "selftest", "--source", "none", "--quiet", "--json", packages=[bundles(python)]
    )
    checks = json.loads(done.stdout)["checks"]
    assert done.returncode == 0, done.stdout
    assert (checks["images"]["equal"], checks["vision"]["equal"]) == (100, 4)
    processors = {"arm64": "aarch64", "armhf": "arm (32 bit)"}
    assert processors.get(name, "x86-64") in checks["board"]["system"]


@pytest.fixture
def rpicam(calls, garments, tmp_path):
    """A function: makes a camera that plays a script of [scene, words, seconds]."""
    folder, table = tmp_path / "scenes", Table()
    folder.mkdir()
    coat, boot, bag = (garments.image(word) for word in ("Coat", "Ankle boot", "Bag"))
    scenes = {
        "empty": table.empty(10), "coat": table.shows(coat, 10), "boot": table.shows(boot, 10, -1),
        "bag": table.shows(bag, 10), "flicker": [*table.shows(coat, 9), *table.empty(1)],
    }  # fmt: skip
    for name, frames in scenes.items():
        chroma = np.full(WIDTH * HEIGHT // 2, 128, np.uint8).tobytes()
        (folder / f"{name}.raw").write_bytes(b"".join(frame.tobytes() + chroma for frame in frames))
    program = calls.programs / "rpicam-vid"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E -s {HERE}/fake_rpicam.py "$@"\n')
    program.chmod(0o755)

    def write(script):
        (folder / "script.json").write_text(json.dumps(script))
        (folder / "at").write_text("0")
        return folder

    return write


def test_a_camera_that_is_unplugged_and_comes_back(rpicam, bundle_folder, calls):
    """In real time, on the oldest Python; the program of the camera dies and is started again."""
    python = foreign_python("3.6")
    scenes = rpicam([
        ["empty", 0, 1.0], ["coat", 1, 0.3], ["flicker", 1, 0.8], ["boot", 2, 0.2], ["unplugged", 0, 0],
        ["boot", 2, 0.9], ["bag", 3, 0.2], ["empty", 3, 0.7],
    ])  # fmt: skip
    arguments = ("-m", "niwaki_device", "--source", f"rpicam:0?width={WIDTH}&height={HEIGHT}", "--speak", "ko")
    variables = {**calls.variables(), "NIWAKI_SCENES": str(scenes)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with python.start(*arguments, packages=[bundle_folder], variables=variables, **pipes) as process:
        wait_for((scenes / "done").exists, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 143
        assert process.stdout.read().decode().splitlines() == ["코트", "앵클 부츠", "가방"]
        learned, lost, back = process.stderr.read().decode().splitlines()
    assert learned == "niwaki: the empty scene is learned"
    assert lost.startswith("niwaki: camera lost: rpicam:0")
    assert lost.endswith("camera unplugged ***; waiting")
    assert back == "niwaki: camera back"
    assert calls.words == ["ko/4", "ko/9", "ko/8"]


def test_a_camera_that_is_unplugged_ends_a_runner_that_does_not_wait(rpicam, bundle_folder, calls):
    scenes = rpicam([["empty", 0, 0.3], ["unplugged", 0, 0]])
    arguments = ("-m", "niwaki_device", "--source", f"rpicam:0?width={WIDTH}&height={HEIGHT}", "--once", "--learn", "3")
    variables = {**calls.variables(), "NIWAKI_SCENES": str(scenes)}
    done = foreign_python("newest").run(*arguments, packages=[bundle_folder], variables=variables)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1].startswith("niwaki: rpicam:0")
    assert "camera unplugged" in done.stderr
