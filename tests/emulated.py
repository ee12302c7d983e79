"""Python on an x86 processor without VNNI, in an emulator."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

EMULATOR, CPU = "qemu-x86_64-static", "Haswell"  # AVX2; no AVX-512, no VNNI


def python_without_vnni() -> Callable[..., str]:
    """Runs a script with arguments and returns what it printed. Skips, by name, if there is no such emulator."""
    if platform.machine() != "x86_64":
        pytest.skip("needs an x86-64 Python, to run it as on an older processor")
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"needs {EMULATOR}: apt-get install qemu-user-static")

    def run(script: str, *arguments: object) -> str:
        command = [EMULATOR, "-cpu", CPU, sys.executable, "-c", script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
