"""Standard output and error: they accept any text; what cannot be written is one line and a defined exit code."""

import contextlib
import io
import os
import sys
from typing import Any, Sequence

from .errors import NO_ROOM, DeviceError
from .text import printable


def prepare() -> None:
    """Make both streams accept any text, also if a shell closed them, and in a bare locale, as in a service.

    Words may be Korean, and file names may contain bytes that are not text: those are written as escapes.
    """
    open_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed when Python started
            setattr(sys, name, _in_utf8(open(os.devnull, "wb")))  # noqa: SIM115, PTH123 - open until the end
        elif not _takes_everything(stream):
            setattr(sys, name, _reconfigured(stream))


def open_closed() -> None:
    """Otherwise the next opened file would take the place of a closed stream, and be written to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one


def _takes_everything(stream: Any) -> bool:
    encoding = (stream.encoding or "").lower().replace("-", "")
    return not hasattr(stream, "buffer") or (encoding == "utf8" and stream.errors == "backslashreplace")


def _reconfigured(stream: Any) -> Any:
    if hasattr(stream, "reconfigure"):  # available from Python 3.7 on
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        return stream
    return _in_utf8(stream.detach())


def _in_utf8(binary: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(binary, "utf-8", "backslashreplace", line_buffering=True)


def say(*lines: str) -> None:
    """Lines on standard output; each stays one line, whatever it contains: `printable`.

    Raises DeviceError if they cannot be written, BrokenPipeError if nobody reads.
    """
    _write(sys.stdout, "standard output", lines)


def notice(text: str) -> None:
    """A line on standard error. Raises as `say` does."""
    _write(sys.stderr, "standard error", [text])


def last_words(text: str) -> None:
    """A line on standard error, dropped if that cannot be written either: the exit code still tells."""
    with contextlib.suppress(OSError):
        _write_lines(sys.stderr, [text])


def _write(stream: Any, name: str, lines: Sequence[str]) -> None:
    try:
        _write_lines(stream, lines)
    except BrokenPipeError:
        raise
    except OSError as error:
        why = "{}: cannot be written: {}: make room there, or send it elsewhere".format(name, error.strerror)
        raise DeviceError(why, NO_ROOM) from error


def _write_lines(stream: Any, lines: Sequence[str]) -> None:
    stream.write("".join(printable(_legible(line)) + "\n" for line in lines))
    stream.flush()


def _legible(text: str) -> str:
    """In a bare locale an old Python does not decode the bytes of a Korean name: put them together again."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character that stands for no byte
        return text


def abandon_unwritten() -> None:
    """Drop what could not be written: otherwise Python would try again at exit, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
