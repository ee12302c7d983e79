"""A public function stays what `niwaki.NAME` returns, whatever was imported before."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import niwaki

PLANNED = ["compress"]


@pytest.fixture(scope="module")
def _all_imported() -> None:
    """Every module of niwaki, but those that run a program."""
    for module in pkgutil.walk_packages(niwaki.__path__, "niwaki."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.mark.usefixtures("_all_imported")
def test_a_public_name_is_what_its_module_defines() -> None:
    for name in niwaki.__all__:
        value = getattr(niwaki, name)
        assert callable(value), name
        assert value is getattr(importlib.import_module(value.__module__), name)


@pytest.mark.usefixtures("_all_imported")
@pytest.mark.parametrize("name", sorted(name for name in niwaki.__all__ if name.islower()))
def test_a_public_function_can_be_called(name: str) -> None:
    """With an argument that none has: a module in its place would say that it is not callable."""
    with pytest.raises((niwaki.NiwakiError, TypeError)) as refused:
        getattr(niwaki, name)(no_such_argument=1)
    assert "not callable" not in str(refused.value)
    assert "no_such_argument" in str(refused.value) or "missing" in str(refused.value)


def test_no_package_bears_a_public_name() -> None:
    """Importing `niwaki.report`, a package, would replace `niwaki.report`, a function."""
    parts = {module.name for module in pkgutil.iter_modules(niwaki.__path__)}
    assert not parts & {*niwaki.__all__, *PLANNED}
