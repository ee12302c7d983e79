"""The processor that a library is for, read from its first bytes: before the system refuses it in its own words."""

import struct
import sys
from pathlib import Path
from typing import Optional

_MACHINES = {3: "x86 (32 bit)", 40: "arm (32 bit)", 62: "x86-64", 183: "aarch64", 243: "RISC-V"}


def processor_of(path: Path) -> Optional[str]:
    """The processor that an ELF file is for; None if it is not an ELF file (another system's) or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    (number,) = struct.unpack(("<" if head[5] == 1 else ">") + "H", head[18:20])
    return _MACHINES.get(number, "processor {}".format(number))


def processor_here() -> Optional[str]:
    """The processor of this Python: a 32-bit Python runs on a 64-bit board, and loads 32-bit libraries."""
    return processor_of(Path("/proc/self/exe")) or processor_of(Path(sys.executable))
