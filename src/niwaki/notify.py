"""What niwaki tells on the way, a line at a time, to whoever listens."""

from __future__ import annotations

from collections.abc import Callable

Notify = Callable[[str], None]


def silent(*_said: object) -> None:
    """Tell nobody: what listens where no one was named."""
