"""Compilers for every target, and what runs their programs here: this processor, or an emulator (qemu)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from niwaki.deploy.c.compiler import WAYS_OUT, ZIG, find_compiler, is_zig, zig_caches
from niwaki.deploy.c.library import STANDARD, interface
from niwaki.errors import ModelError, NiwakiError, ToolMissing
from niwaki.folders import temporary

SPEED = ("-O2",)
TIMEOUT_S = 1800.0
_EXITS = {
    2: "files cannot be opened",
    3: "the model refused an image",
    4: "a file cannot be written",
    5: "a part of an image",
}
_ERROR = re.compile(r"error:|undefined reference|will not fit|leaves less than")  # of GCC, Clang, GNU ld, cortex_m.ld
_FAULT = 128  # and the number of the exception: cortex_m.c


@dataclass(frozen=True)
class Board:
    """A board without an operating system, as qemu-system-arm knows it: code at 0, RAM at 0x20000000."""

    machine: str
    flash_bytes: int
    ram_bytes: int
    instructions_per_tick: float
    """Of the timer (SysTick) when each instruction takes a nanosecond (`-icount shift=0`): its period."""


@dataclass(frozen=True)
class Target:
    """A kind of processor, the compiler for it, and what runs its programs on this machine."""

    name: str
    compiler: str
    """A command; empty: this machine's own C compiler."""
    flags: tuple[str, ...]
    """Processor and calling convention."""
    emulator: tuple[str, ...]
    """What stands before the program; empty: it runs by itself."""
    packages: str
    """Debian's, that bring both."""
    board: Board | None = None


_M = "arm-none-eabi-gcc"
_M_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
_A64, _A64_PACKAGES = "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
_A32, _A32_PACKAGES = "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user-static"
_A57, _A76 = ("qemu-aarch64-static", "-cpu", "cortex-a57"), ("qemu-aarch64-static", "-cpu", "cortex-a76")
_A7 = ("qemu-arm-static", "-cpu", "cortex-a7")
_QEMU = ("qemu-system-arm",)
_MPS2 = 4 << 20  # bytes of code memory and of RAM on ARM's MPS2 boards, whose clock of 25 MHz ticks every 40 ns
_MICROBIT = Board("microbit", 256 << 10, 16 << 10, 62.5)
_KNOWN = (
    Target("native", "", (), (), "gcc libc6-dev"),
    Target("aarch64", _A64, ("-static",), _A57, _A64_PACKAGES),
    Target("aarch64-dotprod", _A64, ("-static", "-march=armv8.2-a+dotprod"), _A76, _A64_PACKAGES),
    Target("armhf", _A32, ("-static", "-mcpu=cortex-a7", "-mfpu=vfpv4-d16"), _A7, _A32_PACKAGES),
    Target("armhf-neon", _A32, ("-static", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4"), _A7, _A32_PACKAGES),
    Target("cortex-m0", _M, ("-mcpu=cortex-m0", "-mthumb"), _QEMU, _M_PACKAGES, _MICROBIT),
    Target("cortex-m3", _M, ("-mcpu=cortex-m3", "-mthumb"), _QEMU, _M_PACKAGES, Board("mps2-an385", _MPS2, _MPS2, 40)),
    Target(
        "cortex-m4", _M, ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        _QEMU, _M_PACKAGES, Board("mps2-an386", _MPS2, _MPS2, 40),
    ),
    Target(
        "cortex-m7", _M, ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
        _QEMU, _M_PACKAGES, Board("mps2-an500", _MPS2, _MPS2, 40),
    ),
)  # fmt: skip
TARGETS = {target.name: target for target in _KNOWN}


def find_target(name: str) -> Target:
    """The target of that name. Raises NiwakiError with the names there are."""
    if name not in TARGETS:
        raise NiwakiError(f"target {name!r}: niwaki knows {', '.join(TARGETS)}")
    return TARGETS[name]


def missing_tools(target: Target, *, compiler: bool = True, emulator: bool = True) -> tuple[str, ...]:
    """Of the commands that `target` needs, those that this machine has not: its compiler, its emulator, or either."""
    command = target.compiler or find_compiler() or "cc"
    needed = [*([shlex.split(command)[0]] if compiler else ()), *(target.emulator[:1] if emulator else ())]
    return tuple(name for name in needed if not shutil.which(name))


def check_tools(target: Target, *, compiler: bool = True, emulator: bool = True) -> None:
    """Raise ToolMissing, with what installs them, where tools of `target` are missing."""
    missing = missing_tools(target, compiler=compiler, emulator=emulator)
    if missing:
        raise ToolMissing(f"{target.name}: no {' and no '.join(missing)} on this machine; {how_to_get(target)}")


def how_to_get(target: Target) -> str:
    """What installs the tools of a target."""
    return f"Debian: apt-get install {target.packages}" if target.compiler else WAYS_OUT


def compile_program(
    folder: Path, main_source: Path, target: Target, flags: Sequence[str] = SPEED, *, out: Path
) -> Path:
    """Compile `main_source` with the `model.c` of a generated folder into the program `out` and return it.

    Raises as `compile_sources` does.
    """
    return compile_sources((main_source, folder / "model.c"), target, (*flags, f"-I{folder}"), out=out)


def compile_sources(sources: Sequence[Path], target: Target, flags: Sequence[str] = SPEED, *, out: Path) -> Path:
    """Compile C files into the program `out` and return it; `host.h` can be included.

    For a board, start-up code and linker script come with it. Raises NiwakiError where the compiler is missing, or
    with its first error.
    """
    check_tools(target, emulator=False)
    compiler = target.compiler or find_compiler() or ""
    board = target.board
    with board_files() as files:
        linked = link_flags(files, board.flash_bytes, board.ram_bytes) if board else ()
        run_compiler(
            [*shlex.split(compiler), *STANDARD, *target.flags, *flags, f"-I{files}", "-o", str(out),
             *(str(source.absolute()) for source in sources), *linked],
            str(sources[-1]),
        )  # fmt: skip
    return out


def run_compiler(
    command: Sequence[str], what: str, *, name: str = "", folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Run a compiler to its end, in `folder`, and return what it wrote; `environment` is added to this process's.

    Raises NiwakiError naming `what` and the compiler (`name`, else its command), with its first error.
    """
    with temporary("zig") as work:
        more = zig_caches(Path(work)) if environment is None and is_zig(command) else environment or {}
        english = {**os.environ, **more, "LC_ALL": "C"}  # its messages and the linker's map are read
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=english, cwd=folder)
        except OSError as error:
            raise NiwakiError(f"{command[0]}: cannot be run: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        first = next((line for line in lines if _ERROR.search(line)), lines[0])
        raise NiwakiError(f"{what}: {name or (ZIG if is_zig(command) else command[0])} could not compile it: {first}")
    return done.stdout


@contextmanager
def board_files() -> Iterator[Path]:
    """A folder with the programs, start-up code and linker script of this package."""
    with resources.as_file(resources.files("niwaki.deploy.c") / "boards") as folder:
        yield folder


def link_flags(files: Path, flash_bytes: int, ram_bytes: int) -> tuple[str, ...]:
    """What is linked with a program for a board with these memories: start-up code from `files`, the linker script."""
    sizes = f"-Wl,--gc-sections,--defsym=flash_size={flash_bytes},--defsym=ram_size={ram_bytes}"
    return (
        str(files / "cortex_m.c"), "-ffunction-sections", "-fdata-sections", "-nostartfiles", sizes,
        "-T", str(files / "cortex_m.ld"),
    )  # fmt: skip


def run_program(
    program: Path, target: Target, *, folder: Path, timeout: float = TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run `program` in `folder` to its end; its status is negative where a signal ended it.

    Raises NiwakiError where the emulator is missing or `timeout` seconds have passed.
    """
    check_tools(target, compiler=False)
    command = [*target.emulator, str(program.resolve())]
    if target.board:
        command = [
            *target.emulator, "-M", target.board.machine, "-display", "none", "-monitor", "none", "-serial", "none",
            "-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", str(program.resolve()),
        ]  # fmt: skip
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise NiwakiError(f"{program.name} on {target.name}: not finished after {timeout:g} seconds") from error


def run_on_target(
    folder: Path, images: np.ndarray, target: Target, flags: Sequence[str] = SPEED, *, timeout: float = TIMEOUT_S
) -> np.ndarray:
    """The scores int8 (n, classes) that a generated folder gives on `target`, compiled with `flags`.

    `images` are raw pixels, uint8 (n, C, H, W), or quantized inputs, int8 (n, C, H, W). One program runs them all.
    Raises NiwakiError where tools are missing, the model does not compile or fit, or the program fails; ModelError for
    images of another type or shape.
    """
    with temporary("target") as work:
        return _run(folder, images, target, flags, "runner.c", Path(work), timeout)


@dataclass(frozen=True, eq=False)
class BoardRun:
    """What a board computed, and what that took."""

    scores: np.ndarray
    """int8 (n, classes)."""
    instructions: np.ndarray
    """int64 (n,): instructions of each inference, to a tick of the timer (40; on cortex-m0 62.5)."""
    stack_bytes: int
    """The most stack that a call of the model used, everything that it calls included."""


def measure_on_board(
    folder: Path, images: np.ndarray, target: Target, flags: Sequence[str] = SPEED, *, timeout: float = TIMEOUT_S
) -> BoardRun:
    """Like `run_on_target`, for a target with a board: also counts instructions and watches the stack.

    The emulator counts instructions, not cycles: it knows nothing of wait states, caches or dual issue.
    """
    if target.board is None:
        raise NiwakiError(f"{target.name}: only boards count instructions: {', '.join(_boards())}")
    with temporary("target") as work:
        scores = _run(folder, images, target, flags, "measure.c", Path(work), timeout)
        measured = np.fromfile(Path(work) / "measured.bin", "<u4").reshape(len(images), 2).astype(np.int64)
    instructions = np.rint(measured[:, 0] * target.board.instructions_per_tick).astype(np.int64)
    return BoardRun(scores, instructions, int(measured[:, 1].max(initial=0)))


def _boards() -> Iterator[str]:
    return (target.name for target in _KNOWN if target.board)


def _run(
    folder: Path, images: np.ndarray, target: Target, flags: Sequence[str], main: str, work: Path, timeout: float
) -> np.ndarray:
    model = interface(folder)
    pixels = images.dtype == np.uint8
    if images.dtype not in (np.uint8, np.int8) or int(np.prod(images.shape[1:])) != model.input_bytes:
        shape = ", ".join(map(str, model.input_shape))
        raise ModelError(f"images are {images.dtype} {images.shape}: expected uint8 or int8 (n, {shape})")
    if pixels and not model.takes_pixels:
        raise ModelError(f"{folder}: the ONNX had no preprocessing: this model takes int8 inputs only")
    with board_files() as files:
        program = compile_program(
            folder, files / main, target, (*flags, *call_of(folder, pixels=pixels)), out=work / "program"
        )
    images.tofile(work / "inputs.bin")
    done = run_program(program, target, folder=work, timeout=timeout)
    if done.returncode:
        raise NiwakiError(f"{folder} on {target.name}: {_reason(done, target)}")
    scores = np.fromfile(work / "scores.bin", np.int8)
    if scores.size != len(images) * model.output_bytes:
        raise NiwakiError(f"{folder} on {target.name}: {scores.size} scores came back for {len(images)} images")
    return scores.reshape(len(images), model.output_bytes)


def call_of(folder: Path, *, pixels: bool) -> tuple[str, ...]:
    """The macros by which the programs of this package know a generated model."""
    model = interface(folder)
    function = f"{model.prefix}_run_pixels" if pixels else f"{model.prefix}_run"
    return f"-DRUN={function}", f"-DINPUT_BYTES={model.input_bytes}", f"-DOUTPUT_BYTES={model.output_bytes}"


def _reason(done: subprocess.CompletedProcess[str], target: Target) -> str:
    """Why a program failed, in words."""
    if done.returncode < 0:
        return f"ended by {signal.Signals(-done.returncode).name}"
    if target.board and done.returncode > _FAULT:
        return f"ended by exception {done.returncode - _FAULT}"
    said = (done.stderr.strip().splitlines() or [""])[-1]
    return said or _EXITS.get(done.returncode, f"exit status {done.returncode}")
