"""zig as the C compiler for every board: the same bytes on any desktop, no cross-compiler to install."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from niwaki.errors import ToolMissing
from niwaki.toolchain.compiler import has_zig, run_compiler, zig_caches, zig_command


def check_zig() -> None:
    """Raise ToolMissing, with what installs it, if zig is missing."""
    if not has_zig():
        raise ToolMissing("no zig, which compiles for the board: pip install ziglang")


def compile_c(arguments: Sequence[str], what: str, folder: Path) -> None:
    """Run `zig cc` in `folder`: with paths relative to it, so that the same sources give the same bytes anywhere.

    What it compiles on the way stays there; the C library of the board is kept for the next time. Raises NiwakiError
    naming `what`, with the compiler's first error, or if zig is missing.
    """
    check_zig()
    run_compiler((*zig_command(), *arguments), what, name="zig", folder=folder, environment=zig_caches(folder))
