"""The files of a bundle for people and for the board's system: README, start, install.sh, the service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from string import Template

from niwaki.board.targets import BundleTarget
from niwaki.board.visions import CENTRE, GARMENT, WHOLE

_AS_THEY_ARE = ("start", "install.sh", "niwaki.service", "LICENSE")

_WHERE = {
    GARMENT: ("garment", "옷을"),
    WHOLE: ("whole frame", "화면 전체를"),
    CENTRE: ("middle of the frame", "화면 가운데를"),
}


def instructions(target: BundleTarget, name: str, languages: Sequence[str], vision: str = GARMENT) -> dict[str, bytes]:
    """The files by name. `name` is the model's name, `vision` what becomes of a frame."""
    folder = resources.files("niwaki.board") / "templates"
    values = {
        "title": target.title,
        "model": name.replace("`", "'"),
        "target": target.name,
        "camera": target.cameras[0],
        "other_camera": target.cameras[-1],
        "vision": _WHERE[vision][0],
        "vision_ko": _WHERE[vision][1],
        "language": languages[0],
        "last_language": languages[-1],
        "login": "pi@raspberrypi.local" if target.name.startswith("raspberry") else "USER@BOARD",
    }
    files = {name: (folder / name).read_bytes() for name in _AS_THEY_ARE}
    for readme in ("README.md", "README.ko.md"):
        text = (folder / f"{readme}.in").read_text(encoding="utf-8")
        files[readme] = Template(_chosen(text, vision)).substitute(values).encode()
    return files


def _chosen(text: str, vision: str) -> str:
    """The text for a vision: lines between `[garment` or `[frame` and `]` stay or go."""
    kept = "garment" if vision == GARMENT else "frame"
    return re.sub(
        r"^\[(garment|frame)\n(.*?)^\]\n", lambda part: part[2] if part[1] == kept else "", text,
        flags=re.MULTILINE | re.DOTALL,
    )  # fmt: skip
