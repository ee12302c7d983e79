"""How a worker process reports each epoch to its driver. Light to import, and it never blocks the work.

A message is one write into a pipe that all workers share. Writes of this length are atomic (POSIX: up to PIPE_BUF
bytes), so it needs no lock, which a killed worker could keep. If the pipe is full the message is dropped: the driver
learns of the epoch when the stage ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from niwaki.files import parse_json
from niwaki.study import lifeline

PIPE_BUF = 512  # guaranteed by POSIX everywhere
_END = b"."


@dataclass(frozen=True)
class EpochTold:
    """Epoch `number` (from 1) of the stage `key` has ended."""

    key: str
    number: int
    loss: float
    validation_accuracy: float | None


Tell = Callable[[EpochTold], None]
_speakers: list[Speaker] = []  # of this worker process


def begin(held: Connection, sender: Connection) -> None:
    """Start as a worker: end with the driver, and report epochs to it."""
    lifeline.hold(held)
    _speakers.append(Speaker(sender))


def tell(epoch: EpochTold) -> None:
    """Report to the driver in a worker process; do nothing in another process."""
    for speaker in _speakers:
        speaker(epoch)


class Speaker:
    """The worker's end of the pipe."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender
        os.set_blocking(sender.fileno(), False)

    def __call__(self, epoch: EpochTold) -> None:
        """Report to the driver, if there is room in the pipe and a driver at its other end."""
        message = json.dumps([epoch.key, epoch.number, epoch.loss, epoch.validation_accuracy]).encode()
        if len(message) + 4 <= PIPE_BUF:
            with contextlib.suppress(OSError):
                self._sender.send_bytes(message)


class Listening:
    """The driver's end: a thread that passes on messages from workers until it is closed."""

    def __init__(self, receiver: Connection, sender: Connection) -> None:
        self.sender = sender
        self._receiver = receiver
        self._hear: Tell = nobody
        self._thread = threading.Thread(target=self._listen, daemon=True, name="niwaki-listening")
        self._thread.start()

    def to(self, hear: Tell) -> None:
        """Pass all messages to `hear`, which is called in the thread."""
        self._hear = hear

    def close(self) -> None:
        """End the thread; later messages are ignored."""
        self._hear = nobody
        os.set_blocking(self.sender.fileno(), True)
        with contextlib.suppress(OSError):
            self.sender.send_bytes(_END)
        self._thread.join(timeout=1)
        self.sender.close()

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError), self._receiver:
            while (message := self._receiver.recv_bytes()) != _END:
                with contextlib.suppress(ValueError, TypeError):
                    self._hear(EpochTold(*parse_json(message)))


def nobody(_epoch: EpochTold) -> None:
    """Report to nobody."""
