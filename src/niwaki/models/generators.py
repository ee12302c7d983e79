"""The random generators that a user's code may use: Python's, NumPy's and torch's, always all three."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def reseed(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch with `seed` (0 to 2⁶⁴ − 1)."""
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])
    torch.manual_seed(seed)


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Restore the three generators afterwards, including torch's on every GPU in use; also a decorator."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run the block with all three generators seeded, and restore them afterwards.

    Everything that runs a user's code (a factory, a forward) is in such a block, so that it draws the same numbers
    every time. It does not control code that uses the system's entropy (`numpy.random.default_rng()` without a seed).
    """
    with generators_kept():
        reseed(seed)
        yield
