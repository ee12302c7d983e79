"""The contract on imports: what each part of niwaki may import is a line in pyproject.toml; all else is forbidden.

import-linter runs it (`contract_types` in pyproject.toml). A part is a package or a module directly below niwaki; a
room is a package within a part, with a line of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "niwaki"
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
Lines = Mapping[str, tuple[str, ...]]
"""The parts, top to bottom, with what each may import."""


def contract(pyproject: Path = PYPROJECT) -> Lines:
    """The lines of the parts as pyproject.toml has them."""
    return LinesField().parse(_table("arrows", pyproject))


def rooms(pyproject: Path = PYPROJECT) -> Lines:
    """The lines of the rooms as pyproject.toml has them."""
    return RoomsField().parse(_table("rooms", pyproject))


def _table(kind: str, pyproject: Path) -> dict[str, str]:
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    (lines,) = (entry["may_import"] for entry in contracts if entry["type"] == kind)
    return lines


class RoomsField(fields.Field[Lines]):
    """A table: each room with what it may import from outside, as `"codegen.graph" = "data, errors"`."""

    def parse(self, raw_data: Any) -> Lines:
        return {room: tuple(allowed.split(", ")) if allowed else () for room, allowed in raw_data.items()}


class LinesField(fields.Field[Lines]):
    """A table: each part with the parts that it may import, as `board = "codegen, vision"`.

    These stand below it, so that no circle can be written.
    """

    def parse(self, raw_data: Any) -> Lines:
        lines = RoomsField().parse(raw_data)
        parts = list(lines)
        for at, (part, allowed) in enumerate(lines.items()):
            for name in allowed:
                if name not in parts[at + 1 :]:
                    place = "does not stand below it" if name in parts else "has no line"
                    raise fields.ValidationError(f"{part} names {name}, which {place}")
        return lines


class Arrows(Contract):
    """Every import between two parts is in the line of the part that imports, and every name of a line is needed."""

    type_name = "arrows"
    may_import = LinesField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 (import-linter calls it so)
        parts = {_part(module) for module in graph.modules}
        return _checked(_findings(self.may_import, _arrows(graph, _between_parts), parts))

    def render_broken_contract(self, check: ContractCheck) -> None:
        _render(check)


class Rooms(Contract):
    """Every import that leaves a room is in its line: by the part it goes to, or within the part by the room.

    A module in no room of its own goes by what holds it: `codegen` in a line means what lies directly in codegen.
    """

    type_name = "rooms"
    may_import = RoomsField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 (import-linter calls it so)
        known = {f"{ROOT}.{room}" for room in self.may_import} & graph.modules
        packages = {module.rpartition(".")[0] for module in graph.modules}
        found = {room for room in known | packages if room.count(".") > 1}

        def between_rooms(module: str, imported: str) -> Iterator[tuple[str, str]]:
            for room in found:
                if _within(module, room) and not _within(imported, room):
                    yield _short(room), _seen_from(room, imported, found)

        return _checked(_findings(self.may_import, _arrows(graph, between_rooms), {_short(room) for room in found}))

    def render_broken_contract(self, check: ContractCheck) -> None:
        _render(check)


def _checked(findings: Iterator[str]) -> ContractCheck:
    listed = list(findings)
    return ContractCheck(kept=not listed, metadata={"findings": listed})


def _render(check: ContractCheck) -> None:
    for finding in check.metadata["findings"]:
        output.print_error(finding, bold=False)
    output.new_line()


def _part(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def _between_parts(module: str, imported: str) -> Iterator[tuple[str, str]]:
    if _part(module) != _part(imported):
        yield _part(module), _part(imported)


def _within(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


def _short(room: str) -> str:
    return room.removeprefix(f"{ROOT}.")


def _seen_from(room: str, imported: str, found: set[str]) -> str:
    """The part of another module, or in the own part the room that holds it and not `room`; else what holds both."""
    if _part(room) != _part(imported):
        return _part(imported)
    around = next(other for other in _upwards(room) if _within(imported, other))
    inner = ".".join(imported.split(".")[: around.count(".") + 2])
    return _short(inner if inner in found else around)


def _upwards(module: str) -> Iterator[str]:
    while module:
        yield module
        module = module.rpartition(".")[0]


def _arrows(
    graph: ImportGraph, between: Callable[[str, str], Iterator[tuple[str, str]]]
) -> dict[tuple[str, str], list[str]]:
    """The imports between each two parts or rooms, as `niwaki.api (line 19) imports niwaki.data.spec`."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            for ends in between(module, imported):
                line = graph.get_import_details(importer=module, imported=imported)[0]["line_number"]
                arrows.setdefault(ends, []).append(f"{module} (line {line}) imports {imported}")
    return arrows


def _findings(lines: Lines, arrows: Mapping[tuple[str, str], list[str]], parts: set[str]) -> Iterator[str]:
    for part in sorted(parts - set(lines)):
        yield f"{part}: give it a line in pyproject.toml"
    for part in sorted(set(lines) - parts):
        yield f"{part}: there is no such part; take its line out of pyproject.toml"
    for (part, other), imports in sorted(arrows.items()):
        if part in lines and other not in lines[part]:
            yield from (f"{found}: {part} may not import {other}" for found in imports)
    for part, allowed in lines.items():
        for name in allowed:
            if part in parts and (part, name) not in arrows:
                yield f"{part} does not import {name}: take it out of the line in pyproject.toml"
