"""From a factory's name to a module: `lenet5`, or the user's `package.module:callable`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from niwaki.errors import FactoryError, Setting, guess, kind_and_line
from niwaki.models.generators import seeded
from niwaki.models.sources import hash_of_code

BUILT_IN = {"lenet5": "niwaki.models.lenet5:LeNet5", "separable": "niwaki.models.separable:Separable"}


def is_foreign(factory: str) -> bool:
    """Whether building `factory` runs code that is not part of niwaki."""
    return factory not in BUILT_IN


def check_name(factory: str) -> None:
    """Raise FactoryError if `factory` is neither built in nor of the form package.module:callable."""
    module_name, _, attribute = factory.partition(":")
    if is_foreign(factory) and not (module_name and attribute):
        raise FactoryError(
            f"factory {factory!r}: {guess(factory, BUILT_IN)}expected one of {', '.join(BUILT_IN)}, "
            "or package.module:callable (mynet:build)"
        )


def check_trust(factory: str, trust: bool) -> None:
    """Refuse to import a foreign factory that the user has not trusted; no trust helps a misspelt name."""
    check_name(factory)
    if is_foreign(factory) and not trust:
        raise FactoryError(
            f"the factory {factory!r} is not niwaki's: building it runs its code; if you trust it, say ",
            Setting("trust", "True"), f", or use one of: {', '.join(BUILT_IN)}",
        )  # fmt: skip


def look_in(paths: Sequence[str]) -> None:
    """Let the user's modules in these folders be imported, before any other of the same name."""
    sys.path[:0] = [path for path in paths if path not in sys.path]


def find(factory: str) -> Callable[..., Any]:
    """The callable behind a factory's name. The caller has checked trust."""
    check_name(factory)
    return find_callable(BUILT_IN.get(factory, factory), f"factory {factory!r}")


def find_callable(path: str, said: str) -> Callable[..., Any]:
    """What is called package.module:callable; `said` names it in errors. Raises FactoryError if there is none."""
    module_name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise FactoryError(f"{said}: {_absent(error, module_name)}") from error
    except Exception as error:  # a user's module may fail in any way on import
        why = f"importing {module_name} failed: {kind_and_line(error)}{_way_out(error)}"
        raise FactoryError(f"{said}: {why}") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise FactoryError(f"{said}: {module_name} has no {attribute!r}; check the spelling")
        found = getattr(found, name)
    if not callable(found):
        raise FactoryError(f"{said}: {attribute} is a {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]


def parameters(factory: str) -> dict[str, inspect.Parameter]:
    """The parameters of a factory by name; none if it does not state them. The caller has checked trust."""
    try:
        return dict(inspect.signature(find(factory)).parameters)
    except (TypeError, ValueError):
        return {}


def _absent(error: ModuleNotFoundError, module_name: str) -> str:
    """Which module is not there: the factory's own, or one that it imports."""
    if error.name is None:
        return f"importing {module_name} failed: {kind_and_line(error)}"
    if f"{module_name}.".startswith(f"{error.name}."):
        return f"there is no module {error.name!r}: check the spelling, run this in its folder, or install it"
    return f"there is no module {error.name!r}, which {module_name} imports: install it"


def _way_out(error: Exception) -> str:
    """What helps if torchvision, which timm needs, was built for another torch: its operators are missing."""
    if "torchvision::" not in str(error):
        return ""
    return (
        f": this torchvision was built for another torch: install the one that belongs to torch {torch.__version__}, "
        "both for the CPU or both for the same CUDA"
    )


def build(factory: str, args: Mapping[str, Any], *, trust: bool = False) -> nn.Module:
    """A fresh module from a factory's name and keyword arguments; weights come from the global generators.

    Raises FactoryError if the factory is foreign and not trusted, does not import, refuses `args` or
    returns something other than a module.
    """
    check_trust(factory, trust)
    make = find(factory)
    try:
        module = make(**args)
    except TypeError as error:
        raise FactoryError(f"factory {factory!r} does not take {dict(args)!r}: {kind_and_line(error)}") from error
    except Exception as error:
        raise FactoryError(f"factory {factory!r} with {dict(args)!r} failed: {kind_and_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise FactoryError(f"factory {factory!r} returned a {type(module).__name__}, expected a torch.nn.Module")
    return module


def build_seeded(factory: str, args: Mapping[str, Any], seed: int, *, trust: bool = False) -> nn.Module:
    """Call `build` with weights drawn from `seed`, and restore all global generators."""
    with seeded(seed):
        return build(factory, args, trust=trust)


def source_hash(factory: str) -> str:
    """What identifies a factory's code: a SHA-256 of the file that defines it and of all of the user's own files that
    this imports, directly or not (`sources.hash_of_code`); the name alone if built in.
    """
    return source_of(factory, f"factory {factory!r}") if is_foreign(factory) else f"built-in:{factory}"


def source_of(path: str, said: str) -> str:
    """The same of any package.module:callable; `said` names it in errors."""
    made_by = inspect.unwrap(find_callable(path, said))
    try:
        file = inspect.getsourcefile(made_by)
    except TypeError:  # an object that can be called, but neither a function nor a class
        file = None
    if file is None or not Path(file).is_file():  # code executed from a text may have a name that is not a file's
        raise FactoryError(
            f"{said}: its source file cannot be found, so results could not be told apart; "
            "make it a function or a class in a file"
        )
    try:
        return hash_of_code(Path(file), tuple(name for name in (path.partition(":")[0], made_by.__module__) if name))
    except OSError as error:
        raise FactoryError(f"{said}: {error.filename}: cannot be read: {error.strerror}") from error
