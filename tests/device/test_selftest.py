"""The self-test on one screen: each check can fail, and says why."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from device.film import Table, y4m
from device.small_bundle import redescribe, rewrite
from niwaki.device import speech
from niwaki.device.selftest import Selftest
from niwaki.device.stopping import Stopping

CHECKS = ["board", "files", "library", "images", "vision", "camera", "sound", "memory"]


@pytest.fixture
def camera(tmp_path):
    path = tmp_path / "film.y4m"
    path.write_bytes(y4m(Table().empty(10)))
    return f"file:{path}"


@pytest.fixture
def check(run_runner):
    """A function: runs the self-test and returns exit code and {check: (outcome, text)}."""

    def run(*arguments, **keywords):
        done = run_runner("selftest", *arguments, **keywords)
        lines = done.stdout.splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        assert "Traceback" not in done.stderr
        found = {}
        for line in lines[1:-1]:
            name, outcome, text = line[:8].strip(), line[9:17].strip(), line[18:]
            if name:
                found[name] = (outcome, text)
                last = name
            else:
                found[last] = (found[last][0], f"{found[last][1]} {text}")
        assert list(found) == CHECKS
        return done.returncode, found, lines[-1]

    return run


def test_all_well(check, camera, calls, bundle):
    code, found, verdict = check("--source", camera, "--speak", "ko", "--audio-device", "plughw:0")
    assert (code, verdict) == (0, "all well")
    assert {outcome for outcome, _ in found.values()} == {"ok"}
    assert found["files"][1] == f"{len(bundle.files)} files are as they were built"
    assert found["images"][1].startswith("100 of 100 equal to the bit; one takes ")
    assert found["vision"][1].startswith("4 of 4 frames equal to the bit; 640x480 takes ")
    assert found["camera"][1].endswith("192x128, 30.0 frames/s")
    assert found["sound"][1] == "played '티셔츠': did you hear it?"
    assert calls.lines == [f"-q -D plughw:0 {bundle.folder}/sounds/ko/0.wav"]


def test_as_json(run_runner, camera):
    done = run_runner("selftest", "--source", camera, "--quiet", "--json")
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["ok"], list(facts["checks"])) == (0, True, CHECKS)
    assert facts["checks"]["sound"] == {"outcome": "skipped", "text": "--quiet"}
    assert facts["checks"]["images"]["equal"] == facts["checks"]["images"]["images"] == 100
    assert facts["checks"]["vision"]["vision_size"] == [640, 480]
    for name, key in (("images", "inference_us"), ("vision", "vision_us"), ("memory", "rss_kib")):
        assert facts["checks"][name][key] > 0


def test_what_is_left_out(check):
    code, found, verdict = check("--source", "none", "--quiet")
    assert (code, verdict) == (0, "all well")
    assert found["camera"] == ("skipped", "--source none")
    assert found["sound"] == ("skipped", "--quiet")


def test_no_camera(check, tmp_path):
    code, found, verdict = check("--source", "v4l2:/dev/video99", "--quiet")
    assert (code, verdict) == (1, "FAILED: camera")
    assert found["camera"][0] == "FAILED"
    assert "/dev/video99" in found["camera"][1]
    (tmp_path / "empty.y4m").write_bytes(y4m([]))
    code, found, _ = check("--source", f"file:{tmp_path}/empty.y4m", "--quiet")
    assert (code, found["camera"][0]) == (1, "FAILED")
    assert found["camera"][1].endswith("gives no frames")


def test_a_signal_ends_it(start_runner):
    with start_runner("selftest", "--source", "pipe:-?width=64&height=48", "--quiet", stdin=subprocess.PIPE) as process:
        process.stdin.buffer.write(bytes(64 * 48))
        process.stdin.buffer.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)  # for the next frame
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stdout.read() == process.stderr.read() == ""


def test_no_sound(check):
    code, found, verdict = check("--source", "none", variables={"NIWAKI_APLAY_FAILS": "1"})
    assert (code, verdict) == (1, "FAILED: sound")
    assert found["sound"][1] == "aplay: audio open error: choose a device of aplay -L with --audio-device"


def test_a_player_that_hangs(bundle, calls, monkeypatch):
    for name, value in calls.variables(NIWAKI_APLAY_SECONDS="60").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(speech, "LONGEST_WORD_S", 0.2)
    results = Selftest(bundle, Stopping(), source="none", language="en", device=None, quiet=False).run()
    found = {result.name: (result.outcome, result.text) for result in results}
    assert found["sound"] == (
        "FAILED", "aplay did not end in 10 s: choose a device of aplay -L with --audio-device",
    )  # fmt: skip
    assert calls.words == ["en/0"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_player_too(start_runner, calls, number, code):
    with start_runner("selftest", "--source", "none", variables={"NIWAKI_APLAY_SECONDS": "60"}) as process:
        deadline = time.monotonic() + 60
        while not calls.lines:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stdout.read() == process.stderr.read() == ""
    assert not Path(f"/proc/{child}").exists()


def test_a_folder_with_a_question_mark(check, changed_bundle, calls):
    folder = changed_bundle.rename(changed_bundle.with_name("what?is=this"))
    code, found, _ = check("--source", f"file:{folder}/selftest/frames.y4m", bundle=folder)
    assert (code, found["vision"][0], found["camera"][0]) == (0, "ok", "ok")


def test_a_bundle_without_sound_on_a_board_without_voice(check, changed_bundle, calls):
    (calls.programs / "aplay").unlink()
    redescribe(changed_bundle, lambda description: description.update(sound=False))
    code, found, _ = check("--source", "none", bundle=changed_bundle, variables={"PATH": str(calls.programs)})
    assert (code, found["sound"][0]) == (0, "skipped")
    assert "there is no espeak-ng" in found["sound"][1]


@pytest.mark.parametrize(
    ("name", "check_name", "text"),
    [
        ("selftest/scores.bin", "images", "99 of 100 equal to the bit"),
        ("selftest/pictures.bin", "vision", "3 of 4 frames equal to the bit"),
    ],
)
def test_another_result(check, changed_bundle, name, check_name, text):
    data = bytearray((changed_bundle / name).read_bytes())
    data[0] ^= 1
    rewrite(changed_bundle, name, bytes(data))
    code, found, verdict = check("--source", "none", "--quiet", bundle=changed_bundle)
    assert (code, verdict) == (1, f"FAILED: {check_name}")
    assert found[check_name][0] == "FAILED"
    assert found[check_name][1].startswith(text)


def test_a_changed_byte_in_the_library(check, changed_bundle):
    path = changed_bundle / "libniwaki.so"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    code, found, verdict = check("--source", "none", "--quiet", bundle=changed_bundle)
    assert (code, verdict) == (1, "FAILED: files, library")
    assert found["library"][1].startswith("libniwaki.so: is not as it was built (SHA-256): copy the bundle here")
    assert found["images"] == found["vision"] == ("skipped", "the library is not loaded")


def test_files_of_the_selftest_that_are_missing(check, changed_bundle):
    shutil.rmtree(changed_bundle / "selftest")
    code, found, verdict = check("--source", "none", "--quiet", bundle=changed_bundle)
    assert (code, verdict) == (1, "FAILED: files, images, vision")
    assert found["library"][0] == "ok"
