"""The user's files that a factory's code consists of: the file that defines it and everything that it imports."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_OWN = Path(__file__).resolve().parents[1]  # niwaki itself: when it changes, the versions of stages are raised
_CALLS = ("import_module", "__import__")


def hash_of_code(file: Path, modules: tuple[str, ...]) -> str:
    """The SHA-256 of `file`, or, if other files of the user belong to it, one over all of them by module name.

    These are the files of `modules` and everything that they import, directly or not, from outside the standard library
    and installed packages. It reads imports from the code, so those inside functions count too; it does not see imports
    of computed names, or data that the code reads. Empty files do not count. Raises OSError if a file cannot be read.
    """
    found = {path.resolve(): name for name, path in sorted(_local_files(modules), reverse=True)}
    found.setdefault(file.resolve(), "")
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
    whole = [path for path in found if path == file.resolve() or path.read_bytes().strip()]
    if len(whole) == 1:
        return digests[file.resolve()]
    lines = sorted(f"{found[path]} {digests[path]}\n" for path in whole)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _local_files(modules: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """The name and file of each of the user's modules that `modules` lead to."""
    seen: set[str] = set()
    waiting = [name for module in modules for name in _with_parents(module)]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        spec = _spec(name)
        if spec is None or not spec.has_location or spec.origin is None or not _is_local(Path(spec.origin)):
            continue
        yield name, Path(spec.origin)
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        waiting.extend(part for other in _imports(Path(spec.origin), name, package) for part in _with_parents(other))


def _with_parents(name: str) -> list[str]:
    """`a.b.c` and the packages whose code runs when it is imported: a, a.b, a.b.c."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


@cache
def _foreign_folders() -> tuple[Path, ...]:
    """The folders of Python's own modules, of installed ones and of niwaki."""
    stated = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    stated += [*site.getsitepackages(), site.getusersitepackages()]
    return (_OWN, *(Path(folder).resolve() for folder in stated if folder))


def _is_local(file: Path) -> bool:
    path = file.resolve()
    return not any(path.is_relative_to(folder) for folder in _foreign_folders())


def _spec(name: str) -> ModuleSpec | None:
    """The file of a module, without importing it; None if there is no such module, or it has no file."""
    top, _, _ = name.partition(".")
    if top in sys.stdlib_module_names:
        return None
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if isinstance(loaded, ModuleSpec):
        return loaded
    try:
        if top == name:
            return importlib.util.find_spec(name)
        parent = _spec(name.rpartition(".")[0])
        places = parent.submodule_search_locations if parent else None
        return PathFinder.find_spec(name, list(places)) if places is not None else None
    except (ImportError, ValueError, AttributeError):
        return None


def _imports(file: Path, module: str, package: str) -> Iterator[str]:
    """The names that a file may import; an attribute of a module looks like a module here, but leads nowhere."""
    if file.suffix != ".py":
        return
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names)) if base else ()
        elif isinstance(node, ast.Call) and _name(node.func) in _CALLS and node.args:
            yield from _called_for(node, {"__name__": module, "__package__": package})


def _called_for(call: ast.Call, known: Mapping[str, str]) -> Iterator[str]:
    """The module that `import_module(name, package)` imports, if the code states both; `known` are names."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "package"]
    name, package = (_text(node, known) for node in (call.args[0], [*call.args[1:2], *named, None][0]))
    with contextlib.suppress(ImportError):  # it leads out of its package
        if name and (package or not name.startswith(".")):
            yield importlib.util.resolve_name(name, package)


def _text(node: ast.expr | None, known: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that `from … import` names, made absolute."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _name(call: ast.expr) -> str:
    return call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
