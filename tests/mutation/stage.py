"""A copy of the project in which one module is mutated, with the tests that judge it."""

from __future__ import annotations

import ast
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PLAIN = ("staticmethod", "classmethod")  # decorators that mutmut goes below


@dataclass(frozen=True)
class Change:
    """What makes a mutant: the function, what stood in the lines that differ, and what stands there now."""

    function: str
    before: str
    after: str


@dataclass(frozen=True)
class Module:
    """A module to mutate: its file, the tests that judge it, and its mutants that no test is to kill."""

    name: str
    path: str
    tests: tuple[str, ...]
    equivalent: tuple[Change, ...] = ()


def modules() -> list[Module]:
    """All of them, by name: one TOML file each beside this one."""
    return [_module(file) for file in sorted(HERE.glob("*.toml"))]


def _module(file: Path) -> Module:
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    listed = tuple(
        Change(row["function"], row["before"].strip(), after.strip())
        for row in read.get("equivalent", ())
        if row["why"]
        for after in row["after"]
    )
    return Module(file.stem, read["path"], tuple(read["tests"]), listed)


def build(module: Module, folder: Path) -> None:
    """Copy the project into `folder`, ready for mutmut to run there."""
    shutil.rmtree(folder, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__", "mutation")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    mutated = folder / module.path
    mutated.write_text(undecorated(mutated.read_text(encoding="utf-8")), encoding="utf-8")
    # Examples are drawn the same way each time, and a failure is not made smaller: it only has to be one.
    (folder / "settled.py").write_text(
        "from hypothesis import Phase, settings\n"
        "phases = (Phase.explicit, Phase.generate)\n"
        'settings.register_profile("settled", derandomize=True, database=None, deadline=None, phases=phases)\n'
        'settings.load_profile("settled")\n'
    )
    own = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(own + _settings(module), encoding="utf-8")


def _settings(module: Module) -> str:
    """For mutmut; TOML has lists of text as Python has them."""
    plugins = ["-p", "pytest_timeout", "-p", "settled", "-p", "no:cacheprovider"]
    return (
        "\n[tool.mutmut]\n"
        'source_paths = ["src"]\n'
        f"only_mutate = {[module.path]}\n"
        f"pytest_add_cli_args_test_selection = {list(module.tests)}\n"
        f"pytest_add_cli_args = {plugins}\n"
        'also_copy = ["settled.py"]\n'
        "track_dependencies = false\n"
        "use_git_change_detection = false\n"
    )


def undecorated(source: str) -> str:
    """The same module with decorators called below their functions, since mutmut leaves decorated functions alone.

    >>> print(undecorated("@cache\\ndef one():\\n    return 1\\n"))
    def one():
        return 1
    one = cache(one)
    <BLANKLINE>
    """
    lines = source.split("\n")
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda node: -node.lineno):  # from the last one, so that line numbers hold
        names = [ast.unparse(decorator) for decorator in node.decorator_list]
        if not names or set(names) <= set(PLAIN) or node.col_offset > 4 or any(".setter" in name for name in names):
            continue
        first, last = node.decorator_list[0].lineno - 1, node.end_lineno or node.lineno
        calls = [f"{' ' * node.col_offset}{node.name} = {name}({node.name})" for name in reversed(names)]
        lines[first:last] = [*lines[node.lineno - 1 : last], *calls]
    return "\n".join(lines)
