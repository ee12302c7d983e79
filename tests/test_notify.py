"""Nobody who listens is one function, wherever something is told."""

from __future__ import annotations

import re
from pathlib import Path

import niwaki
from niwaki.notify import silent

SOURCES = Path(niwaki.__file__).parent


def test_silent_takes_whatever_is_told() -> None:
    assert silent("a line") is silent("c", 1, 20) is None


def test_nobody_is_not_written_again() -> None:
    """But in device, which stands alone."""
    again = [
        str(file)
        for file in SOURCES.rglob("*.py")
        if "device" not in file.parts and re.search(r"\blambda [^:()]*: None\b|^Notify = ", file.read_text(), re.M)
    ]
    assert again == [str(SOURCES / "notify.py")]
