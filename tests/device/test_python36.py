"""Every file of the runner is Python 3.6 and imports only itself and the standard library."""

import ast
import sys

import pytest

from device.foreign import DEVICE, foreign_python

FILES = sorted(DEVICE.rglob("*.py"))
CAME_LATER = {
    "contextvars",
    "dataclasses",
    "graphlib",
    "tomllib",
    "zoneinfo",
    "importlib.resources",
    "importlib.metadata",
}

LATER_SYNTAX = (
    "if (n := 1): pass",
    "def f(a, /): pass",
    "with (open(a) as b, open(c) as d): pass",
    "match x:\n case 1: pass",
)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 6))


def imported(tree):
    """Names of the modules that are not the runner's own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEVICE)))
def test_syntax_and_imports(path):
    modules = set(imported(tree_of(path)))
    foreign = {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names or name in CAME_LATER}
    assert foreign == set()


def test_the_check_itself():
    """It would find later syntax, other packages, and a way around relative imports."""
    for later in LATER_SYNTAX:
        with pytest.raises(SyntaxError):
            ast.parse(later, feature_version=(3, 6))
    assert set(imported(ast.parse("import numpy.linalg, os\nfrom niwaki import api\nfrom ..a import b"))) == {
        "numpy.linalg", "os", "niwaki",
    }  # fmt: skip


def test_python_36_itself_compiles_every_file():
    """Where it is here: what the grammar allows and 3.6 still refuses, such as a later `from __future__`."""
    source = "import sys\nfor name in sys.argv[1:]:\n    compile(open(name, encoding='utf-8').read(), name, 'exec')"
    done = foreign_python("3.6").run("-c", source, *FILES)
    assert (done.returncode, done.stderr) == (0, "")
