"""What niwaki tells on the way, a line at a time, to whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Callable

Notify = Callable[[str], None]


def silent(*_said: object) -> None:
    """Tell nobody: what listens where no one was named."""


def logged(said: str) -> None:
    """Tell Python's log `niwaki`, at the level INFO: what the functions for Python do if no one else listens."""
    logging.getLogger("niwaki").info("%s", said)
