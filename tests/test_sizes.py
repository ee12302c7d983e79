"""Packages and modules stay readable in size."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import niwaki

SOURCES = Path(niwaki.__file__).parent
WRITTEN = (".py", ".c", ".h", ".js", ".j2", ".in")


def lines_of(*files: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in files)


@pytest.mark.parametrize("package", sorted(file.parent.name for file in SOURCES.glob("*/__init__.py")))
def test_a_package_has_at_most_5500_lines(package: str) -> None:
    assert 0 < lines_of(*(file for file in (SOURCES / package).rglob("*") if file.suffix in WRITTEN)) <= 5500


def test_a_module_has_at_most_350_lines() -> None:
    assert {str(file): lines for file in SOURCES.rglob("*.py") if (lines := lines_of(file)) > 350} == {}


def test_no_function_is_longer_than_a_page() -> None:
    long = []
    for file in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > 60:
                long.append(f"{file.relative_to(SOURCES)}:{node.lineno} {node.name}")
    assert long == []


def test_values_without_a_type_stay_at_the_edge() -> None:
    """`dict[str, Any]` and `Mapping[str, Any]`: JSON where it comes in or goes out, arguments of factories."""
    lines = [line for file in SOURCES.rglob("*.py") for line in file.read_text(encoding="utf-8").splitlines()]
    assert sum("dict[str, Any]" in line or "Mapping[str, Any]" in line for line in lines) <= 50
