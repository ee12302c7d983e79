"""The runner's command line."""

import argparse
from pathlib import Path
from typing import Any, List, NoReturn, Optional

from .errors import DeviceError
from .sources import SOURCES_HELP

_HERE = Path(__file__).resolve().parent.parent  # the bundle, where this package lies in one
_EPILOG = """\
Sources: {}; selftest also takes none.
Exit codes: 0 done; 1 selftest failed or a replay differs; 2 bad input; 3 no camera; 4 cannot record; 5 cannot load the
library; 130 and 143 ended by SIGINT and SIGTERM.
Example: ./start --source v4l2:/dev/video0 --speak ko --serve
""".format(SOURCES_HELP)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise DeviceError("{}: see --help".format(message))


def parse(arguments: Optional[List[str]] = None, prog: str = "niwaki") -> argparse.Namespace:
    """The options. Raises DeviceError for what is wrong; `--help` ends the program."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    _check(options)
    return options


def _parser(prog: str) -> _Parser:
    parser = _Parser(
        prog=prog, epilog=_EPILOG, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Show a garment to the camera, hear its name.",
    )  # fmt: skip
    add = parser.add_argument
    add("command", nargs="?", default="watch", metavar="watch|selftest", help="default: watch")
    add("--bundle", type=Path, default=_HERE, metavar="DIR", help="the bundle's folder (default: this program's)")
    add("--source", metavar="SPEC", help="where frames come from (default: v4l2:/dev/video0)")
    add("--speak", metavar="LANGUAGE", help="language of the words (default: the bundle's first)")
    add("--audio-device", metavar="DEV", help="of aplay -L, such as plughw:1,0")
    add("--quiet", action="store_true", help="print words, speak none")
    add("--json", action="store_true", help="one JSON object per event on standard output")
    add("--once", action="store_true", help="end with code 3 where the camera is missing or lost, instead of waiting")
    add("--frames", type=_whole(1), metavar="N", help="stop after so many frames")
    learn = parser.add_mutually_exclusive_group()
    learn.add_argument("--learn", type=_whole(1), default=15, metavar="N", help="frames of the empty scene (15)")
    learn.add_argument("--no-learn", dest="learn", action="store_const", const=0, help="use the frame's own border")
    add("--serve", action="store_true", help="live view for a browser")
    add("--host", default="127.0.0.1", help="address to serve on; others than loopback need the token in the link")
    add("--port", type=_whole(0), default=8360, help="port to serve on (8360)")
    add("--token", help="who views must know it (default: made where one is needed)")
    add("--record", type=Path, metavar="DIR", help="keep frames and decisions")
    add("--record-limit", type=_whole(1), default=1000, metavar="MB", help="the oldest are removed beyond (1000)")
    add("--replay", type=Path, metavar="DIR", help="go through a recording again; code 1 where a decision differs")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse an unknown command, and options that would do nothing."""
    if options.command not in ("watch", "selftest"):
        raise DeviceError("command {!r} is unknown: it is watch or selftest: see --help".format(options.command))
    given: List[Any] = [
        ("--source", options.source), ("--record", options.record), ("--serve", options.serve),
        ("--frames", options.frames),
    ]  # fmt: skip
    for name, value in given:
        if options.replay is not None and value:
            raise DeviceError("--replay with {}: a recording has its own frames: leave out one of them".format(name))
    if options.token is not None and not options.serve:
        raise DeviceError("--token without --serve: nothing is served: add --serve")


def _whole(least: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError("{!r} is not a whole number from {}".format(text, least))
        return int(text)

    return number
