"""Standard output and error of the command line: every letter, a closed pipe, a full disk, no stream at all."""

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
    """Make both streams take every letter, and outlive whoever reads them.

    A reader that went away (`niwaki … | head -1`) had enough: the rest is dropped, the work goes on to its end. What
    a full disk does not take of standard output is an OutputError; of standard error, where progress is shown, it is
    dropped.
    """
    open_closed()
    letters.register()
    sys.stdout = _lasting(sys.stdout, 1, "standard output")
    sys.stderr = _lasting(sys.stderr, 2, None)


def finish() -> None:
    """Write out what is left. Raises OutputError if that fails."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def abandon() -> None:
    """Drop what cannot be written: Python would try again when it ends, and complain."""
    with contextlib.suppress(OutputError, OSError, ValueError):
        finish()


class _Descriptor(io.FileIO):
    """A descriptor that swallows what nobody takes. An error names `name`; None: there is no error."""

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
    """The same stream by way of `_Descriptor`; if a shell closed it, into nothing."""
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(_Descriptor(os.open(os.devnull, os.O_WRONLY), None)), "utf-8")
    stream.flush()
    raw = _Descriptor(descriptor, called)
    errors = "backslashreplace" if (stream.encoding or "").lower().startswith("utf") else letters.HANDLER
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, errors, line_buffering=called is None or raw.isatty()
    )
