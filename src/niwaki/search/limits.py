"""What a network may cost, and how good it must be: the text "flash<=16KB, ram<=2KB" as limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from niwaki.errors import Setting, SpecError, guess
from niwaki.study.budget import Budget

_COUNT, _BYTES, _PERCENT = ("", "k", "m"), ("", "b", "kb", "mb"), ("", "%")
_TIME = ("us", "ms")
_FACTORS = {"": 1.0, "b": 1.0, "k": 1e3, "m": 1e6, "kb": 1024.0, "mb": 1024.0**2, "%": 1.0, "us": 1.0, "ms": 1e3}
EXACT = ("constants", "ram", "macs")
"""Known before training, without a compiler."""
COMPILED = ("flash", "stack", "instructions")
"""Known for a target, from its compiler or emulator; they need no training either."""
AT_LEAST = ("accuracy", "balanced_accuracy", "worst_class")
TRAINED = ("accuracy_drop", *AT_LEAST, "latency")
"""Known for a trained network only."""
UNITS: dict[str, tuple[str, ...]] = {
    "constants": _BYTES, "flash": _BYTES, "ram": _BYTES, "stack": _BYTES, "macs": _COUNT, "instructions": _COUNT,
    "accuracy_drop": _PERCENT, "accuracy": _PERCENT, "balanced_accuracy": _PERCENT, "worst_class": _PERCENT,
    "latency": _TIME,
}  # fmt: skip
MINIMIZED = ("constants", "flash", "ram", "macs", "instructions")
_FORM = re.compile(r"^\s*([A-Za-z_]+)\s*(<=|>=|<|>|=)\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%]*)\s*$")


@dataclass(frozen=True)
class Limits:
    """Everything that a network must keep to. `text` is what the user wrote."""

    budgets: tuple[Budget, ...]
    text: str

    def of(self, quantities: Sequence[str]) -> tuple[Budget, ...]:
        """The limits of these quantities."""
        return tuple(budget for budget in self.budgets if budget.quantity in quantities)

    def broken(
        self, figures: Mapping[str, float | None], quantities: Sequence[str] | None = None
    ) -> tuple[Budget, ...]:
        """The limits that figures break; a figure that is unknown breaks its limit."""
        chosen = self.budgets if quantities is None else self.of(quantities)
        return tuple(budget for budget in chosen if not budget.allows(figures.get(budget.quantity)))

    @property
    def ram(self) -> int | None:
        """The limit on RAM in whole bytes, as an export takes it; None without one."""
        return next((math.floor(limit.limit) for limit in self.of(("ram",))), None)

    @property
    def needs_target(self) -> bool:
        """Whether a compiler or an emulator must measure something."""
        return bool(self.of(COMPILED))


def parse_fit(text: str, drop: float | None = None) -> Limits:
    """The limits in a text, separated by commas; `drop` adds `accuracy_drop<=drop`.

    KB are 1024 bytes, k are 1000. Raises SpecError, naming what is wrong and what is known, for an unknown quantity or
    unit, a limit in the wrong direction, two limits of one quantity, and a text without any.

    >>> [(limit.quantity, limit.limit) for limit in parse_fit("flash<=16KB, macs<=80k").budgets]
    [('flash', 16384.0), ('macs', 80000.0)]
    """
    parts = [part for part in text.split(",") if part.strip()]
    if drop is not None:
        parts.append(f"accuracy_drop<={drop:g}")
    if not parts:
        raise SpecError(Setting("fit"), ": no limit is given; one is, for example, constants<=16KB")
    budgets = tuple(map(_parsed, parts))
    names = [budget.quantity for budget in budgets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise SpecError(f"fit: {twice} has two limits: give one")
    return Limits(budgets, ", ".join(budget.text for budget in budgets))


def _parsed(text: str) -> Budget:
    match = _FORM.match(text)
    if match is None:
        raise SpecError(f"fit: {text.strip()!r}: expected a quantity, <= or >=, and a number, as in constants<=16KB")
    word, sign, number, unit = match.groups()
    if word not in UNITS:
        raise SpecError(f"fit: unknown quantity {word!r}: {guess(word.lower(), UNITS)}known are {', '.join(UNITS)}")
    if unit.lower().replace("µ", "u") not in UNITS[word]:
        units = [name.upper() if UNITS[word] is _BYTES else name for name in UNITS[word] if name]
        bare = " or no unit" if "" in UNITS[word] else ""
        near = guess(unit.lower(), [name for name in UNITS[word] if name])
        raise SpecError(f"fit: {text.strip()!r}: {word} has no unit {unit!r}: {near}use {', '.join(units)}{bare}")
    right = ">=" if word in AT_LEAST else "<="
    if sign != right:
        raise SpecError(f"fit: {text.strip()!r}: {word} takes {right}: {word}{right}{number}{unit}")
    budget = Budget(word, float(number) * _FACTORS[unit.lower().replace("µ", "u")], f"{word}{right}{number}{unit}")
    if budget.at_least and budget.limit > 100:
        raise SpecError(f"fit: {text.strip()!r}: {word} is in percent: give 0 to 100")
    return budget
