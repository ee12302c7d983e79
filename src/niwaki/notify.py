"""Progress messages, a line at a time, for a function that wants them."""

from __future__ import annotations

import logging
from collections.abc import Callable

Notify = Callable[[str], None]


def silent(*_said: object) -> None:
    """Discard the message: the default if no listener is given."""


def logged(said: str) -> None:
    """Log the message to Python's logger `niwaki` at level INFO: the default of the Python functions."""
    logging.getLogger("niwaki").info("%s", said)
