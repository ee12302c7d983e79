"""Two studies side by side as data: the settings that differ, and the rows that both have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from niwaki.reporting.findings import noise
from niwaki.reporting.tables import Figure, Row, Table, make_tables
from niwaki.reporting.view import View
from niwaki.reporting.words import Words

UNKNOWN = "–"


@dataclass(frozen=True)
class Side:
    """One of the two: `name` is its letter and its folder's name."""

    letter: str
    view: View
    tables: tuple[Table, ...]

    @property
    def name(self) -> str:
        """Its name on the page: `A (mine)`."""
        return f"{self.letter} ({self.view.folder.resolve().name})"


@dataclass(frozen=True)
class Both:
    """A row that both studies have, in the tables of the first and the second."""

    first: Row
    second: Row

    def gap(self, name: str) -> float | None:
        """How much more the second has; None if one of them lacks it."""
        figures = [row.figures.get(name) for row in (self.first, self.second)]
        one, other = figures
        return None if one is None or other is None else other.mean - one.mean

    def figures(self, name: str) -> tuple[Figure | None, Figure | None]:
        """The figures of both."""
        return self.first.figures.get(name), self.second.figures.get(name)


def sides(first: View, second: View, words: Words) -> tuple[Side, Side]:
    """Both studies with their tables."""
    made = [tuple(make_tables(view, words)) for view in (first, second)]
    return Side("A", first, made[0]), Side("B", second, made[1])


def settings(view: View) -> dict[str, str]:
    """Every setting that can change a result, by its dotted key, including the data and what was trained on."""
    spec = view.spec.model_dump(mode="json", exclude={"title", "experiment"})
    found = dict(_flat(spec))
    found["data.fingerprint"] = view.data.fingerprint
    for experiment in view.spec.experiment:
        shown = experiment.model_dump(mode="json", include={"vary", "set", "longer", "from_scratch"})
        found |= dict(_flat(shown, f"experiment.{experiment.name}."))
    machine = {"machine": view.environment.machine, "system": view.environment.system, **view.environment.versions}
    return found | dict(_flat(machine))


def differing(first: View, second: View) -> list[tuple[str, str, str]]:
    """The settings that differ: key, value here, value there; a dash if a study lacks it."""
    ours, theirs = settings(first), settings(second)
    keys = dict.fromkeys((*ours, *theirs))
    return [(key, ours.get(key, UNKNOWN), theirs.get(key, UNKNOWN)) for key in keys if ours.get(key) != theirs.get(key)]


def _flat(value: Any, way: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{way}{key}." if isinstance(part, Mapping) and part else f"{way}{key}")
    elif value is not None:
        yield way, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def shared(first: Table, second: Table) -> list[Both]:
    """The rows of the same value, step and form, in the order of the first table."""
    there = {_identity(row): row for row in second.rows}
    return [Both(row, there[_identity(row)]) for row in first.rows if _identity(row) in there and row.figures]


def _identity(row: Row) -> tuple[object, ...]:
    return repr(row.value), row.step, row.quantized


def is_beyond_noise(first: View, second: View, pair: Both) -> bool:
    """Whether the accuracies differ by more than the uncertainty from their test images (95 %)."""
    one, other = pair.figures("accuracy")
    if one is None or other is None:
        return False
    return abs(other.mean - one.mean) > math.hypot(noise(first, one.mean), noise(second, other.mean))
