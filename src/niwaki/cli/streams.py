"""Standard output and error of the command line: any character, a closed pipe, a full disk, no stream at all."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

from niwaki.device.console import open_closed
from niwaki.errors import OutputError
from niwaki.reporting import letters


def prepare() -> None:
    """Make both streams accept any character, and survive a reader that goes away.

    If the reader of a pipe ends early (`niwaki … | head -1`), the rest is dropped and the work continues. If a full
    disk rejects standard output, that is an OutputError; standard error, where progress is shown, is dropped instead.
    """
    open_closed()
    letters.register()
    sys.stdout = _lasting(sys.stdout, 1, "standard output")
    sys.stderr = _lasting(sys.stderr, 2, None)


def finish() -> None:
    """Flush what is left. Raises OutputError if that fails."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def abandon() -> None:
    """Drop what cannot be written: otherwise Python would try again at exit, and complain."""
    with contextlib.suppress(OutputError, OSError, ValueError):
        finish()


class _Descriptor(io.FileIO):
    """A descriptor that swallows what cannot be written. An error names `name`; with None there is no error."""

    def __init__(self, descriptor: int, called: str | None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._called = called
        self._gone = False

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        if self._gone:
            return size
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            self._gone = True
        except OSError as error:
            self._gone = True
            if self._called is not None:
                raise OutputError(
                    f"{self._called}: cannot be written: {error.strerror}: make room there, or send it elsewhere"
                ) from error
        return size


def _lasting(stream: TextIO | None, descriptor: int, called: str | None) -> io.TextIOWrapper:
    """The same stream through `_Descriptor`; into nothing if the shell closed it."""
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(_Descriptor(os.open(os.devnull, os.O_WRONLY), None)), "utf-8")
    stream.flush()
    raw = _Descriptor(descriptor, called)
    errors = "backslashreplace" if (stream.encoding or "").lower().startswith("utf") else letters.HANDLER
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, errors, line_buffering=called is None or raw.isatty()
    )
