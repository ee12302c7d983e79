"""The files of a bundle for people and for the board's system: README, start, install.sh, the service."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from string import Template

from niwaki.board.targets import BundleTarget

_AS_THEY_ARE = ("start", "install.sh", "niwaki.service", "LICENSE")


def instructions(target: BundleTarget, name: str, languages: Sequence[str]) -> dict[str, bytes]:
    """The files by name. `name` is the model's name."""
    folder = resources.files("niwaki.board") / "templates"
    values = {
        "title": target.title,
        "model": name.replace("`", "'"),
        "target": target.name,
        "camera": target.cameras[0],
        "other_camera": target.cameras[-1],
        "language": languages[0],
        "last_language": languages[-1],
        "login": "pi@raspberrypi.local" if target.name.startswith("raspberry") else "USER@BOARD",
    }
    files = {name: (folder / name).read_bytes() for name in _AS_THEY_ARE}
    for readme in ("README.md", "README.ko.md"):
        text = (folder / f"{readme}.in").read_text(encoding="utf-8")
        files[readme] = Template(text).substitute(values).encode()
    return files
