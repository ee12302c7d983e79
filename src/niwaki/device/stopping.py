"""SIGTERM, SIGINT and SIGHUP end the runner between two frames, or while it waits: never in the middle of a record."""

import signal
import threading
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional

from .errors import HUNG_UP, INTERRUPTED, TERMINATED

_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGHUP"):
    _CODES[signal.SIGHUP] = HUNG_UP  # when a terminal is closed


class Stopped(BaseException):
    """The runner was asked to end; this is not an error, and no error handler may swallow it."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Stopping:
    """Holds the handlers while active. A second signal ends the program as it would without them."""

    def __init__(self) -> None:
        self._code: Optional[int] = None
        self._waiting = False
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in _CODES if not _is_for_nohup(number)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._code = _CODES[signal.Signals(number)]
        if self._waiting:
            raise Stopped(self._code)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """For code that only waits: a signal raises Stopped at once; an earlier one, on entry."""
        before, self._waiting = self._waiting, True
        try:
            if self._code is not None:
                raise Stopped(self._code)
            yield
        finally:
            self._waiting = before

    def pause(self, seconds: float) -> None:
        """Sleep, unless a signal arrives."""
        with self.waiting():
            time.sleep(seconds)


def _is_for_nohup(number: int) -> bool:
    """Whether the runner was started so that it survives its terminal."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN
