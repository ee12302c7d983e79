"""The examples in docstrings run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import niwaki

HOME = Path(niwaki.__file__).parent


def examples() -> Iterator[str]:
    for file in sorted(HOME.rglob("*.py")):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if ">>> " in line]
        if any("+SKIP" not in line for line in lines):
            yield ".".join(("niwaki", *file.relative_to(HOME).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("module", list(examples()))
def test_examples_give_what_they_say(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module), extraglobs={"niwaki": niwaki})
    assert found.failed == 0
    assert found.attempted > 0
