"""What `niwaki cost` calls and prints."""

from __future__ import annotations

from pathlib import Path

from niwaki.cli.deploy import allow
from niwaki.cli.output import output, print_json, print_tabular
from niwaki.errors import SpecError
from niwaki.study.new import arguments


def cost(
    model: str, *, args: str | None, shape: str | None, boards: Path | None, as_json: bool, trust: bool
) -> None:  # fmt: skip
    """Print the table of boards."""
    from niwaki import api

    allow(trust)
    given = None if args is None else arguments(args)
    report = api.cost(model, args=given, shape=_sides(shape), boards=boards, trust=trust)
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
