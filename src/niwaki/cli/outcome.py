"""How a command ended: its exit code, and the line that says why it did not finish."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from typer.exceptions import TyperException

from niwaki.cli.flags import in_flags
from niwaki.cli.signals import ENDING, Signals
from niwaki.cli.usage import refusal
from niwaki.device.text import printable
from niwaki.errors import NiwakiError, Stopped, Wording

Command = Callable[[list[str]], int | None]
_HOME = Path(__file__).resolve().parent.parent


def outcome(command: Command, arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors are one line on standard error."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]  # wherever it appears
    with Signals() as signals:
        try:
            code = command(arguments) or 0
        except TyperException as error:
            if message := refusal(error):
                complain(message)
            return 2
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if isinstance(error, SystemExit) and not error.code and _completes(arguments):
                return 0
            if debug:
                traceback.print_exc()
            if signals.received or isinstance(error, (Stopped, KeyboardInterrupt)):
                return _stopped(str(error) if isinstance(error, Stopped) else "", signals, arguments)
            if isinstance(error, NiwakiError):
                complain(str(error))
                return error.exit_code
            complain(unexpected(error, arguments))
            return 1
        if signals.received is None and code - 128 in ENDING:  # typer or the runner caught it
            signals.received = signal.Signals(code - 128)
        return _stopped("", signals, arguments) if signals.received else code


def _completes(arguments: Sequence[str]) -> bool:
    """Whether the shell asked for completion, which ends the process by itself."""
    return "_NIWAKI_COMPLETE" in os.environ or any(argument.endswith("-completion") for argument in arguments)


def complain(text: str) -> None:
    """A line on standard error, with options of the command line."""
    print(f"niwaki: {printable(in_flags(text))}", file=sys.stderr)


def unexpected(error: BaseException, arguments: Sequence[str]) -> str:
    """The line for an unexpected error: the command with its files, the step, the error, and where it was raised."""
    steps = [f" while {step}" for step in getattr(error, "__notes__", ())]
    place = next((f" ({found})" for frame in reversed(traceback.extract_tb(error.__traceback__))
                  if (found := _in_niwaki(frame))), "")  # fmt: skip
    kind = type(error).__name__
    return (
        f"{given(arguments)}: unexpected {kind}{': ' if str(error) else ''}{error}{''.join(steps)}{place}: check your "
        "input; if it is right, this is a bug in niwaki: report this line (--debug adds a traceback)"
    )


def given(arguments: Sequence[str]) -> str:
    """The command as the user gave it, quoted for a shell."""
    return shlex.join([*_program(), *arguments])


def _stopped(what: str, signals: Signals, arguments: Sequence[str]) -> int:
    what = what or "no file is left half-written"
    complain(Wording(f"stopped by {signals.name}: ", what, f". To resume: {given(arguments)}"))
    return signals.exit_code


def _program() -> list[str]:
    """How to start this program in a shell: `niwaki` if that is this program, or its path or module."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return [Path(sys.executable).name, "-m", "niwaki"]
    found = shutil.which("niwaki")
    if started.name == "niwaki" and (found is None or not Path(found).samefile(started)):
        return [str(started)]
    return ["niwaki"]


def _in_niwaki(frame: traceback.FrameSummary) -> str | None:
    path = Path(frame.filename)
    if not path.is_relative_to(_HOME):
        return None
    return f"niwaki/{path.relative_to(_HOME).as_posix()}:{frame.lineno}"
