"""The integer kernels of the generated C, as headers: codegen copies them into every folder that it writes.
One header for each vector unit; all give the same bits.
May import: nothing else of niwaki.
"""

from __future__ import annotations

from importlib import resources

STRIPES = "niwaki_stripes.h"
"""The header that only C of layers by stripes of rows includes."""


def headers() -> dict[str, bytes]:
    """Every header by its name, in order."""
    entries = sorted(resources.files("niwaki.kernels").iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry.read_bytes() for entry in entries if entry.name.endswith(".h")}
