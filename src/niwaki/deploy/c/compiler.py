"""The C compiler of this machine: the system's, else zig, which pip brings."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from niwaki.data.prepare import cache_folder
from niwaki.errors import ToolMissing

GLOBAL_CACHE, LOCAL_CACHE = "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"
ZIG = "zig cc"
WAYS_OUT = "apt-get install gcc libc6-dev (Debian), or pip install ziglang; or set CC"


def find_compiler() -> str | None:
    """The command of this machine's C compiler: `$CC`, else cc, gcc or clang, else zig; None where there is none."""
    named = os.environ.get("CC")
    if named and shutil.which(shlex.split(named)[0]):
        return named
    usual = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    return usual or (shlex.join(zig_command()) if has_zig() else None)


def no_compiler() -> ToolMissing:
    """The error where there is none, with both ways to get one."""
    return ToolMissing(f"no C compiler on this machine: {WAYS_OUT}")


def compiler_name(command: str) -> str:
    """What people call a compiler that is run by `command`."""
    return ZIG if is_zig(shlex.split(command)) else command


def is_zig(command: Sequence[str]) -> bool:
    """Whether a command runs the package's zig."""
    return tuple(command[:4]) == zig_command()


def has_zig() -> bool:
    """Whether the package that brings zig is installed."""
    return importlib.util.find_spec("ziglang") is not None


def zig_command() -> tuple[str, ...]:
    """The command of zig as a C compiler."""
    return (sys.executable, "-m", "ziglang", "cc")


def zig_caches(folder: Path) -> Mapping[str, str]:
    """Where zig keeps libraries and what it compiles in `folder`: as the environment says, else in niwaki's cache."""
    return {
        GLOBAL_CACHE: os.environ.get(GLOBAL_CACHE) or str(cache_folder() / "zig"),
        LOCAL_CACHE: os.environ.get(LOCAL_CACHE) or str(folder / ".zig"),
    }
