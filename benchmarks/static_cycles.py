"""Cycles of 64-bit ARM code, estimated from the code alone: LLVM's model of a processor works out each block.

A block is counted as if it ran again and again, with data in the first cache and branches foreseen: what the units of
the processor and the chain of results within the block allow. Nothing is measured here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from benchmarks.executed import Block
from benchmarks.peers import MissingPeer
from niwaki.errors import NiwakiError

TOOLS = ("llvm-mc", "llvm-mca")
MISSING = "the estimate of cycles is missing: apt-get install llvm"
_TIMES = 100  # that a block is repeated
_JUMPS = {"bl": "b", "blr": "br", "ret": "br"}  # LLVM takes 100 cycles for a call, whatever it calls


def has_tools() -> bool:
    """Whether LLVM's tools are there."""
    return all(map(shutil.which, TOOLS))


def cycles_of(blocks: Sequence[Block], processor: str) -> Mapping[Block, float]:
    """Cycles of one execution of each block on `processor`, by LLVM's name for it.

    Raises MissingPeer if LLVM's tools are missing, NiwakiError if they fail.
    """
    if not has_tools():
        raise MissingPeer(MISSING)
    lines = iter(_disassembled([word for block in blocks for word in block.words]))
    regions = []
    for number, block in enumerate(blocks):
        code = "\n".join(next(lines) for _ in block.words)
        regions.append(f"# LLVM-MCA-BEGIN {number}\n{code}\n# LLVM-MCA-END\n")
    only = ("-instruction-info=0", "-resource-pressure=0", "-json")
    said = _run(
        "llvm-mca", "-mtriple=aarch64", f"-mcpu={processor}", f"-iterations={_TIMES}", *only, given="".join(regions)
    )
    found = {
        int(region["Name"]): region["SummaryView"]["TotalCycles"] / _TIMES for region in json.loads(said)["CodeRegions"]
    }
    return {block: found[number] for number, block in enumerate(blocks)}


def _disassembled(words: Sequence[str]) -> list[str]:
    """A line of assembly for each word, eight hexadecimal digits."""
    listed = "\n".join(" ".join(f"0x{byte:02x}" for byte in reversed(bytes.fromhex(word))) for word in words)
    said = _run("llvm-mc", "--disassemble", "-triple=aarch64", "-mattr=+v8.2a,+dotprod", given=listed)
    lines = [_without_calls(line.strip()) for line in said.splitlines() if line.strip() not in ("", ".text")]
    if len(lines) != len(words):
        raise NiwakiError(f"llvm-mc read {len(lines)} instructions of {len(words)}")
    return lines


def _without_calls(line: str) -> str:
    name, _, operands = line.partition("\t")
    if name == "ret":
        operands = operands or "x30"
    return f"{_JUMPS.get(name, name)}\t{re.sub(r' *//.*', '', operands)}"


def _run(*command: str, given: str) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NiwakiError(f"{command[0]} failed ({done.returncode}): {(done.stderr.splitlines() or [''])[0]}")
    return done.stdout
