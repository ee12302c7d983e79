"""Checks of the arguments of niwaki's Python functions, made before anything runs; and where their warnings point."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError
from torch import nn

from niwaki.data.dataset import Dataset
from niwaki.device.text import listed, printable
from niwaki.errors import SpecError, explain, guess
from niwaki.models.examine import check_usable

Settings = TypeVar("Settings", bound=BaseModel)
SPLITS = ("train", "validation", "test")


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "str | None": (str, type(None)),
    "str | Path": (str, Path),
    "str | Path | None": (str, Path, type(None)),
}
"""The annotations that are checked, and the types that each one accepts."""
_TEXTS = {
    "Sequence[str]": (list, tuple),
    "Sequence[str] | None": (list, tuple, type(None)),
    "str | Sequence[str]": (str, list, tuple),
    "tuple[str, ...] | list[str] | None": (list, tuple, type(None)),
}
"""The annotations of texts, and the types that each one accepts; every element must be a text."""
_SAID_BETTER = {"factory"}  # the function checks them itself
P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a public function so that an argument of the wrong type raises a SpecError of one clear line.

    It checks the arguments whose annotation is in `_KINDS`. The function itself checks everything else.
    """
    known = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = known.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise SpecError(f"niwaki.{function.__name__}: {_explained(known, kwargs, error)}") from None
        for name, value in given.items():
            if name in _SAID_BETTER:
                continue
            annotation = known.parameters[name].annotation
            _check_texts(function.__name__, name, value, annotation)
            if annotation.startswith("Callable") and not (value is None or callable(value)):
                raise SpecError(f"niwaki.{function.__name__}: {name} = {_short(value)}: expected a function")
            kinds = _KINDS.get(annotation, (object,))
            if not isinstance(value, kinds) or (isinstance(value, bool) and not {bool, object} & set(kinds)):
                wanted = annotation.replace("Path", "path").replace("str", "text").replace(" | ", " or ")
                raise SpecError(f"niwaki.{function.__name__}: {name} = {_short(value)}: expected {wanted}")
        return function(*args, **kwargs)

    return call


def _check_texts(function: str, name: str, value: object, annotation: str) -> None:
    kinds = _TEXTS.get(annotation, (object,))
    fits = isinstance(value, kinds)
    if annotation in _TEXTS and isinstance(value, list | tuple):
        fits = all(isinstance(text, str) for text in value)
    if not fits:
        wanted = "a text or a list of texts" if str in kinds else "a list of texts"
        raise SpecError(f"niwaki.{function}: {name} = {_short(value)}: expected {wanted}")


def _explained(known: inspect.Signature, given: Mapping[str, object], error: TypeError) -> str:
    """What is wrong with a call, and which arguments the function takes."""
    names = [name for name, one in known.parameters.items() if one.kind is not one.VAR_KEYWORD]
    unknown = next((name for name in given if name not in names), None)
    takes_more = len(names) < len(known.parameters)
    near = guess(unknown, names) if unknown is not None and not takes_more else ""
    return f"{error}; {near}it takes {', '.join(names)}{', and settings by name' if takes_more else ''}"


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}…"


def check_pair(model: object, data: object) -> None:
    """Raise NiwakiError unless the arguments are a network and a dataset, in this order."""
    if isinstance(model, Dataset) and isinstance(data, nn.Module):
        raise SpecError("the model and the data are swapped: the model comes first")
    check_usable(model)
    check_data(data)


def check_data(data: object) -> None:
    """Raise SpecError unless `data` is a niwaki dataset."""
    if not isinstance(data, Dataset):
        named = repr(data) if isinstance(data, str) else "…"
        raise SpecError(f"data is of type {type(data).__name__}, not a dataset: load it: niwaki.load_data({named})")


def check_split(split: object) -> None:
    """Raise SpecError unless `split` is the name of a split."""
    if split not in SPLITS:
        raise SpecError(f"split = {split!r}: expected {listed(SPLITS)}")


def check_factory(factory: object) -> None:
    """Raise SpecError unless `factory` is a name, so that the model file can be loaded anywhere."""
    if not isinstance(factory, str):
        given = getattr(factory, "__qualname__", type(factory).__name__)
        home = getattr(factory, "__module__", "package.module")
        raise SpecError(f"factory is {given} itself: expected its name, 'package.module:callable', as '{home}:{given}'")


def settings_of(kind: type[Settings], values: object, name: str = "settings") -> Settings:
    """The settings given by `values`. Raises SpecError, naming the key and the allowed values."""
    if not isinstance(values, Mapping):
        raise SpecError(f"{name} = {values!r}: expected a dictionary, as {{'epochs': 5, 'lr': 1e-4}}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise SpecError(explain(error, kind, arguments=True)) from error


def text_of(path: str | Path | None) -> str | None:
    """A path as text; None stays None."""
    return None if path is None else str(path)


def warn(line: str) -> None:
    """Issue a warning that points to the line of the caller's own code."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "niwaki":
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(line), stacklevel=level)
