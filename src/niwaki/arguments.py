"""What the functions for Python are called with, looked at before anything is done; and whom their warnings name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from torch import nn

from niwaki.data.dataset import Dataset
from niwaki.device.text import listed, printable
from niwaki.errors import SpecError
from niwaki.models.examine import check_module
from niwaki.study.spec import explain

Settings = TypeVar("Settings", bound=BaseModel)
SPLITS = ("train", "validation", "test")


def check_pair(model: object, data: object) -> None:
    """Raise NiwakiError unless these are a network and a dataset, in this order."""
    if isinstance(model, Dataset) and isinstance(data, nn.Module):
        raise SpecError("the model and the data are swapped: the model comes first")
    check_module(model)
    check_data(data)


def check_data(data: object) -> None:
    """Raise SpecError unless `data` is a dataset of niwaki's."""
    if not isinstance(data, Dataset):
        named = repr(data) if isinstance(data, str) else "…"
        raise SpecError(f"data is of type {type(data).__name__}, not a dataset: load it: niwaki.load_data({named})")


def check_split(split: object) -> None:
    """Raise SpecError unless `split` is one of a dataset."""
    if split not in SPLITS:
        raise SpecError(f"split = {split!r}: expected {listed(SPLITS)}")


def check_factory(factory: object) -> None:
    """Raise SpecError unless `factory` is a name, from which a model file can be had back anywhere."""
    if not isinstance(factory, str):
        given = getattr(factory, "__qualname__", type(factory).__name__)
        home = getattr(factory, "__module__", "package.module")
        raise SpecError(f"factory is {given} itself: expected its name, 'package.module:callable', as '{home}:{given}'")


def settings_of(kind: type[Settings], values: object, name: str = "settings") -> Settings:
    """The settings that `values` say. Raises SpecError, naming the key and what is allowed."""
    if not isinstance(values, Mapping):
        raise SpecError(f"{name} = {values!r}: expected a dictionary, as {{'epochs': 5, 'lr': 1e-4}}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise SpecError(explain(error, kind)) from error


def warn(line: str) -> None:
    """A warning that names the line of the caller's own code."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "niwaki":
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(line), stacklevel=level)
