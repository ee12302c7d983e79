"""zig as the C compiler for every board: the same bytes on any desktop, without a cross-compiler to install."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from niwaki.errors import ToolMissing
from niwaki.toolchain.compiler import has_zig, run_compiler, zig_caches, zig_command


def check_zig() -> None:
    """Raise ToolMissing, with how to install it, if zig is missing."""
    if not has_zig():
        raise ToolMissing("no zig, which compiles for the board: pip install ziglang")


def compile_c(arguments: Sequence[str], what: str, folder: Path) -> None:
    """Run `zig cc` in `folder`, with relative paths, so that the same sources give the same bytes anywhere.

    Its intermediate files stay there; the board's C library is cached for the next time. Raises NiwakiError naming
    `what`, with the compiler's first error, or if zig is missing.
    """
    check_zig()
    run_compiler((*zig_command(), *arguments), what, name="zig", folder=folder, environment=zig_caches(folder))
