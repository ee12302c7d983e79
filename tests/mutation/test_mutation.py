"""The lists of mutants, how they are counted, and the copy in which a module is mutated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.mutation.__main__ import Count, Mutant
from tests.mutation.stage import ROOT, Change, Module, build, modules, undecorated


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_list_speaks_of_files_and_lines_that_are_there(module: Module) -> None:
    lines = {line.strip() for line in (ROOT / module.path).read_text().splitlines()}
    gone = [line for change in module.equivalent for line in change.before.splitlines() if line not in lines]
    assert gone == []
    files = {test.removeprefix("--deselect=").partition("::")[0] for test in module.tests}
    assert all((ROOT / file).is_file() for file in files), files


def test_mutants_are_counted_without_those_that_are_listed() -> None:
    same, other, noticed = Change("f", "a", "b"), Change("f", "a", "c"), Change("g", "x", "y")
    module = Module("m", "m.py", ("test_m.py",), (same, noticed, Change("gone", "p", "q")))
    statuses = [(same, "survived"), (other, "no tests"), (noticed, "killed"), (other, "timeout")]
    count = Count(module, [Mutant(change, status) for change, status in statuses], 1.0)
    assert (count.killed, count.equivalent, count.survived) == (2, 1, [Mutant(other, "no tests")])
    assert count.percent == pytest.approx(100 * 2 / 3)
    assert [change.function for change in count.outdated] == ["g", "gone"]
    assert Count(replace(module, equivalent=(same, other)), count.mutants, 1.0).percent == 100


DECORATED = '''
class A:
    @property
    @cached(
        size=3,
    )
    def one(self):
        """The first."""
        return 1

    @classmethod
    def two(cls):
        return 2


@keeping()
def three():
    return 3
'''
PLAIN = '''
class A:
    def one(self):
        """The first."""
        return 1
    one = cached(size=3)(one)
    one = property(one)

    @classmethod
    def two(cls):
        return 2


def three():
    return 3
three = keeping()(three)
'''


def test_decorators_are_called_below_their_functions() -> None:
    assert undecorated(DECORATED) == PLAIN


def test_the_copy_has_the_module_the_tests_and_the_settings(tmp_path: Path) -> None:
    module = Module("budget", "src/niwaki/study/budget.py", ("tests/study/test_budget.py",))
    build(module, tmp_path / "copy")
    copied = (tmp_path / "copy" / module.path).read_text()
    assert "    at_least = property(at_least)\n" in copied
    assert (tmp_path / "copy" / "tests" / "study" / "test_budget.py").is_file()
    settings = (tmp_path / "copy" / "pyproject.toml").read_text()
    assert "only_mutate = ['src/niwaki/study/budget.py']" in settings
    assert "strict-config" in settings  # pytest's own
