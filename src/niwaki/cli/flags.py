"""The one place where arguments of the library, `data=`, become options of the command line, --data."""

from __future__ import annotations

import re
from typing import Any

OPTIONS = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "data", "device", "jobs", "least_named", "names", "opset", "out", "ray", "scenes", "seeds",
            "sound", "target", "to", "trust",
        )
    },
    "language": "--lang",
    "languages": "--lang",
}  # fmt: skip
"""The options that texts of the library speak of, by the names of the arguments that they become."""
_ARGUMENT = re.compile(r"`(\w+)=([^`]*)`")


def in_flags(text: str) -> str:
    """A text of the library in words of the command line.

    >>> in_flags("name them with `data=`, or say `trust=True`")
    'name them with --data, or say --trust'
    >>> in_flags('`seeds=0` and `data="here"`: with `sound=False`')
    '--seeds 0 and --data here: with --no-sound'
    """
    return _ARGUMENT.sub(_option, text)


def all_in_flags(value: Any) -> Any:
    """JSON values with every text in them in words of the command line; keys stay."""
    if isinstance(value, str):
        return in_flags(value)
    if isinstance(value, dict):
        return {key: all_in_flags(entry) for key, entry in value.items()}
    return [all_in_flags(entry) for entry in value] if isinstance(value, list | tuple) else value


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name not in OPTIONS:
        return found[0]
    if value in ("", "True"):
        return OPTIONS[name]
    if value == "False":
        return f"--no-{OPTIONS[name].removeprefix('--')}"
    bare = value[1:-1] if value.startswith('"') and value.endswith('"') else value
    return f"{OPTIONS[name]} {bare}"
