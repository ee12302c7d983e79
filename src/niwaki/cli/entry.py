"""`niwaki` as a process: from arguments to exit code, with streams that survive a reader that goes away."""

from __future__ import annotations

import sys

from niwaki.cli import streams
from niwaki.cli.main import app
from niwaki.cli.outcome import complain, outcome
from niwaki.cli.signals import release
from niwaki.errors import OutputError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done, 1 a trial failed or forms disagree, 2 bad input, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
    """
    streams.prepare()
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
        streams.finish()
    except OutputError as error:
        complain(str(error))
        code = error.exit_code
    finally:
        streams.abandon()
        release()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of a command line; an error is one line on standard error."""
    return outcome(lambda given: app(given, standalone_mode=False), arguments)
