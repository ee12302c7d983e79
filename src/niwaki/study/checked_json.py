"""JSON with its own checksum, as a type: what is read has the shape that the type states, or is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from niwaki.errors import expectation
from niwaki.files import CHECKSUM, canonical_json, check_format, checksum_of, parse_json, without_checksum


def _readable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Letters = Annotated[str, BeforeValidator(_readable)]
"""A text of any origin: a file's name may contain bytes that are not characters."""


class Part(BaseModel):
    """A part of a file. Unknown entries are kept."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)  # a number in quotes is not a number

    def to_dict(self) -> dict[str, object]:
        """The content with sorted keys, as JSON values."""
        found: dict[str, object] = parse_json(_text(_stated(self)))
        return found


FORMAT = 1  # for every file


class ResultFile(Part):
    """A whole file in a study's folder."""

    NAME: ClassVar[str]


File = TypeVar("File", bound=ResultFile)


def to_bytes(file: ResultFile) -> bytes:
    """The file as readable JSON, with its format and the SHA-256 of its canonical form as `checksum`."""
    return with_checksum({"format": FORMAT, **_stated(file)})


def with_checksum(values: Mapping[str, object]) -> bytes:
    """Values as `to_bytes` writes them, whatever their shape."""
    body = parse_json(_text(values))
    return _text({**body, CHECKSUM: checksum_of(body)}).encode() + b"\n"


def from_bytes(data: bytes, kind: type[File]) -> File:
    """The file in these bytes. Raises ValueError, in a few words, if it is damaged or incomplete."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    value = without_checksum(value)
    check_format(value, FORMAT)
    value.pop("format", None)  # `to_bytes` writes it
    try:
        return kind.model_validate_json(canonical_json(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = expectation(first["msg"])
        raise ValueError(f"{where}: {what}" if where else what) from None


def _stated(part: Part) -> Mapping[str, object]:
    return part.model_dump(exclude_unset=True)


def _finite(value: Any) -> Any:
    """The value with null for each number that JSON cannot represent."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, (list, tuple)) else value


def _text(value: Mapping[str, object]) -> str:
    text = json.dumps(_finite(value), indent=1, sort_keys=True, ensure_ascii=False, default=str, allow_nan=False)
    return text.encode("utf-8", "replace").decode()
