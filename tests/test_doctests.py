"""The examples in docstrings run, and print what they show."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import niwaki
from small_study import HEAD

HOME = Path(niwaki.__file__).parent
FOR_USERS = (
    "niwaki.api.data",
    "niwaki.api.forms",
    "niwaki.api.importing",
    "niwaki.api.steps",
    "niwaki.api.studies",
    "niwaki.api.boards",
)
TINY = HEAD.replace("steps = 2", "steps = 1") + '[[experiment]]\nname = "ratio"\nset = {{ "prune.ratio" = 0.5 }}\n'


def examples() -> Iterator[str]:
    for file in sorted(HOME.rglob("*.py")):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if ">>> " in line]
        if any("+SKIP" not in line for line in lines):
            yield ".".join(("niwaki", *file.relative_to(HOME).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("module", [name for name in examples() if name not in FOR_USERS and name != "niwaki"])
def test_examples_give_what_they_say(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(module)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, small_npz: Path) -> Path:
    """What users' examples find: a model file, its exported forms, a study that has run."""
    folder = tmp_path_factory.mktemp("workshop")
    data = niwaki.load_data("synthetic", limit=200, validation=40, test_limit=60)
    model = niwaki.LeNet5()
    niwaki.train(model, data, epochs=1)
    niwaki.save(model, folder / "small.safetensors", factory="lenet5", data=data)
    niwaki.export(folder / "small.safetensors", folder / "exported", to=["onnx-int8", "c"], images=100)
    (folder / "tiny.toml").write_text(TINY.format(data=small_npz))
    niwaki.run_study(folder / "tiny.toml", out=folder / "studies" / "tiny", jobs=1)
    return folder


@pytest.mark.parametrize("module", [*FOR_USERS[:-1], pytest.param(FOR_USERS[-1], marks=pytest.mark.soak)])
def test_examples_for_users_do_what_they_say(module: str, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop)
    check(
        module,
        np=np,
        data=niwaki.load_data("synthetic", limit=200, validation=40, test_limit=60),
        model=niwaki.LeNet5(),
    )


def test_every_public_function_has_an_example() -> None:
    without = [name for name in niwaki.__all__ if ">>> " not in (getattr(niwaki, name).__doc__ or "")]
    assert without == []


def check(module: str, **names: object) -> None:
    found = doctest.testmod(importlib.import_module(module), extraglobs={"niwaki": niwaki, **names})
    assert found.failed == 0
    assert found.attempted > 0
