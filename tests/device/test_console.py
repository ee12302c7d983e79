"""Names that are not text, streams that are closed or full: no traceback, and a defined exit code."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from device.film import Table, y4m
from device.foreign import NATIVE, foreign_python
from niwaki.device import console

NAMES = {"Korean": "비디오".encode(), "no text": b"\xff"}
FULL = Path("/dev/full")


@pytest.fixture
def film(tmp_path, garments):
    path = tmp_path / "film.y4m"
    table = Table()
    path.write_bytes(y4m([*table.empty(20), *table.shows(garments.image("Coat"), 40)]))
    return path


@pytest.fixture
def start(bundle_folder, calls):
    """A function: a runner in a bare locale, with its streams as a shell would leave them."""

    def started(python, *arguments, encoding=None, **streams):
        env = {**calls.variables(), "LC_ALL": "C", "PYTHONPATH": str(bundle_folder)}
        if encoding is not None:
            env["PYTHONIOENCODING"] = encoding
        command = [*python.command, "-S", "-s", "-B", "-m", "niwaki_device", *arguments]
        return subprocess.run(command, env=env, timeout=60, check=False, **streams)

    return started


@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-8:backslashreplace"])
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("name", NATIVE)
def test_names_of_any_kind(start, film, name, kind, encoding):
    python = foreign_python(name)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = start(python, b"--json", b"--once", b"--source", b"v4l2:/dev/" + NAMES[kind], encoding=encoding, **pipes)
    assert (done.returncode, done.stdout) == (3, b"")
    named = NAMES[kind] if kind == "Korean" else b"\\udcff"
    assert done.stderr == b"niwaki: /dev/" + named + b": no such camera; to list cameras: ls /dev/video*\n"
    named = os.fsencode(film.rename(film.with_name(os.fsdecode(NAMES[kind] + b".y4m"))))
    done = start(python, b"selftest", b"--source", b"file:" + named, b"--quiet", b"--json", encoding=encoding, **pipes)
    assert (done.returncode, done.stderr) == (0, b"")
    camera = json.loads(done.stdout.decode())["checks"]["camera"]
    assert camera["source"].encode("utf-8", "surrogateescape") == b"file:" + named
    words = start(python, b"--source", b"file:" + named, b"--speak", b"ko", b"--quiet", encoding=encoding, **pipes)
    assert (words.returncode, words.stdout.decode()) == (0, "코트\n")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_stop_nothing(start, calls, film, tmp_path, closed):
    def close():
        for descriptor in closed:
            os.close(descriptor)

    streams = {"preexec_fn": close, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    python = foreign_python("3.6")
    done = start(python, "--source", f"file:{film}", "--record", str(tmp_path / "kept"), **streams)
    assert done.returncode == 0
    assert done.stdout == (b"" if 1 in closed else b"coat\n")
    assert done.stderr == (b"" if 2 in closed else b"niwaki: the empty scene is learned\n")
    assert calls.words == ["en/4"]
    assert start(python, "--bundle", "none", **streams).returncode == 2


@pytest.mark.parametrize("arguments", [(), ("--json",), ("selftest", "--source", "none"), ("--help",)])
@pytest.mark.parametrize("name", NATIVE)
def test_a_full_standard_output(start, film, name, arguments):
    source = () if "none" in arguments else ("--source", f"file:{film}")
    with FULL.open("wb") as full:
        done = start(foreign_python(name), *source, "--quiet", *arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        b"niwaki: standard output: cannot be written: No space left on device: make room there, or send it elsewhere"
    )
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize("name", NATIVE)
def test_a_full_standard_error(start, film, name):
    with FULL.open("wb") as full:
        done = start(foreign_python(name), "--source", f"file:{film}", "--quiet", stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 4


def test_nobody_reads_the_help(start_runner):
    reading, writing = os.pipe()
    os.close(reading)
    with start_runner("--help", stdout=writing) as process:
        os.close(writing)
        assert process.wait(30) == 128 + signal.SIGPIPE
        assert process.stderr.read() == ""


def test_half_a_character(capsys):
    """As JSON may hold one: it stands for no byte of a name."""
    console.prepare()
    console.say("a\ud800b\udcff")
    assert capsys.readouterr().out == "a\\ud800b\\udcff\n"


def test_a_line_stays_one_line(capsys):
    console.prepare()
    console.say("a\x1b[2Jb\nc", "\u202ed")
    console.notice("niwaki: \u2028e")
    console.last_words("f\rg")
    assert capsys.readouterr() == ("a\\x1b[2Jb\\nc\n\\u202ed\n", "niwaki: \\u2028e\nf\\rg\n")
