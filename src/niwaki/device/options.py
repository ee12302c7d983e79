"""The runner's command line."""

import argparse
from pathlib import Path
from typing import Any, List, NoReturn, Optional, Tuple

from . import console
from .errors import DeviceError
from .sources import SOURCES_HELP

_HERE = Path(__file__).resolve().parent.parent  # the bundle that contains this package
_EPILOG = """\
Sources: {}; selftest also takes none.
Exit codes: 0 done; 1 selftest failed or a replay differs; 2 bad input; 3 no camera; 4 cannot write; 5 cannot load the
library; 130, 143 and 129 ended by SIGINT, SIGTERM and SIGHUP.
Example: ./start --source v4l2:/dev/video0 --speak ko --serve
""".format(SOURCES_HELP)

_DEFAULTS = {"host": "127.0.0.1", "port": 8360, "record_limit": 1000}  # of options that are not given
_OF_A_VIEW = ("--host", "--port", "--token")
_OF_A_CAMERA = ("--source", "--once", "--learn", "--no-learn", "--record", "--serve", "--frames")
_OF_SOUND = ("--audio-device",)
_WATCH_ONLY = (*_OF_A_CAMERA[1:], *_OF_A_VIEW, "--record-limit", "--replay")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise DeviceError("{}: see --help".format(message))

    def print_help(self, _file: Any = None) -> None:
        console.say(*self.format_help().splitlines())


def parse(arguments: Optional[List[str]] = None, prog: str = "niwaki") -> argparse.Namespace:
    """The options. Raises DeviceError if they are wrong; `--help` ends the program."""
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    _check(options)
    for name, value in _DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _parser(prog: str) -> _Parser:
    parser = _Parser(
        prog=prog, epilog=_EPILOG, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Show something to the camera and hear its name.",
    )  # fmt: skip
    add = parser.add_argument
    add("command", nargs="?", default="watch", metavar="watch|selftest", help="default: watch")
    add("--bundle", type=Path, default=_HERE, metavar="DIR", help="the bundle's folder (default: this program's)")
    add("--source", metavar="SPEC", help="where frames come from (default: v4l2:/dev/video0)")
    add("--speak", metavar="LANGUAGE", help="language of the words (default: the bundle's first)")
    add("--audio-device", metavar="DEV", help="sound device, as aplay -L lists it: plughw:1,0")
    add("--quiet", action="store_true", help="print the words without speaking")
    add("--json", action="store_true", help="print each event as one line of JSON")
    add("--once", action="store_true", help="exit with code 3 if the camera is missing or lost, instead of waiting")
    add("--frames", type=_whole(1), metavar="N", help="stop after this many frames")
    learn = parser.add_mutually_exclusive_group()
    learn.add_argument("--learn", type=_whole(1), metavar="N", help="frames of the empty scene to start with (15)")
    learn.add_argument(
        "--no-learn", dest="learn", action="store_const", const=0, help="use each frame's border instead"
    )
    add("--serve", action="store_true", help="serve a live view to a browser")
    add("--host", help="address to serve on; any but loopback needs the token in the link")
    add("--port", type=_whole(0), help="port to serve on (8360)")
    add("--token", help="token that viewers need (default: made for you if needed)")
    add("--record", type=Path, metavar="DIR", help="record frames and decisions")
    add("--record-limit", type=_whole(1), metavar="MB", help="beyond this size, drop the oldest part (1000)")
    add("--replay", type=Path, metavar="DIR", help="replay a recording; exit code 1 if a decision differs")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse an unknown command, and options without effect."""
    if options.command not in ("watch", "selftest"):
        raise DeviceError("command {!r} is unknown: expected watch or selftest: see --help".format(options.command))
    given = _given(options)
    if options.command == "selftest":
        _refuse(given, _WATCH_ONLY, "{} with selftest: only watch takes it: leave it out")
    if options.replay is not None:
        _refuse(given, _OF_A_CAMERA, "--replay with {}: a recording has its own frames: leave out one of them")
        _refuse(given, _OF_SOUND, "--replay with {}: a replay speaks no words: leave it out")
    if not options.serve:
        _refuse(given, _OF_A_VIEW, "{} without --serve: nothing is served: add --serve")
    if options.record is None:
        _refuse(given, ("--record-limit",), "{} without --record: nothing is recorded: add --record DIR")
    if options.quiet:
        _refuse(given, _OF_SOUND, "{} with --quiet: no word is spoken: leave out one of them")


def _given(options: argparse.Namespace) -> List[str]:
    """The options that were given and change what is done."""
    values = {name: value for name, value in vars(options).items() if value is not None and value is not False}
    if values.get("learn") == 0:
        values["no-learn"] = values.pop("learn")
    return ["--" + name.replace("_", "-") for name in values]


def _refuse(given: List[str], options: Tuple[str, ...], why: str) -> None:
    for name in options:
        if name in given:
            raise DeviceError(why.format(name))


def _whole(least: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError("{!r} is not a whole number from {}".format(text, least))
        return int(text)

    return number
