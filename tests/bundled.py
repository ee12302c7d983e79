"""Programs of bundles, run here or on emulated boards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from niwaki.board.targets import TARGETS


def need_tool(command: str, package: str) -> None:
    """Skip, with what to install, where a command is missing."""
    if shutil.which(command) is None:
        pytest.skip(f"needs {package}: apt-get install {package}")


def emulated(target: str, processor: str) -> list[str]:
    """What stands before a program for a target."""
    emulator = TARGETS[target].machine.emulator
    need_tool(emulator, "qemu-user-static")
    return [emulator, "-cpu", processor]


def run_program(
    program: Path, *arguments: object, before: Sequence[str] = (), folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a bundle's program to its end."""
    command = [*before, str(program), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def scores_of(program: Path, images: np.ndarray, folder: Path, before: Sequence[str] = ()) -> np.ndarray:
    """int8 scores (n, classes) that a program gives for raw pixels, uint8 (n, 1, H, W)."""
    (folder / "in.bin").write_bytes(images.tobytes())
    done = run_program(program.resolve(), "scores", "in.bin", "out.bin", before=before, folder=folder)
    assert done.returncode == 0, done.stderr
    return np.fromfile(folder / "out.bin", np.int8).reshape(len(images), -1)
