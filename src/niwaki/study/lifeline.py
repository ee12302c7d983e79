"""How a worker process notices that its driver is gone. Light to import, because it runs before torch is loaded."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection

FOR_THE_DRIVER = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))


def hold(lifeline: Connection) -> None:
    """End this process shortly after the driver closes the other end or dies, even by SIGKILL.

    Ctrl-C and the SIGHUP of a closed terminal are left to the driver: they reach the whole process group. SIGTERM ends
    a worker; the pool uses it for the workers beside a lost one.
    """
    for number in FOR_THE_DRIVER:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, args=(lifeline,), daemon=True).start()


def _end_with_driver(lifeline: Connection) -> None:
    try:
        lifeline.recv()
    except (EOFError, OSError):
        os._exit(1)
