"""What is made once for all workers of a test run: the first that wants it makes it, the others wait for it."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

PLACE = "NIWAKI_TESTS_ONCE"  # set by what starts the workers


def once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, which `make` filled; not to be written to. If it fails, the next one tries again."""
    place = _place()
    folder = place / re.sub(r"\W+", "-", name)
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@functools.cache
def _place() -> Path:
    return Path(os.environ.get(PLACE) or tempfile.mkdtemp(prefix="niwaki-once-"))
