"""Budgets: what the user allows, as text (`accuracy_drop<=1`, `worst_class>=80`, `bytes<=16KB`) and as numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

AT_LEAST = ("accuracy", "balanced_accuracy", "worst_class")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "kb": 1024.0, "mb": 1024.0**2, "us": 1.0, "ms": 1e3, "%": 1.0}
_FORM = re.compile(r"^\s*([a-z_]+)\s*(<=|>=)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%]*)\s*$")
_ALLOWED_UNITS = {
    "accuracy_drop": ("", "%"),
    "balanced_accuracy": ("", "%"),
    "worst_class": ("", "%"),
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
    """A limit: a minimum for the quantities in `AT_LEAST`, a maximum for all others.

    Units: points of accuracy, percent, counts, bytes, microseconds at batch 1. `balanced_accuracy` is the mean of the
    classes' accuracies, `worst_class` the lowest of them. `flash` is the constant data of the generated C, `ram` its
    arena with input and output; neither includes the code that a compiler makes for a target.
    """

    quantity: str
    limit: float
    text: str

    @property
    def at_least(self) -> bool:
        """Whether it is a lower limit."""
        return self.quantity in AT_LEAST

    def allows(self, figure: float | None) -> bool:
        """Whether a value is within the limit; an unknown one is not. Accuracies are sums of fractions."""
        if figure is None:
            return False
        return figure >= self.limit - 1e-9 if self.at_least else figure <= self.limit + 1e-9


def parse_budget(text: str) -> Budget:
    """Parse the text of a `Budget`. KB are 1024 bytes, k are 1000.

    >>> parse_budget("bytes<=16KB").limit
    16384.0

    Raises ValueError naming the text and the valid forms.
    """
    match = _FORM.match(text)
    if not match or match[1] not in _ALLOWED_UNITS or match[4].lower() not in _ALLOWED_UNITS[match[1]]:
        raise ValueError(
            f"budget {text!r}: expected a quantity, <= or >= and a limit, as in accuracy_drop<=1, "
            "balanced_accuracy>=85, worst_class>=80, params<=20k, macs<=83k, bytes<=16KB, activations<=8KB, "
            "flash<=16KB, ram<=8KB, latency<=2ms"
        )
    budget = Budget(match[1], float(match[3]) * _UNITS[match[4].lower()], text.strip())
    _check(budget, match[2])
    return budget


def _check(budget: Budget, sign: str) -> None:
    right = ">=" if budget.at_least else "<="
    if sign != right:
        raise ValueError(
            f"budget {budget.text!r}: {budget.quantity} takes the opposite limit: {budget.quantity}{right}…"
        )
    if budget.at_least and budget.limit > 100:
        raise ValueError(f"budget {budget.text!r}: {budget.quantity} is in percent: give 0 to 100")
