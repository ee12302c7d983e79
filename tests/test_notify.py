""" "Nobody listens" is one function, wherever messages are sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import niwaki
from niwaki.notify import logged, silent

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


def test_what_no_one_hears_is_in_the_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    logged("compiling %d")
    assert capfd.readouterr() == ("", "")
    caplog.set_level("INFO", "niwaki")
    logged("compiling %d")
    assert caplog.record_tuples == [("niwaki", 20, "compiling %d")]
