"""The Pythons that the runner must work with: the oldest, the newest, and those of 64- and 32-bit Arm boards."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
DEVICE = HERE.parent.parent / "src" / "niwaki" / "device"
SYSROOTS = Path(os.environ.get("NIWAKI_SYSROOTS", HERE.parent.parent / ".sysroots"))
PYTHONS = ("3.6", "newest", "arm64", "armhf")
NATIVE = ("3.6", "newest")
EMULATED = {  # sysroot: emulator with a processor of the oldest boards, bits, compiler, Debian packages of both
    "arm64": ("qemu-aarch64-static", "cortex-a57", 64, "aarch64-linux-gnu-gcc",
              "qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
    "armhf": ("qemu-arm-static", "cortex-a7", 32, "arm-linux-gnueabihf-gcc",
              "qemu-user-static gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"),
}  # fmt: skip
PLAIN = ("-s", "-S", "-B")  # no site packages; nothing is written beside the sources


class Python(NamedTuple):
    """An interpreter of the runner, and the C compiler that builds libraries for it."""

    name: str
    command: tuple[str, ...]
    bits: int
    compiler: str
    emulator: tuple[str, ...] = ()

    def environment(self, packages=(), preload=None, **variables):
        """This process's environment; `packages`: folders to import from; `preload`: a library built by `build`."""
        values = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, packages)), "PYTHONIOENCODING": "utf-8"}
        values.pop("LD_PRELOAD", None)
        return {**values, **({"LD_PRELOAD": str(preload)} if preload else {}), **variables}

    def run(self, *arguments, packages=(), preload=None, variables=None, **keywords):
        """Run it with these arguments; the finished process with its text output."""
        env = self.environment(packages, preload, **(variables or {}))
        settings = {"capture_output": True, "encoding": "utf-8", "timeout": 120, **keywords}
        check = settings.pop("check", False)
        return subprocess.run([*self.command, *PLAIN, *map(str, arguments)], env=env, check=check, **settings)

    def start(self, *arguments, packages=(), preload=None, variables=None, **keywords):
        """The same, running on."""
        env = self.environment(packages, preload, **(variables or {}))
        return subprocess.Popen([*self.command, *PLAIN, *map(str, arguments)], env=env, **keywords)

    def build(self, source, out, *flags):
        """Compile the C file `source` for it; skips by name where its compiler is missing."""
        need(self.compiler, EMULATED[self.name][4] if self.emulator else "gcc libc6-dev")
        command = [self.compiler, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", *flags, "-o", out, source]
        subprocess.run([*map(str, command), "-lpthread", "-ldl"], check=True)
        return out


def need(program, packages):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}: apt-get install {packages}")


@functools.cache
def foreign_python(name: str) -> Python:
    """The Python called so in `PYTHONS`; the test that asks is skipped, with what to do, where it is missing."""
    if name in EMULATED:
        return _emulated(name)
    path = _oldest() if name == "3.6" else _newest()
    return Python(name, (str(path),), 64 if sys.maxsize > 1 << 32 else 32, "gcc")


def device_package(folder: Path) -> Path:
    """A folder from which `niwaki_device` can be imported as in a bundle; `folder` must exist."""
    (folder / "niwaki_device").symlink_to(DEVICE, target_is_directory=True)
    return folder


def _emulated(name):
    emulator, processor, bits, compiler, packages = EMULATED[name]
    root = SYSROOTS / name
    if not root.is_dir():
        pytest.skip(f"needs Debian's Python for {name}: make system (tests/device/sysroots.sh)")
    need(emulator, packages)
    prefix = (emulator, "-cpu", processor, "-L", str(root))
    return Python(name, (*prefix, str(root / "usr/bin/python3.11")), bits, compiler, prefix)


def _installed():
    """Version and path of every Python of pyenv."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in versions.glob("*/bin/python"):
        match = re.fullmatch(r"(3)\.(\d+)\.(\d+)", path.parent.parent.name)
        if match:
            yield tuple(map(int, match.groups())), path


def _oldest():
    found = [path for version, path in sorted(_installed()) if version[:2] == (3, 6)]
    path = found[-1] if found else shutil.which("python3.6")
    if path is None:
        pytest.skip("needs Python 3.6: pyenv install 3.6.15")
    return path


def _newest():
    return max([*_installed(), (tuple(sys.version_info[:3]), Path(sys.executable))])[1]
