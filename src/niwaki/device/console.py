"""Standard output and error: they take every text, and what cannot be written is one line and a defined exit code."""

import contextlib
import io
import os
import sys
from typing import Any, Sequence

from .errors import NO_ROOM, DeviceError
from .text import printable


def prepare() -> None:
    """Make both streams take every text, also where a shell closed them, and in a bare locale, as a service has it.

    Words are Korean as well, and names of files may hold bytes that are no text: those are written as escapes.
    """
    open_closed()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed when Python started
            setattr(sys, name, _in_utf8(open(os.devnull, "wb")))  # noqa: SIM115, PTH123 - open until the end
        elif not _takes_everything(stream):
            setattr(sys, name, _reconfigured(stream))


def open_closed() -> None:
    """Whatever is opened next would take the place of a closed stream, and be written to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one


def _takes_everything(stream: Any) -> bool:
    encoding = (stream.encoding or "").lower().replace("-", "")
    return not hasattr(stream, "buffer") or (encoding == "utf8" and stream.errors == "backslashreplace")


def _reconfigured(stream: Any) -> Any:
    if hasattr(stream, "reconfigure"):  # from Python 3.7
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        return stream
    return _in_utf8(stream.detach())


def _in_utf8(binary: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(binary, "utf-8", "backslashreplace", line_buffering=True)


def say(*lines: str) -> None:
    """Lines on standard output, each of which stays one, whatever is in it: `printable`.

    Raises DeviceError if they cannot be written, BrokenPipeError if nobody reads.
    """
    _write(sys.stdout, "standard output", lines)


def notice(text: str) -> None:
    """A line on standard error. Raises like `say`."""
    _write(sys.stderr, "standard error", [text])


def last_words(text: str) -> None:
    """A line on standard error, lost if that cannot be written either: the exit code tells."""
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
    """In a bare locale an old Python takes the bytes of a Korean name for no text: put together again what is."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character that stands for no byte
        return text


def abandon_unwritten() -> None:
    """Drop what could not be written: Python would try again when it ends, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
