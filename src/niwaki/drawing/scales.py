"""From values to pixels, and the positions of ticks: round numbers, powers of ten and their 2 and 5."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from niwaki.drawing.chart import Axis, Unit

NARROW = 4  # ticks of a logarithmic axis with fewer than two of its own
ROOM = 0.06  # of the range, left free at both ends


@dataclass(frozen=True)
class Scaled:
    """An axis laid out over pixels from `start` to `end` (which is below `start` for a y axis)."""

    axis: Axis
    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def at(self, value: float | str) -> float:
        """The pixel of a value, or of the middle of a category."""
        if self.axis.scale == "category":
            place = self.axis.categories.index(str(value)) + 0.5
            return self.start + (self.end - self.start) * place / len(self.axis.categories)
        number = math.log10(float(value)) if self.axis.scale == "log" else float(value)
        return self.start + (self.end - self.start) * (number - self.low) / (self.high - self.low)

    @property
    def labels(self) -> list[tuple[float, str]]:
        """Pixels and texts of the ticks."""
        if self.axis.scale == "category":
            return [(self.at(name), name) for name in self.axis.categories]
        return [(self.at(tick), tick_text(tick, self.axis.unit, self._step)) for tick in self.ticks]

    @property
    def _step(self) -> float:
        steps = [b - a for a, b in zip(self.ticks, self.ticks[1:], strict=False)]
        return min(steps, default=1.0)


def scaled(axis: Axis, values: Iterable[float], start: float, end: float, *, most: int = 6) -> Scaled:
    """Lay an axis out for `values`, with room at the ends and at most about `most` ticks."""
    if axis.scale == "category":
        return Scaled(axis, 0, 1, start, end, ())
    known = [*values, *axis.ticks, *axis.reach] or [0.0, 1.0]
    if axis.scale == "log":
        return _logarithmic(axis, [value for value in known if value > 0] or [1.0, 10.0], start, end, most)
    if axis.unit == "percent":  # an error bar may extend beyond the possible values
        known = [min(max(value, 0.0), 100.0) for value in known]
    low, high = min(known), max(known)
    if axis.from_zero:
        low = min(0.0, low)
    room = ROOM * (high - low) or max(abs(high) * ROOM, 0.5)
    top = high + room
    bottom = low if axis.from_zero and low == 0 else low - room
    if axis.unit == "percent":
        bottom = max(bottom, 0.0)
        top = min(top, 100.0 if high < 100 else 100 + room / 2)
    ticks = axis.ticks or tuple(
        tick for tick in round_ticks(bottom, top, most)
        if bottom <= tick <= top and not (axis.unit == "percent" and tick > 100)
    )  # fmt: skip
    return Scaled(axis, bottom, top, start, end, ticks)


def _logarithmic(axis: Axis, values: Sequence[float], start: float, end: float, most: int) -> Scaled:
    low, high = math.log10(min(values)), math.log10(max(values))
    room = ROOM * (high - low) or 0.2
    low, high = low - room, high + room
    ticks = axis.ticks or log_ticks(10**low, 10**high, most)
    return Scaled(axis, low, high, start, end, tuple(ticks))


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most about `most` of them.

    >>> round_ticks(0, 61_706, 5)
    [0.0, 20000.0, 40000.0, 60000.0]
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(count * step, 10) for count in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten, with their 2 and 5 if there is room, or every digit or round numbers if the range is small.

    >>> log_ticks(400, 70_000, 6)
    [1000.0, 10000.0]
    """
    for digits in ((1,), (1, 2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [
            digit * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for digit in digits
            if low <= digit * 10.0**power <= high
        ]
        if len(ticks) >= 2:
            return ticks if len(ticks) <= 2 * most else ticks[:: math.ceil(len(ticks) / most)]
    return [tick for tick in round_ticks(low, high, NARROW) if low <= tick <= high]


def tick_text(value: float, unit: Unit, step: float = 1.0) -> str:
    """The number at a tick: thousands as k, and no more decimals than the steps need.

    >>> tick_text(20_000, "count"), tick_text(2.5, "us", 2.5), tick_text(0.0001, "number")
    ('20k', '2.5', '1e-4')
    """
    if unit in ("count", "bytes") and abs(value) >= 1000:
        return _short(value)
    if value and abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    decimals = next(d for d in range(7) if d == 6 or (_exact(value, d) and _exact(step, d)))
    return f"{value:,.{decimals}f}"


def _exact(value: float, decimals: int) -> bool:
    return abs(round(value, decimals) - value) < 1e-9


def _short(value: float) -> str:
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{letter}"
    return f"{value:g}"
