"""zig as the C compiler for every board: the same bytes on any desk, no cross-compiler to install."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from niwaki.data.prepare import cache_folder
from niwaki.deploy.c.toolchain import run_compiler
from niwaki.errors import NiwakiError

GLOBAL_CACHE, LOCAL_CACHE = "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"


def check_zig() -> None:
    """Raise NiwakiError, with what installs it, where zig is missing."""
    if importlib.util.find_spec("ziglang") is None:
        raise NiwakiError("no zig, which compiles for the board: pip install 'niwaki[device]'")


def compile_c(arguments: Sequence[str], what: str, folder: Path) -> None:
    """Run `zig cc` in `folder`: with paths relative to it, so that the same sources give the same bytes anywhere.

    Raises NiwakiError naming `what`, with the compiler's first error, or where zig is missing.
    """
    check_zig()
    command = [sys.executable, "-m", "ziglang", "cc", *arguments]
    run_compiler(command, what, folder=folder, environment=caches())


def caches() -> Mapping[str, str]:
    """Where zig keeps what it has compiled: as the environment says, else in niwaki's cache folder."""
    folder = cache_folder() / "zig"
    return {
        GLOBAL_CACHE: os.environ.get(GLOBAL_CACHE) or str(folder),
        LOCAL_CACHE: os.environ.get(LOCAL_CACHE) or str(folder / "local"),
    }
