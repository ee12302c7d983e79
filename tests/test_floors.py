"""The lowest versions that `make floors` installs, and the lowest Python that the lock can be installed with."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from floors import lowest

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
MANY = 50  # of the about 100 locked packages that `make test` installs


def test_the_lower_end_of_each_range():
    assert lowest(["torch>=2.9,<3", "numpy>=1.26", "x-y[extra]>=1.0.2"]) == ["torch==2.9", "numpy==1.26", "x-y==1.0.2"]


def test_a_dependency_without_a_lower_end():
    with pytest.raises(ValueError, match="no lower end: rich<15, typer"):
        lowest(["torch>=2.9", "rich<15", "typer"])


def test_the_lock_can_be_installed_with_the_lowest_python():
    """A lock made with Python 3.11.7 once named a release that 3.11.2, Debian 12's, cannot install."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    lowest_python = Version(f"{project['requires-python'].removeprefix('>=')}.0")
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", PROJECT.with_name("requirements.lock").read_text("utf-8"), re.M))
    needs = {
        f"{name}=={version}": found.metadata["Requires-Python"] or ""
        for name, version in locked.items()
        if (found := _installed(name)) is not None and found.version.partition("+")[0] == version
    }
    assert len(needs) >= MANY
    assert [name for name, need in needs.items() if lowest_python not in SpecifierSet(need)] == []


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
