"""Relative paths in a study's file are relative to that file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

BASE = "base"
"""The teacher that is the unpruned network of the trial."""
STUDY = "study"
"""The teacher that is the network of the study's own [model] and [train], whatever a trial sets."""
OWN = (BASE, STUDY)
"""The teachers that are no files."""
PATHS = {("model", "weights"), ("data", "path")}
TEACHER = "teacher"


def beside(values: Mapping[str, Any], folder: Path, section: str = "") -> dict[str, Any]:
    """The values of a study's TOML, not yet validated, with every path in them resolved against `folder`."""
    return {key: _value(key, value, folder, section) for key, value in values.items()}


def _value(key: str, value: Any, folder: Path, section: str) -> Any:
    if isinstance(value, Mapping):
        return beside(value, folder, key)
    if (section, key) in PATHS or key == TEACHER or key.endswith(f".{TEACHER}"):
        return _paths(value, folder)
    if isinstance(value, list):
        return [beside(entry, folder, key) if isinstance(entry, Mapping) else entry for entry in value]
    return value


def _paths(value: Any, folder: Path) -> Any:
    """A path, or a list of paths; anything else is left to the validation of the study."""
    if isinstance(value, list):
        return [_paths(entry, folder) for entry in value]
    return str(folder / Path(value).expanduser()) if isinstance(value, str) and value not in OWN else value
