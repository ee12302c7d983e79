"""How often the files of a folder are read while something runs."""

from __future__ import annotations

import io
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest


def count_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts, from now on, each opening of a file in `folder` for reading, by its path there."""
    seen: Counter[str] = Counter()
    whole = io.open

    def counting(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if isinstance(file, str | os.PathLike) and Path(file).is_relative_to(folder) and "r" in mode:
            seen[Path(file).relative_to(folder).as_posix()] += 1
        return whole(file, mode, *more, **named)

    monkeypatch.setattr(io, "open", counting)
    return seen
