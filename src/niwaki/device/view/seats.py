"""Who watches: a few pages at a time."""

import threading
from typing import Dict


class Seats:
    """A seat is kept by requesting frames, and becomes free when that stops."""

    def __init__(self, count: int, hold_s: float) -> None:
        self._count = count
        self._hold_s = hold_s
        self._lock = threading.Lock()
        self._seen: Dict[str, float] = {}

    def take(self, name: str, now_s: float) -> bool:
        """Whether that watcher has a seat, its own or a free one."""
        with self._lock:
            self._seen = {n: seen for n, seen in self._seen.items() if now_s - seen <= self._hold_s}
            if name not in self._seen and len(self._seen) >= self._count:
                return False
            self._seen[name] = now_s
            return True
