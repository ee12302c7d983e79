"""Compare the library and the program of a bundle with what a board has."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from niwaki.board.compile import LIBRARY, PROGRAM
from niwaki.board.doctor.elf import Binary, read_elf
from niwaki.board.doctor.report import Check
from niwaki.board.targets import BundleTarget
from niwaki.errors import ModelError, first_line

USED = frozenset(
    {
        "niwaki_model_run_pixels", "niwaki_vision_bytes", "niwaki_vision_init", "niwaki_vision_learn",
        "niwaki_vision_forget", "niwaki_vision_find", "niwaki_frame_pixels", "niwaki_frame_bytes", "niwaki_frame_init",
        "niwaki_frame_shrink",
    }
)  # fmt: skip
"""The functions that the runner calls."""
LIBRARIES = frozenset(
    {"libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1", "ld-linux-armhf.so.3", "ld-linux-x86-64.so.2"}
)
TIMEOUT_S = 300.0
_VERSION = re.compile(r"GLIBC_(\d+(?:\.\d+)*)")


def check_library(folder: Path, target: BundleTarget) -> Iterator[Check]:
    """Check processor, glibc, and the functions that the runner calls."""
    name = "library"
    try:
        binary = read_elf(folder / LIBRARY)
    except ModelError as error:
        yield Check(f"{name}: processor", False, str(error))
        return
    yield _processor(name, binary, target)
    yield _glibc(name, binary, target)
    missing = sorted(USED - binary.exported)
    found = f"no {', '.join(missing)}" if missing else f"{len(binary.exported)} names, all that the runner calls"
    yield Check(f"{name}: functions", not missing, found)


def check_program(folder: Path, target: BundleTarget) -> Iterator[Check]:
    """Check the processor, and that the program has no dependencies."""
    name = "program"
    try:
        binary = read_elf(folder / PROGRAM)
    except ModelError as error:
        yield Check(f"{name}: processor", False, str(error))
        return
    yield _processor(name, binary, target)
    wants = [*([binary.interpreter] if binary.interpreter else []), *binary.needed, *sorted(binary.imported)]
    found = f"needs {', '.join(wants[:4])}{', …' if len(wants) > 4 else ''}" if wants else "static: imports nothing"
    yield Check(f"{name}: imports", not wants, found)


def _processor(name: str, binary: Binary, target: BundleTarget) -> Check:
    machine = target.machine
    right = (binary.machine, binary.bits) == (machine.elf, machine.bits)
    float_abi = "" if binary.machine != "EM_ARM" else ", hard float" if binary.hard_float else ", soft float"
    if machine.elf == "EM_ARM" and not binary.hard_float:
        right = False
    found = f"{binary.machine.removeprefix('EM_')}, {binary.bits} bit{float_abi}"
    return Check(f"{name}: processor", right, found if right else f"{found}: the board is {machine.spoken_of}")


def _glibc(name: str, binary: Binary, target: BundleTarget) -> Check:
    foreign = sorted(set(binary.needed) - LIBRARIES)
    if foreign:
        return Check(f"{name}: glibc", False, f"needs {', '.join(foreign)}, which is not glibc's")
    versions = {version for names in binary.versions.values() for version in names}
    newest = max((_numbers(version) for version in versions), default=(0,))
    text = ".".join(map(str, newest))
    too_new = newest > _numbers(f"GLIBC_{target.glibc}")
    found = f"needs {text}, the oldest board has {target.glibc}" if versions else "needs none"
    return Check(f"{name}: glibc", not too_new, found)


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.fullmatch(version)
    return tuple(map(int, found[1].split("."))) if found else (0,)


def check_instructions(folder: Path, target: BundleTarget, why_not: str = "") -> Iterator[Check]:
    """Run the program's self-test on every processor that the board may have, emulated: an unsupported instruction
    ends it. An emulator is not a sandbox: with `why_not` nothing runs, for that reason.
    """
    emulator = target.machine.emulator
    for processor in target.processors:
        name = f"instructions: {processor}"
        if why_not:
            yield Check(name, None, why_not)
        elif shutil.which(emulator) is None:
            missing = f"no {emulator} on this machine; Debian: apt-get install qemu-user-static"
            yield Check(name, None, missing)
        else:
            yield _emulated(name, [emulator, "-cpu", processor, str((folder / PROGRAM).resolve()), "selftest"])


def _emulated(name: str, command: list[str]) -> Check:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, False, f"self-test in qemu: {error}")
    said = "; ".join(done.stdout.strip().splitlines())
    if done.returncode == 0:
        return Check(name, True, f"self-test in qemu: {said}")
    why = said or first_line(done.stderr.strip() or "no message")
    return Check(name, False, f"self-test in qemu: exit status {done.returncode}: {why}")
