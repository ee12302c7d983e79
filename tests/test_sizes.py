"""Packages and modules stay of a size that one can read."""

from __future__ import annotations

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
