"""The command line: what it refuses, in one line and with a defined code; how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from device.film import FPS, HEIGHT, WIDTH, Table, y4m
from device.small_bundle import redescribe, rewrite
from niwaki.data import class_names
from niwaki.device import main as runner
from niwaki.device.bundle import LANGUAGES
from niwaki.device.errors import DeviceError
from niwaki.device.options import parse
from niwaki.device.record import sealed, unsealed


@pytest.fixture
def film(tmp_path, garments):
    table = Table()
    path = tmp_path / "film.y4m"
    path.write_bytes(y4m([*table.empty(20), *table.shows(garments.image("Coat"), 40)]))
    return f"file:{path}"


@pytest.fixture
def one_line(run_runner):
    """A function: the only line of a runner that refuses, and its exit code."""

    def run(*arguments, **keywords):
        done = run_runner(*arguments, **keywords)
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        return line, done.returncode

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sorce", "x"], "unrecognized arguments: --sorce: see --help"),
        (["--frames", "many"], "argument --frames: 'many' is not a whole number from 1: see --help"),
        (["--learn", "0"], "argument --learn: '0' is not a whole number from 1: see --help"),
        (["--learn", "3", "--no-learn"], "argument --no-learn: not allowed with argument --learn: see --help"),
        (["look"], "command 'look' is unknown: expected watch or selftest: see --help"),
        (["--token", "a" * 16], "--token without --serve: nothing is served: add --serve"),
        (["--replay", "x", "--source", "y"], "--replay with --source: a recording has its own frames: leave out one"),
        (["--replay", "x", "--record", "y"], "--replay with --record: a recording has its own frames: leave out one"),
        (["--replay", "x", "--serve"], "--replay with --serve: a recording has its own frames: leave out one of them"),
        (["--replay", "x", "--no-learn"], "--replay with --no-learn: a recording has its own frames: leave out one"),
        (["--replay", "x", "--audio-device", "d"], "--replay with --audio-device: a replay speaks no words: leave it"),
        (["--host", "::"], "--host without --serve: nothing is served: add --serve"),
        (["--port", "0"], "--port without --serve: nothing is served: add --serve"),
        (["--record-limit", "9"], "--record-limit without --record: nothing is recorded: add --record DIR"),
        (["--quiet", "--audio-device", "d"], "--audio-device with --quiet: no word is spoken: leave out one of them"),
        (["selftest", "--learn", "15"], "--learn with selftest: only watch takes it: leave it out"),
        (["selftest", "--serve", "--port", "1"], "--serve with selftest: only watch takes it: leave it out"),
        (["selftest", "--record-limit", "1"], "--record-limit with selftest: only watch takes it: leave it out"),
    ],
)
def test_options_that_are_refused(arguments, message):
    with pytest.raises(DeviceError) as caught:
        parse(arguments)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


def test_defaults():
    options = parse([])
    assert (options.command, options.learn, options.host, options.record_limit) == ("watch", None, "127.0.0.1", 1000)
    assert parse(["--no-learn"]).learn == 0
    assert parse(["--serve", "--port", "0"]).port == 0


def test_languages_that_can_be_built():
    assert LANGUAGES == class_names.LANGUAGES


def test_errors_are_one_line(one_line, film, tmp_path, changed_bundle):
    assert one_line("--frames", "-1") == (
        "niwaki: argument --frames: '-1' is not a whole number from 1: see --help", 2,
    )  # fmt: skip
    assert one_line("--speak", "fr", "--source", film) == (
        "niwaki: --speak fr: this bundle speaks en, ko: choose one of these", 2,
    )  # fmt: skip
    redescribe(changed_bundle, lambda description: description.update(languages=["en"]))
    assert one_line("--speak", "ko", "--source", film, bundle=changed_bundle)[0].endswith(
        "this bundle speaks en: choose one of these, or build it with niwaki bundle --lang en,ko"
    )
    line, code = one_line("--source", "camera:0")
    assert line.startswith("niwaki: source camera:0: kind 'camera' is unknown: niwaki reads v4l2:/dev/video0, csi:0")
    assert code == 2
    line, code = one_line("--bundle", tmp_path)
    assert re.match(r"niwaki: .*manifest.json: No such file or directory: not a whole bundle: copy the bundle", line)
    assert code == 2


def test_no_camera(one_line):
    line, code = one_line("--source", "v4l2:/dev/video99", "--once")
    assert "/dev/video99" in line
    assert code == 3


@pytest.mark.parametrize("damage", ["library", "sound", "format"])
def test_a_wrong_bundle(one_line, film, changed_bundle, damage):
    if damage == "format":
        redescribe(changed_bundle, lambda description: description.update(format=2))
        line, code = one_line("--source", film, bundle=changed_bundle)
        assert line.endswith("bundle.json: format 2: this runner reads 1: start it with the bundle's own start script")
    else:
        name = "libniwaki.so" if damage == "library" else "sounds/ko/9.wav"
        data = bytearray((changed_bundle / name).read_bytes())
        data[-1] ^= 1
        (changed_bundle / name).write_bytes(data)
        line, code = one_line("--source", film, bundle=changed_bundle)
        assert f"{name}: is not as it was built (SHA-256): copy the bundle here again, or build it again" in line
    assert code == 2


def test_a_bundle_for_another_board(one_line, film, changed_bundle):
    data = bytearray((changed_bundle / "libniwaki.so").read_bytes())
    data[18:20] = (40).to_bytes(2, "little")  # e_machine: EM_ARM
    rewrite(changed_bundle, "libniwaki.so", bytes(data))
    line, code = one_line("--source", film, bundle=changed_bundle)
    assert "libniwaki.so: is for arm (32 bit), this Python is for x86-64: build the bundle with another" in line
    assert code == 5


def test_a_film_ends_well_and_its_last_word_is_heard(run_runner, calls, film):
    done = run_runner("--source", film, "--speak", "ko", variables={"LC_ALL": "C", "NIWAKI_APLAY_SECONDS": "0.3"})
    assert (done.returncode, done.stdout) == (0, "코트\n")
    assert calls.words == ["ko/4"]
    assert done.stderr == "niwaki: the empty scene is learned\n"


def test_no_sound_device_stops_nothing(run_runner, calls, film):
    done = run_runner("--source", film, variables={"NIWAKI_APLAY_FAILS": "1"})
    assert (done.returncode, done.stdout) == (0, "coat\n")
    assert done.stderr.splitlines()[1:] == [
        "niwaki: no sound: aplay: audio open error: choose a device of aplay -L with --audio-device; printing the "
        "words instead (--quiet silences this)"
    ]


def test_frames_limit_and_json(run_runner, film):
    done = run_runner("--source", film, "--json", "--frames", "55", "--quiet")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["learned", "word"]
    assert (done.returncode, done.stderr) == (0, "")
    assert run_runner("--source", film, "--frames", "25", "--quiet").stdout == ""


def test_record_and_replay(run_runner, film, tmp_path, calls):
    kept = tmp_path / "kept"
    assert run_runner("--source", film, "--record", kept, "--quiet").stdout == "coat\n"
    done = run_runner("--replay", kept)
    assert (done.returncode, done.stdout) == (0, "coat\n")
    assert done.stderr == "niwaki: 45 frames, every decision as it was recorded\n"
    assert calls.lines == []
    part = kept / "part-000001.jsonl"
    lines = [unsealed(line) for line in part.read_bytes().splitlines(keepends=True)]
    for line in lines:
        line.update(reason="spoken" if line.get("reason") == "speak" else line.get("reason"))
    part.write_bytes(b"".join(map(sealed, lines)))
    done = run_runner("--replay", kept)
    assert done.returncode == 1
    assert re.fullmatch(
        r'niwaki: the replay differs: .*part-000001.jsonl: frame 38 at 1.267 s: reason was "spoken", is "speak"\n',
        done.stderr,
    )
    done = run_runner("--replay", kept, "--json")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["word", "different"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_children_too(start_runner, calls, garments, number, code):
    """While a word is spoken and the next frame is waited for."""
    table = Table()
    frames = [*table.empty(20), *table.shows(garments.image("Coat"), 40)]
    source = f"pipe:-?width={WIDTH}&height={HEIGHT}"
    variables = {"NIWAKI_APLAY_SECONDS": "60"}
    with start_runner("--source", source, stdin=subprocess.PIPE, variables=variables) as process:
        process.stdin.buffer.write(b"".join(frame.tobytes() for frame in frames))
        process.stdin.buffer.flush()
        assert process.stdout.readline() == "coat\n"
        child = _child_of(process.pid)
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stdout.read() == ""
        assert process.stderr.read() == "niwaki: the empty scene is learned\n"
    assert not Path(f"/proc/{child}").exists()


def _child_of(pid):
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return child


def test_a_signal_ends_the_wait_for_a_camera(start_runner):
    with start_runner("--source", "v4l2:/dev/video99") as process:
        line = process.stderr.readline()
        assert line.startswith("niwaki: camera lost: ")
        assert line.endswith("; waiting\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert process.stderr.read() == ""


def test_whoever_reads_the_words_may_leave(start_runner, film):
    with start_runner("--source", film, "--quiet") as process:
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == "niwaki: the empty scene is learned\n"


def test_the_view_is_served(start_runner, garments):
    table = Table()
    source = f"pipe:-?width={WIDTH}&height={HEIGHT}&fps={FPS}"
    arguments = ("--source", source, "--serve", "--port", "0", "--quiet")
    with start_runner(*arguments, stdin=subprocess.PIPE) as process:
        url = process.stderr.readline().split("live view: ")[1].strip()
        process.stdin.buffer.write(b"".join(frame.tobytes() for frame in table.empty(20)))
        process.stdin.buffer.flush()
        request = urllib.request.Request(f"{url}frame?after=0&seat=a", headers={"X-Niwaki": "1"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
            assert len(answer.read()) > WIDTH * HEIGHT
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143


def test_a_view_for_others_has_a_token(start_runner):
    arguments = ("--source", "v4l2:/dev/video99", "--serve", "--port", "0", "--host", "0.0.0.0", "--json")
    with start_runner(*arguments) as process:
        serving = json.loads(process.stdout.readline())
        assert re.search(r"\?token=[\w-]{32}$", serving["url"])
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_ctrl_c_while_it_is_loaded(bundle_folder):
    program = (
        "import os, runpy, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'niwaki_device.main': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "runpy.run_module('niwaki_device', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program], cwd=bundle_folder, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_python_that_is_too_old_says_so(bundle_folder):
    program = "import runpy, sys; sys.version_info = (3, 5, 2); runpy.run_module('niwaki_device', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=bundle_folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "niwaki: Python 3.5 is too old: start it with 3.6 or newer: PYTHON=python3.6 ./start\n"


def test_nothing_is_left_open(bundle_folder, film, calls, tmp_path):
    """Python's own watch over files, sockets and threads, every warning an error."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-B", "-m", "niwaki_device", "--source", film]
    options = ["--record", str(tmp_path / "kept"), "--serve", "--port", "0"]
    env = {**os.environ, **calls.variables(), "PYTHONPATH": str(bundle_folder)}
    done = subprocess.run([*command, *options], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "coat\n")
    served, learned = done.stderr.splitlines()
    assert served.startswith("niwaki: live view: http://127.0.0.1:")
    assert learned == "niwaki: the empty scene is learned"


def test_inside_another_program(bundle_folder, film, capsys, monkeypatch):
    """`niwaki watch` calls it so; the handlers of signals are as before afterwards."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert runner.main(["--bundle", str(bundle_folder), "--source", film, "--quiet"], prog="niwaki watch") == 0
    assert capsys.readouterr().out == "coat\n"
    assert runner.main(["--bundle", "none"], prog="niwaki watch") == 2
    assert capsys.readouterr().err.startswith("niwaki watch: ")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert sys.stdout.encoding.lower() == "utf-8"
