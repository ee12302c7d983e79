"""What `niwaki cost` calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from niwaki.cli.deploy import allow, bytes_of
from niwaki.cli.output import output, print_json, print_tabular
from niwaki.errors import SpecError
from niwaki.study.new import arguments
from niwaki.tabular import Tabular


class Report(Protocol):
    """What a network costs."""

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        ...

    def table(self) -> Tabular:
        """A row for each board."""
        ...


def cost(
    model: str, *, args: str | None, shape: str | None, boards: Path | None, ram_limit: str | None, trust: bool
) -> Report:  # fmt: skip
    """What a network costs on every known board."""
    from niwaki import api

    allow(trust)
    given, limit = None if args is None else arguments(args), bytes_of(ram_limit)
    return api.cost(model, args=given, shape=_sides(shape), boards=boards, ram_limit=limit, trust=trust)


def show(report: Report, *, as_json: bool) -> None:
    """Print the table of boards."""
    if as_json:
        print_json(report.to_dict())
    else:
        print_tabular(output(), report.table())


def _sides(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sides = text.split(",")
    if len(sides) != 3 or not all(side.strip().isdigit() and int(side) > 0 for side in sides):
        raise SpecError(f"--shape {text}: expected channels, height and width, as in 1,32,32")
    return tuple(int(side) for side in sides)
