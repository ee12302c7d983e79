"""The one place that turns arguments of the library (`data=`) into options of the command line (--data)."""

from __future__ import annotations

from typing import Any

from niwaki.errors import Setting, Wording

OPTIONS = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "args", "bits", "boards", "calibration", "data", "device", "epochs", "fit", "images", "jobs", "kind",
            "labels", "least_named", "lr", "names", "opset", "others", "out", "partial", "prefix", "preprocessing",
            "ray", "sampler", "scenes", "seeds", "serial", "shape", "sound", "space", "target", "time", "to", "trials",
            "trust", "vision",
        )
    },
    "language": "--lang",
    "maximize": "--max",
    "minimize": "--min",
    "languages": "--lang",
}  # fmt: skip
"""The options that the library's texts mention, by argument name."""


def in_flags(text: str) -> str:
    """A text of the library for the command line; only settings marked as such become options.

    >>> in_flags(Wording("a `data=`.npz: name it with ", Setting("data"), ", or say ", Setting("sound", "False")))
    'a `data=`.npz: name it with --data, or say --no-sound'
    """
    if not isinstance(text, Wording):
        return text
    return "".join(_option(part) if isinstance(part, Setting) else part for part in text.parts)


def all_in_flags(value: Any) -> Any:
    """JSON values with every text in them converted for the command line; keys stay."""
    if isinstance(value, str):
        return in_flags(value)
    if isinstance(value, dict):
        return {key: all_in_flags(entry) for key, entry in value.items()}
    return [all_in_flags(entry) for entry in value] if isinstance(value, list | tuple) else value


def _option(setting: Setting) -> str:
    name, value = setting
    if name not in OPTIONS:
        return str(setting)
    if value in ("", "True"):
        return OPTIONS[name]
    if value == "False":
        return f"--no-{OPTIONS[name].removeprefix('--')}"
    bare = value[1:-1] if value.startswith('"') and value.endswith('"') else value
    return f"{OPTIONS[name]} {bare}"
