"""Instructions that a program executes, exactly and by function: on this machine's processor, or on an emulated one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import MissingPeer
from niwaki.errors import NiwakiError
from niwaki.toolchain.targets import Target

_LOG = "in_asm,exec,nochain"  # qemu's: the code of each block once, then a line whenever one is executed


@dataclass(frozen=True)
class Block:
    """Code that is executed as a whole: its function, and its instructions as hexadecimal digits."""

    function: str
    words: tuple[str, ...]


def executed(program: Path, target: Target, arguments: Sequence[str] = (), *, folder: Path) -> Iterator[Block]:
    """The blocks of code that `program` executes in an emulator without a system, in order.

    It runs in `folder`. Raises NiwakiError if it fails.
    """
    out, into = os.pipe()
    command = [*target.emulator, "-d", _LOG, "-D", f"/dev/fd/{into}", str(program), *arguments]
    with os.fdopen(out, encoding="ascii", errors="replace") as log:
        done = subprocess.Popen(command, cwd=folder, pass_fds=(into,), stdout=subprocess.DEVNULL)
        os.close(into)
        yield from blocks(log)
    if done.wait():
        raise NiwakiError(f"{program.name} on {target.name} ended with {done.returncode}")


def blocks(log: Iterator[str]) -> Iterator[Block]:
    """The same from the lines of a log."""
    words: dict[int, list[str]] = {}
    known: dict[int, Block] = {}
    start: int | None = None
    for line in log:
        if line.startswith("IN:"):
            start = None
        elif line.startswith("0x"):
            at, word, *_ = line.split(None, 2)
            if start is None:  # the emulator may translate a block again
                start = int(at.rstrip(":"), 16)
                words[start] = []
                known.pop(start, None)
            words[start].append(word)
        elif line.startswith("Trace"):
            at = int(line.split("/")[1], 16)
            if at not in known:
                known[at] = Block(line.rsplit("]", 1)[-1].strip(), tuple(words[at]))
            yield known[at]


def counted_by_callgrind(program: Path, arguments: Sequence[str] = (), *, alone: bool = False) -> Mapping[str, int]:
    """Instructions of each function with all that it calls, or `alone`, on this machine's processor.

    Raises MissingPeer if valgrind is missing, NiwakiError if it fails.
    """
    if not shutil.which("valgrind"):
        raise MissingPeer("the count of instructions is missing: apt-get install valgrind")
    with tempfile.TemporaryDirectory(prefix="niwaki-callgrind-") as folder:
        out = Path(folder) / "out"
        _run("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", str(program), *arguments)
        how = f"--inclusive={'no' if alone else 'yes'}"
        said = _run("callgrind_annotate", how, "--threshold=100", "--auto=no", str(out))
    found = re.findall(r"^\s*([\d,]+) .*?[^\s:]*:([\w.]+) \[", said, re.MULTILINE)
    return {name: int(count.replace(",", "")) for count, name in reversed(found)}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NiwakiError(f"{command[0]} failed ({done.returncode}): {(done.stderr.splitlines() or [''])[-1]}")
    return done.stdout
