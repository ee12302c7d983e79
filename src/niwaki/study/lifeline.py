"""How a worker process notices that its driver is gone. Light to import: it must run before torch is loaded."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection


def hold(lifeline: Connection) -> None:
    """End this process within a moment of the driver's closing the other end, or dying, even by SIGKILL.

    Ctrl-C is left to the driver: it reaches the whole process group.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, args=(lifeline,), daemon=True).start()


def _end_with_driver(lifeline: Connection) -> None:
    try:
        lifeline.recv()
    except (EOFError, OSError):
        os._exit(1)
