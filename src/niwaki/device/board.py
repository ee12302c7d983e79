"""What this machine is, according to its system."""

import os
import platform
from pathlib import Path
from typing import Dict, Optional

from .elf import processor_here

_MODEL = Path("/proc/device-tree/model")  # boards with ARM processors
_PRODUCT = Path("/sys/class/dmi/id/product_name")  # PCs


def model() -> str:
    """The manufacturer's name for it, or the kind of system."""
    for path in (_MODEL, _PRODUCT):
        try:
            name = path.read_bytes().rstrip(b"\0\n ").decode("utf-8", "replace")
        except OSError:
            continue
        if name:
            return name
    return "{} {}".format(platform.system(), platform.machine())


def system() -> str:
    """Python, C library, processor."""
    return "Python {}, {}, {}".format(
        platform.python_version(), libc() or "no glibc", processor_here() or platform.machine()
    )


def libc() -> Optional[str]:
    """As `glibc 2.27`; None for another C library."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None


def memory() -> Dict[str, int]:
    """Memory of this process in KiB as Linux counts it: now (VmRSS), and at most (VmHWM); empty elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines)
    return {parts[0][:-1]: int(parts[1]) for parts in fields if parts and parts[0] in ("VmRSS:", "VmHWM:")}
