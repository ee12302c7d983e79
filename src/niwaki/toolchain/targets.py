"""The processors to compile C for, their compilers, and what runs their programs on this machine."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from niwaki.errors import NiwakiError, ToolMissing
from niwaki.toolchain.compiler import WAYS_OUT, find_compiler
from niwaki.toolchain.serial_host import run_with_files

TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Board:
    """A board without an operating system, as qemu-system-arm emulates it: code at 0, RAM at 0x20000000."""

    machine: str
    flash_bytes: int
    ram_bytes: int
    instructions_per_tick: float
    """Period of the timer (SysTick) when each instruction takes a nanosecond (`-icount shift=0`)."""


@dataclass(frozen=True)
class Target:
    """A kind of processor, its compiler, and what runs its programs on this machine."""

    name: str
    compiler: str
    """A command; empty: this machine's own C compiler."""
    flags: tuple[str, ...]
    """Compiler flags for the processor and the calling convention."""
    emulator: tuple[str, ...]
    """The command that runs the program; empty: it runs by itself."""
    packages: str
    """The Debian packages that install both."""
    board: Board | None = None
    tried_as: str = ""
    """The target's name where every export's C is run on it; empty: it is not."""
    macs: int | None = None
    """Multiply-accumulates that its emulator does in a few seconds."""
    by_serial: bool = False
    """Whether the emulator's standard input and output are a serial line, by which the program has its files."""


_M = "arm-none-eabi-gcc"
_M_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
_A64, _A64_PACKAGES = "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
_A32, _A32_PACKAGES = "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user-static"
_A57, _A76 = ("qemu-aarch64-static", "-cpu", "cortex-a57"), ("qemu-aarch64-static", "-cpu", "cortex-a76")
_A7 = ("qemu-arm-static", "-cpu", "cortex-a7")
_QEMU = ("qemu-system-arm",)
_AVR = (
    "qemu-system-avr", "-M", "mega2560", "-display", "none", "-monitor", "none", "-serial", "stdio", "-bios",
)  # fmt: skip
_MEGABYTES_4 = 0x400000
_RISCV_FLAGS = (
    "-march=rv32imc", "-mabi=ilp32", "-misa-spec=2.2", "--specs=picolibc.specs", "--oslib=semihost", "--crt0=hosted",
    f"-Wl,--defsym=__flash=0x80000000,--defsym=__flash_size={_MEGABYTES_4}",
    f"-Wl,--defsym=__ram=0x80400000,--defsym=__ram_size={_MEGABYTES_4}",
)  # fmt: skip
_RISCV = (
    "qemu-system-riscv32", "-M", "virt", "-bios", "none", "-display", "none", "-monitor", "none", "-serial", "none",
    "-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel",
)  # fmt: skip
_MPS2 = 4 << 20  # bytes of code memory and of RAM on ARM's MPS2 boards, whose clock of 25 MHz ticks every 40 ns
_MICROBIT = Board("microbit", 256 << 10, 16 << 10, 62.5)
_MPS3 = Board("mps3-an547", 512 << 10, 512 << 10, 31.25)
_KNOWN = (
    Target("native", "", (), (), "gcc libc6-dev"),
    Target(
        "aarch64", _A64, ("-static",), _A57, _A64_PACKAGES,
        tried_as="64-bit ARM with NEON, emulated", macs=2_000_000_000,
    ),
    Target("aarch64-dotprod", _A64, ("-static", "-march=armv8.2-a+dotprod"), _A76, _A64_PACKAGES),
    Target("armhf", _A32, ("-static", "-mcpu=cortex-a7", "-mfpu=vfpv4-d16"), _A7, _A32_PACKAGES),
    Target("armhf-neon", _A32, ("-static", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4"), _A7, _A32_PACKAGES),
    Target("cortex-m0", _M, ("-mcpu=cortex-m0", "-mthumb"), _QEMU, _M_PACKAGES, _MICROBIT),
    Target("cortex-m3", _M, ("-mcpu=cortex-m3", "-mthumb"), _QEMU, _M_PACKAGES, Board("mps2-an385", _MPS2, _MPS2, 40)),
    Target(
        "cortex-m4", _M, ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        _QEMU, _M_PACKAGES, Board("mps2-an386", _MPS2, _MPS2, 40), tried_as="Cortex-M4, emulated", macs=200_000_000,
    ),
    Target(
        "cortex-m7", _M, ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
        _QEMU, _M_PACKAGES, Board("mps2-an500", _MPS2, _MPS2, 40),
    ),
    Target("cortex-m55", _M, ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"), _QEMU, _M_PACKAGES, _MPS3),
    Target(
        "rv32imc", "riscv64-unknown-elf-gcc", _RISCV_FLAGS, _RISCV,
        "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc",
    ),
    Target(
        "avr", "avr-gcc", ("-mmcu=atmega2560", "-std=gnu99"), _AVR, "gcc-avr avr-libc qemu-system-misc", by_serial=True,
    ),
)  # fmt: skip
TARGETS = {target.name: target for target in _KNOWN}


def find_target(name: str) -> Target:
    """The target of that name. Raises NiwakiError with the known names."""
    if name not in TARGETS:
        raise NiwakiError(f"target {name!r}: expected one of {', '.join(TARGETS)}")
    return TARGETS[name]


def missing_tools(target: Target, *, compiler: bool = True, emulator: bool = True) -> tuple[str, ...]:
    """The commands that `target` needs and this machine lacks: its compiler, its emulator, or either."""
    command = target.compiler or find_compiler() or "cc"
    needed = [*([shlex.split(command)[0]] if compiler else ()), *(target.emulator[:1] if emulator else ())]
    return tuple(name for name in needed if not shutil.which(name))


def check_tools(target: Target, *, compiler: bool = True, emulator: bool = True) -> None:
    """Raise ToolMissing, with how to install them, if tools of `target` are missing."""
    missing = missing_tools(target, compiler=compiler, emulator=emulator)
    if missing:
        raise ToolMissing(f"{target.name}: no {' and no '.join(missing)} on this machine; {how_to_get(target)}")


def how_to_get(target: Target) -> str:
    """How to install the tools of a target."""
    return f"Debian: apt-get install {target.packages}" if target.compiler else WAYS_OUT


def run_program(
    program: Path, target: Target, *, folder: Path, timeout: float = TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run `program` in `folder` to its end; its status is negative if a signal ended it.

    Raises NiwakiError if the emulator is missing or `timeout` seconds have passed.
    """
    check_tools(target, compiler=False)
    command = [*target.emulator, str(program.resolve())]
    run = run_with_files if target.by_serial else _run
    if target.board:
        command = [
            *target.emulator, "-M", target.board.machine, "-display", "none", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", str(program.resolve()),
        ]  # fmt: skip
    try:
        return run(command, folder, timeout)
    except subprocess.TimeoutExpired as error:
        raise NiwakiError(f"{program.name} on {target.name}: not finished after {timeout:g} seconds") from error


def _run(command: Sequence[str], folder: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL
    )
