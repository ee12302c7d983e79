"""How commands end: signals, unexpected errors, streams that are closed, full or limited to a few characters."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from niwaki.cli.outcome import given, outcome
from niwaki.cli.signals import Signals
from niwaki.errors import NiwakiError, Stopped, step

SIGNALS = {signal.SIGINT: ("Ctrl-C", 130), signal.SIGTERM: ("SIGTERM", 143), signal.SIGHUP: ("SIGHUP", 129)}


PYTHON = Path(sys.executable).name


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/x/niwaki/__main__.py"])


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_says_how_to_go_on(number: signal.Signals, capsys) -> None:
    name, code = SIGNALS[number]
    before = signal.getsignal(number)

    def command(_arguments: list[str]) -> int:
        os.kill(os.getpid(), number)
        time.sleep(5)
        return 0

    assert outcome(command, ["report", "a b"]) == code
    found = capsys.readouterr().err
    assert found.startswith(f"niwaki: stopped by {name}")
    assert found.endswith(f": no file is left half-written. To resume: {PYTHON} -m niwaki report 'a b'\n")
    assert found.count("\n") == 1
    assert signal.getsignal(number) == before


def test_what_is_stored_is_said_and_several_signals_at_once_are_one(capsys) -> None:
    def command(_arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            raise Stopped("3 of 5 stages are stored in x") from None
        return 0

    assert outcome(command, ["study", "run", "--debug"]) == 143
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"niwaki: stopped by SIGTERM: 3 of 5 stages are stored in x. To resume: {PYTHON} -m niwaki study run"
    )


def test_an_error_that_a_signal_causes_is_no_error(capsys) -> None:
    def command(_arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            raise RuntimeError("some library turned it into this") from None
        return 0

    assert outcome(command, ["verify", "x"]) == 143
    assert "unexpected" not in capsys.readouterr().err


SCRIPT = """
import os, signal, sys, time
from niwaki.cli.signals import Signals
with Signals() as signals:
    try:
        for name in sys.argv[1:]:
            os.kill(os.getpid(), getattr(signal, name))
            time.sleep(0.05)
        print("went on")
    except KeyboardInterrupt:
        print(signals.received.name, flush=True)
        signals._at -= 2  # a while later
        os.kill(os.getpid(), signals.received)
        print("never said")
"""


def started_ignoring(*ignored: signal.Signals, sends: list[str]) -> subprocess.CompletedProcess[str]:
    """As nohup and a shell's & start a program."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        return subprocess.run([sys.executable, "-c", SCRIPT, *sends], capture_output=True, text=True, check=False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_second_signal_ends_at_once_and_ignored_ones_stay_ignored() -> None:
    done = started_ignoring(signal.SIGINT, signal.SIGHUP, sends=["SIGINT", "SIGHUP"])
    assert (done.stdout, done.stderr, done.returncode) == ("went on\n", "", 0)
    done = started_ignoring(signal.SIGINT, signal.SIGHUP, sends=["SIGINT", "SIGTERM"])
    assert (done.stdout, done.stderr, done.returncode) == ("SIGTERM\n", "", -signal.SIGTERM)


def test_outside_the_main_thread_no_handler_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.current_thread", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    with Signals():
        assert signal.getsignal(signal.SIGTERM) == before


def test_an_unexpected_error_names_the_file_the_step_and_the_place(capsys) -> None:
    def command(_arguments: list[str]) -> int:
        with step("reading the report"), step("drawing a chart"):
            json.loads("{")
        return 0

    assert outcome(command, ["report", "x\x1b"]) == 1
    line = re.sub(r"outcome.py:\d+", "outcome.py:N", capsys.readouterr().err)
    assert line == (
        f"niwaki: {PYTHON} -m niwaki report 'x\\x1b': unexpected JSONDecodeError: Expecting property name enclosed in "
        "double quotes: line 1 column 2 (char 1) while drawing a chart while reading the report "
        "(niwaki/cli/outcome.py:N): check your input; if it is right, this is a bug in niwaki: report this "
        "line (--debug adds a traceback)\n"
    )


def test_a_factory_that_ends_python_is_an_error(capsys) -> None:
    assert outcome(lambda _arguments: sys.exit(0), ["inspect", "x"]) == 1
    assert "inspect x: unexpected SystemExit: 0" in capsys.readouterr().err


def test_steps_leave_niwakis_own_errors_alone() -> None:
    with pytest.raises(NiwakiError) as caught, step("this"):
        raise NiwakiError("that")
    assert not hasattr(caught.value, "__notes__")


def test_the_program_as_it_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert given(["x"]) == f"{PYTHON} -m niwaki x"
    (tmp_path / "niwaki").write_text("")
    (tmp_path / "niwaki").chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "niwaki")])
    assert given(["x"]) == f"{tmp_path / 'niwaki'} x"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert given(["x"]) == "niwaki x"


COPY = "-m niwaki study copy quick s.toml"


def in_shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A line for bash in which PYTHON is this one."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "TERM")}
    env = {**kept, "PYTHON": str(Path(sys.prefix) / "bin" / "python"), **variables}
    return subprocess.run(["bash", "-c", line], capture_output=True, env=env, cwd=folder, check=False)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (f"$PYTHON {COPY} | true; exit ${{PIPESTATUS[0]}}", 0, ""),
        (f"$PYTHON {COPY} >&- 2>&-", 0, ""),
        (f"$PYTHON {COPY} > /dev/full", 1, "niwaki: standard output: cannot be written: No space left on device: "),
        ("$PYTHON -m niwaki study copy nonsense s.toml 2> /dev/full", 2, ""),
    ],
)
def test_closed_and_full_streams(line: str, code: int, words: str, tmp_path: Path) -> None:
    """What was asked for is done, whoever reads of it."""
    done = in_shell(line, tmp_path)
    assert done.returncode == code
    assert done.stderr.decode().startswith(words)
    assert done.stderr.count(b"\n") == bool(words)
    assert (tmp_path / "s.toml").exists() == (code != 2)


def test_streams_with_few_letters(tmp_path: Path) -> None:
    bare = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "60"}
    done = in_shell("$PYTHON -m niwaki study --help; $PYTHON -m niwaki study copy quick ×가.toml", tmp_path, **bare)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    text = done.stdout.decode("ascii")
    assert text.endswith("Wrote x\\uac00.toml; run it with: niwaki study run 'x\\uac00.toml'\n")
    assert max(map(len, text.splitlines()[:-1])) <= 60
    assert done.stderr == b""


def test_a_runner_that_heard_the_signal_itself(capsys) -> None:
    assert outcome(lambda _arguments: 143, ["watch", "x"]) == 143
    assert capsys.readouterr().err.startswith("niwaki: stopped by SIGTERM: ")
