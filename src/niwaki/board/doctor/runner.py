"""Compare the Python code of a bundle with the Python of a board."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from niwaki.board.build import RUNNER
from niwaki.board.doctor.report import Check
from niwaki.board.targets import BundleTarget

OLDEST = (3, 6)  # the oldest version that the runner supports
_SINCE = {  # modules of the standard library that were added later
    "dataclasses": (3, 7), "contextvars": (3, 7), "importlib.resources": (3, 7), "importlib.metadata": (3, 8),
    "graphlib": (3, 9), "zoneinfo": (3, 9), "tomllib": (3, 11),
}  # fmt: skip


def check_python(folder: Path, target: BundleTarget) -> Iterator[Check]:
    """Check that every file works with the board's Python version, and imports only its standard library."""
    files = sorted((folder / RUNNER).rglob("*.py"))
    if not files:
        yield Check("Python: syntax", False, f"no {RUNNER}/*.py")
        return
    version = min(OLDEST, target.python)
    trees, wrong = {}, []
    for file in files:
        place = file.relative_to(folder).as_posix()
        try:
            trees[place] = ast.parse(file.read_bytes(), place, feature_version=version)
        except (SyntaxError, ValueError) as error:
            wrong.append(f"{place}: {error}")
    text = ".".join(map(str, version))
    yield Check("Python: syntax", not wrong, wrong[0] if wrong else f"{len(files)} files, of Python {text}")
    strange = [f"{place} imports {name}" for place, tree in trees.items() for name in imports_of(tree, version)]
    found = strange[0] if strange else f"nothing but the standard library of Python {text}"
    yield Check("Python: imports", not strange, found)


def imports_of(tree: ast.Module, version: tuple[int, int]) -> Iterator[str]:
    """Modules that a file needs and that Python of that version lacks; optional ones do not count
    (`try: import … except ImportError`).
    """
    spared = {node for part in ast.walk(tree) if _may_fail(part) for node in ast.walk(part)}
    for node in ast.walk(tree):
        if node in spared:
            continue
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        yield from (name for name in names if not _is_standard(name, version))


def _may_fail(node: ast.AST) -> bool:
    if not isinstance(node, ast.Try):
        return False
    caught = [name for handler in node.handlers for name in _names(handler.type)]
    return "ImportError" in caught or "ModuleNotFoundError" in caught


def _names(node: ast.expr | None) -> Iterator[str]:
    for part in ast.walk(node) if node else ():
        if isinstance(part, ast.Name):
            yield part.id


def _is_standard(name: str, version: tuple[int, int]) -> bool:
    top = name.split(".", maxsplit=1)[0]
    since = _SINCE.get(name, _SINCE.get(top, (0, 0)))
    return top in sys.stdlib_module_names and since <= version
