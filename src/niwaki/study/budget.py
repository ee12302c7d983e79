"""Budgets: what the user allows, as text (`accuracy_drop<=1`, `macs<=83k`, `bytes<=16KB`) and as numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

QUANTITIES = ("accuracy_drop", "params", "macs", "bytes", "activations", "flash", "ram", "latency")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "kb": 1024.0, "mb": 1024.0**2, "us": 1.0, "ms": 1e3, "%": 1.0}
_FORM = re.compile(r"^\s*([a-z_]+)\s*<=\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%]*)\s*$")
_ALLOWED_UNITS = {
    "accuracy_drop": ("", "%"),
    "params": ("", "k", "m"),
    "macs": ("", "k", "m"),
    "bytes": ("", "kb", "mb"),
    "activations": ("", "kb", "mb"),
    "flash": ("", "kb", "mb"),
    "ram": ("", "kb", "mb"),
    "latency": ("us", "ms"),
}


@dataclass(frozen=True)
class Budget:
    """An upper limit. Units: points of accuracy, counts, bytes, microseconds at batch 1.

    `flash` is the constant data of the generated C, `ram` its arena with input and output; the code that a compiler
    makes for some target is in neither.
    """

    quantity: str
    limit: float
    text: str


def parse_budget(text: str) -> Budget:
    """`Budget` from its text. KB are 1024 bytes, k are 1000.

    >>> parse_budget("bytes<=16KB").limit
    16384.0

    Raises ValueError that names the text and the forms there are.
    """
    match = _FORM.match(text)
    if not match or match[1] not in QUANTITIES or match[3].lower() not in _ALLOWED_UNITS[match[1]]:
        raise ValueError(
            f"budget {text!r}: expected a quantity, <= and a limit, as in accuracy_drop<=1, params<=20k, "
            "macs<=83k, bytes<=16KB, activations<=8KB, flash<=16KB, ram<=8KB, latency<=2ms"
        )
    return Budget(match[1], float(match[2]) * _UNITS[match[3].lower()], text.strip())
