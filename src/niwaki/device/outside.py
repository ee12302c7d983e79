"""JSON from outside: nothing in a file may be too large, too deep, or ambiguous.

A file may contain a checksum of everything else in it: the SHA-256 of its `canonical_json`.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

CHECKSUM = "checksum"
"""The key of a file's own checksum."""

JSON_LIMIT = 64 << 20
"""Bytes: a recording's line or a report's evidence takes less than a tenth of it."""
DEPTH_LIMIT = 64
"""Nesting depth of brackets: what niwaki writes has less than ten."""
_DIGITS = 300  # of a number: an integer of this many still fits a float


def load_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The content of a JSON file. Raises OSError if it cannot be read, ValueError (in one line) if it is bad."""
    return parse_json(read_at_most(path, limit), limit)


def read_at_most(path: Path, limit: int) -> bytes:
    """The bytes of a file. Raises OSError if it cannot be read, ValueError if it is larger than the limit."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    check_size(data, limit)
    return data


def parse_json(data: Union[bytes, str], limit: int = JSON_LIMIT) -> Any:
    """The value of a JSON document in UTF-8.

    Raises ValueError, in one line, if it is larger than `limit` bytes, nested deeper than `DEPTH_LIMIT`, not JSON,
    repeats a key, or has an invalid number or character (NaN, 1e999, half a surrogate pair).
    """
    check_size(data, limit)
    text = data if isinstance(data, str) else _decoded(data)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_float, parse_int=_int
        )
    except RecursionError:
        raise ValueError(_too_deep()) from None
    check_depth(value)
    if "\\u" in text or isinstance(data, str):
        _check_letters(value)
    return value


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the same value gives the same bytes. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def checksum_of(values: Dict[str, Any]) -> str:
    """The checksum of everything else in a file."""
    said = {key: value for key, value in values.items() if key != CHECKSUM}
    return hashlib.sha256(canonical_json(said)).hexdigest()


def without_checksum(value: Any) -> Any:
    """The content of a file, after its checksum matched; files of earlier versions have none. Raises ValueError."""
    if not isinstance(value, dict) or CHECKSUM not in value:
        return value
    if value[CHECKSUM] != checksum_of(value):
        raise ValueError("its checksum does not match")
    return {key: part for key, part in value.items() if key != CHECKSUM}


def check_size(data: Union[bytes, str], limit: int) -> None:
    """Raise ValueError if there is more than `limit`."""
    if len(data) > limit:
        raise ValueError("larger than {:,} bytes, which is the limit".format(limit))


def check_depth(value: Any) -> None:
    """Raise ValueError if lists and objects are nested deeper than `DEPTH_LIMIT`."""
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(_too_deep())


def _inside(value: Any) -> List[Any]:
    """The lists and objects directly in a value."""
    if isinstance(value, dict):
        value = list(value.values())
    return [inner for inner in value if isinstance(inner, (dict, list))] if isinstance(value, list) else []


def _too_deep() -> str:
    return "more than {} levels of brackets within brackets".format(DEPTH_LIMIT)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8 at byte {:,}".format(error.start)) from None


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(key for key, after in zip(keys, keys[1:]) if key == after)
        raise ValueError("the key {!r} occurs twice in one object".format(twice[:60]))
    return found


def _no_number(name: str) -> Any:
    raise ValueError("{} is not a JSON number".format(name))


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= _DIGITS else math.inf
    if math.isinf(number):
        raise ValueError("{} is out of range for a number".format(_short(digits)))
    return number


def _int(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("{} is out of range for a number".format(_short(digits)))
    return int(digits)


def _short(digits: str) -> str:
    return digits if len(digits) <= 24 else digits[:20] + "…"


def _check_letters(value: Any) -> None:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            try:
                one.encode()
            except UnicodeEncodeError:
                raise ValueError("half a surrogate pair, which is not a character") from None
        elif isinstance(one, list):
            left.extend(one)
        elif isinstance(one, dict):
            left.extend(one)
            left.extend(one.values())
