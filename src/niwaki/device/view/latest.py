"""The newest snapshot, between the loop that produces it and the threads that send it."""

import secrets
import threading
import time
from typing import NamedTuple, Optional, Tuple

from ..snapshot import Snapshot

_KEPT = 5  # spoken words


class Word(NamedTuple):
    """A class that was spoken."""

    class_index: int
    language: str
    time_s: float
    """Monotonic, of this process."""


class Entry(NamedTuple):
    """A snapshot and the words spoken up to it, newest first."""

    sequence: int
    """Counted here, from a random number: the source's own numbers may restart, and so may this program."""
    snapshot: Snapshot
    words: Tuple[Word, ...]


class Latest:
    """One thread publishes, others wait for something newer than they have. Nothing is queued."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entry: Optional[Entry] = None
        self._first = secrets.randbelow(1 << 40)  # JavaScript counts exactly up to 2^53
        self._waiting = 0
        self._closed = False

    def publish(self, snapshot: Snapshot) -> None:
        """Publish a snapshot. If nobody is waiting, this takes no lock.

        A waiting thread registers before it looks, so it either sees this entry or is seen here. The lock is held only
        that long.
        """
        before = self._entry
        words = before.words if before else ()
        if snapshot.decision.speak is not None:
            word = Word(snapshot.decision.speak, snapshot.language, time.monotonic())
            words = (word, *words[: _KEPT - 1])
        self._entry = Entry(before.sequence + 1 if before else self._first, snapshot, words)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def now(self) -> Optional[Entry]:
        """The newest entry, if there is one."""
        return self._entry

    def other_than(self, sequence: int, wait_s: float) -> Optional[Entry]:
        """Wait for an entry newer than that one; None if none came in time, or at the end."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            self._waiting += 1
            try:
                while not self._closed:
                    entry = self._entry
                    if entry is not None and entry.sequence != sequence:
                        return entry
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return None
                    self._changed.wait(left)
                return None
            finally:
                self._waiting -= 1

    def close(self) -> None:
        """Release all waiting threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
