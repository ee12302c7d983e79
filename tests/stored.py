"""Files and parts of files of a study from plain JSON values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from niwaki.study.checked_json import Part, with_checksum

P = TypeVar("P", bound=Part)


def stored(kind: type[P], values: dict[str, Any]) -> P:
    """What a reader has of these values."""
    return kind.model_validate_json(json.dumps(values))


def write_json(folder: Path, name: str, values: dict[str, Any]) -> None:
    """A file with these values and a checksum that fits, whatever its shape."""
    (folder / name).write_bytes(with_checksum(values))
