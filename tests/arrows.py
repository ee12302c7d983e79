"""The contract on imports: what each part of niwaki may import is a line in pyproject.toml; all else is forbidden.

import-linter runs it (`contract_types` in pyproject.toml). A part is a package or a module directly below niwaki.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "niwaki"
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
Lines = Mapping[str, tuple[str, ...]]
"""The parts, top to bottom, with what each may import."""


def contract(pyproject: Path = PYPROJECT) -> Lines:
    """The lines as pyproject.toml has them."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    (lines,) = (entry["may_import"] for entry in contracts if entry["type"] == "arrows")
    return LinesField().parse(lines)


class LinesField(fields.Field[Lines]):
    """A table: each part with the parts that it may import, as `board = "codegen, vision"`.

    These stand below it, so that no circle can be written.
    """

    def parse(self, raw_data: Any) -> Lines:
        lines = {part: tuple(allowed.split(", ")) if allowed else () for part, allowed in raw_data.items()}
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
        findings = list(_findings(self.may_import, _arrows(graph), {_part(module) for module in graph.modules}))
        return ContractCheck(kept=not findings, metadata={"findings": findings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for finding in check.metadata["findings"]:
            output.print_error(finding, bold=False)
        output.new_line()


def _part(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def _arrows(graph: ImportGraph) -> dict[tuple[str, str], list[str]]:
    """The imports between each two parts, as `niwaki.api (line 19) imports niwaki.data.spec`."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            ends = _part(module), _part(imported)
            if ends[0] != ends[1]:
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
