"""The C compiler of this machine: the system's, or zig, which pip installs."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from niwaki.errors import NiwakiError, ToolMissing
from niwaki.files import cache_folder
from niwaki.folders import staging, temporary

GLOBAL_CACHE, LOCAL_CACHE = "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"
ZIG = "zig cc"
SPEED = ("-O3", "-march=native")
STANDARD = ("-std=c99",)
WAYS_OUT = "apt-get install gcc libc6-dev (Debian), or pip install ziglang; or set CC"

_ERROR = re.compile(r"error:|undefined reference|will not fit|leaves less than")  # of GCC, Clang, GNU ld, cortex_m.ld


def find_compiler() -> str | None:
    """The command of this machine's C compiler: `$CC`, or cc, gcc or clang, or zig; None if there is none."""
    named = os.environ.get("CC")
    if named and shutil.which(shlex.split(named)[0]):
        return named
    usual = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    return usual or (shlex.join(zig_command()) if has_zig() else None)


def no_compiler() -> ToolMissing:
    """The error for a machine without a compiler, with both ways to get one."""
    return ToolMissing(f"no C compiler on this machine: {WAYS_OUT}")


def compiler_name(command: str) -> str:
    """The usual name of the compiler that `command` runs."""
    return ZIG if is_zig(shlex.split(command)) else command


def is_zig(command: Sequence[str]) -> bool:
    """Whether a command runs zig from the Python package."""
    return tuple(command[:4]) == zig_command()


def has_zig() -> bool:
    """Whether the Python package with zig is installed."""
    return importlib.util.find_spec("ziglang") is not None


def zig_command() -> tuple[str, ...]:
    """The command that runs zig as a C compiler."""
    return (sys.executable, "-m", "ziglang", "cc")


def zig_caches(folder: Path) -> Mapping[str, str]:
    """Where zig caches libraries and what it compiles in `folder`: as the environment says, or in niwaki's cache."""
    return {
        GLOBAL_CACHE: os.environ.get(GLOBAL_CACHE) or str(cache_folder() / "zig"),
        LOCAL_CACHE: os.environ.get(LOCAL_CACHE) or str(folder / ".zig"),
    }


def compile_shared(source: Path, out: Path, *, cc: str | None = None, flags: Sequence[str] = SPEED) -> Path:
    """Compile a C file into a shared library for this machine and return `out`, which appears whole or not at all.

    Raises ToolMissing if there is no compiler, NiwakiError with the compiler's first error.
    """
    compiler = cc or find_compiler()
    if compiler is None:
        raise no_compiler()
    begin = shlex.split(compiler)
    with staging(out.parent) as work:
        fresh = (work / out.name).absolute()
        # absolute paths: none can be taken for an option or a file of options
        run_compiler(
            [*begin, *STANDARD, *flags, "-fPIC", "-shared", "-o", str(fresh), str(source.absolute())],
            str(source), name=compiler_name(compiler),
        )  # fmt: skip
        fresh.replace(out)
    return out


def run_compiler(
    command: Sequence[str], what: str, *, name: str = "", folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Run a compiler to its end in `folder` and return its output; `environment` is added to this process's.

    Raises NiwakiError naming `what` and the compiler (`name`, or its command), with its first error.
    """
    with temporary("zig") as work:
        more = zig_caches(Path(work)) if environment is None and is_zig(command) else environment or {}
        english = {**os.environ, **more, "LC_ALL": "C"}  # its messages and the linker's map are parsed
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=english, cwd=folder)
        except OSError as error:
            raise NiwakiError(f"{command[0]}: cannot be run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        first = next((line for line in lines if _ERROR.search(line)), lines[0])
        raise NiwakiError(f"{what}: {name or (ZIG if is_zig(command) else command[0])} could not compile it: {first}")
    return done.stdout
