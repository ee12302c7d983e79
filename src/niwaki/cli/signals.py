"""Ctrl-C, SIGTERM and the SIGHUP of a closed terminal all end a command in the same orderly way."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP, a closed terminal"}
ENDING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
_TOGETHER_S = 1.0  # a closing terminal or a supervisor may send several at once


class Signals:
    """While active, the first signal raises KeyboardInterrupt in the main thread; `received` says which one it was.

    A second one, a moment later, ends the process as if there were no handlers. Signals that were ignored when the
    process started stay ignored: `nohup` does that to SIGHUP, a shell's `&` to Ctrl-C. SIGTERM always works.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if number == signal.SIGTERM or signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells count: 130, 143, 129."""
        return 128 + (self.received or signal.SIGINT)

    @property
    def name(self) -> str:
        """The signal under the name that users know."""
        return NAMES[(self.received or signal.SIGINT).name]

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._at = signal.Signals(number), now
            raise KeyboardInterrupt
        if now - self._at > _TOGETHER_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def release() -> None:
    """At the very end: a signal now ends the process without a message."""
    for number in ENDING:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
