"""Run generated C in programs for every target: on this processor, or in an emulator (qemu)."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from niwaki.compiled.library import interface
from niwaki.errors import ModelError, NiwakiError
from niwaki.folders import temporary
from niwaki.toolchain.compiler import STANDARD, find_compiler, run_compiler
from niwaki.toolchain.targets import TARGETS, TIMEOUT_S, Target, check_tools, run_program

SPEED = ("-O2",)
_EXITS = {
    2: "files cannot be opened",
    3: "the model refused an image",
    4: "a file cannot be written",
    5: "a part of an image",
}
_FAULT = 128  # plus the number of the exception: cortex_m.c


def compile_program(
    folder: Path, main_source: Path, target: Target, flags: Sequence[str] = SPEED, *, out: Path
) -> Path:
    """Compile `main_source` with the `model.c` of a generated folder into the program `out` and return it.

    Raises as `compile_sources` does.
    """
    return compile_sources((main_source, folder / "model.c"), target, (*flags, f"-I{folder}"), out=out)


def compile_sources(sources: Sequence[Path], target: Target, flags: Sequence[str] = SPEED, *, out: Path) -> Path:
    """Compile C files into the program `out` and return it; `host.h` can be included.

    For a board, start-up code and linker script are added; for a serial line, what asks for files by it. Raises
    NiwakiError if the compiler is missing, or with its first error.
    """
    check_tools(target, emulator=False)
    compiler = target.compiler or find_compiler() or ""
    board = target.board
    with board_files() as files:
        linked = link_flags(files, board.flash_bytes, board.ram_bytes) if board else ()
        if target.by_serial:
            linked = (str(files / "avr.c"), "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
        run_compiler(
            [*shlex.split(compiler), *STANDARD, *target.flags, *flags, f"-I{files}", "-o", str(out),
             *(str(source.absolute()) for source in sources), *linked],
            str(sources[-1]),
        )  # fmt: skip
    return out


@contextmanager
def board_files() -> Iterator[Path]:
    """A folder with the programs, start-up code and linker script of this package."""
    with resources.as_file(resources.files("niwaki.compiled") / "boards") as folder:
        yield folder


def link_flags(files: Path, flash_bytes: int, ram_bytes: int) -> tuple[str, ...]:
    """What is linked with a program for a board with these memories: start-up code from `files`, the linker script."""
    sizes = f"-Wl,--gc-sections,--defsym=flash_size={flash_bytes},--defsym=ram_size={ram_bytes}"
    return (
        str(files / "cortex_m.c"), "-ffunction-sections", "-fdata-sections", "-nostartfiles", sizes,
        "-T", str(files / "cortex_m.ld"),
    )  # fmt: skip


def run_on_target(
    folder: Path, images: np.ndarray, target: Target, flags: Sequence[str] = SPEED, *, timeout: float = TIMEOUT_S
) -> np.ndarray:
    """The scores, int8 (n, classes), that a generated folder gives on `target`, compiled with `flags`.

    `images` are raw pixels, uint8 (n, C, H, W), or quantized inputs, int8 (n, C, H, W). One program runs them all.
    Raises NiwakiError if tools are missing, the model does not compile or fit, or the program fails; ModelError for
    images of another type or shape.
    """
    with temporary("target") as work:
        program = _program(folder, images, target, flags, "runner.c", Path(work))
        return _run(program, folder, images, target, timeout)


@dataclass(frozen=True, eq=False)
class BoardRun:
    """What a board computed, and its cost."""

    scores: np.ndarray
    """int8 (n, classes)."""
    instructions: np.ndarray
    """int64 (n,): instructions of each inference, to a tick of the timer (40; on cortex-m0 62.5)."""
    stack_bytes: int
    """The most stack used by a call of the model, including everything that it calls."""


def measure_on_board(
    folder: Path, images: np.ndarray, target: Target, flags: Sequence[str] = SPEED, *, timeout: float = TIMEOUT_S
) -> BoardRun:
    """Like `run_on_target`, for a target with a board: also counts instructions and measures the stack.

    The emulator counts instructions, not cycles: it does not model wait states, caches or dual issue.
    """
    if target.board is None:
        raise NiwakiError(f"{target.name}: only boards count instructions: {', '.join(_boards())}")
    with temporary("target") as work:
        program = _program(folder, images, target, flags, "measure.c", Path(work))
        scores = _run(program, folder, images, target, timeout)
        measured = np.fromfile(Path(work) / "measured.bin", "<u4").reshape(len(images), 2).astype(np.int64)
    instructions = np.rint(measured[:, 0] * target.board.instructions_per_tick).astype(np.int64)
    return BoardRun(scores, instructions, int(measured[:, 1].max(initial=0)))


def _boards() -> Iterator[str]:
    return (target.name for target in TARGETS.values() if target.board)


def _program(folder: Path, images: np.ndarray, target: Target, flags: Sequence[str], main: str, work: Path) -> Path:
    """A program in `work` that takes such images."""
    model = interface(folder)
    pixels = images.dtype == np.uint8
    if images.dtype not in (np.uint8, np.int8) or int(np.prod(images.shape[1:])) != model.input_bytes:
        shape = ", ".join(map(str, model.input_shape))
        raise ModelError(f"images are {images.dtype} {images.shape}: expected uint8 or int8 (n, {shape})")
    if pixels and not model.takes_pixels:
        raise ModelError(f"{folder}: the ONNX had no preprocessing: this model takes int8 inputs only")
    with board_files() as files:
        flags = (*flags, *call_of(folder, pixels=pixels))
        return compile_program(folder, files / main, target, flags, out=work / "program")


def _run(program: Path, folder: Path, images: np.ndarray, target: Target, timeout: float) -> np.ndarray:
    """The scores that a program made from `folder` writes."""
    model, work = interface(folder), program.parent
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
