"""How much memory one file may use: a fixed limit, checked before memory is allocated."""

from __future__ import annotations

import os
import re

from niwaki.errors import NiwakiError

VARIABLE = "NIWAKI_MEMORY_LIMIT"
DEFAULT = 10**9
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGT]?B|)", re.IGNORECASE)


def memory_limit() -> int | None:
    """Bytes that one file may use: 1 GB, or the value of the variable NIWAKI_MEMORY_LIMIT; None means no limit.

    >>> os.environ[VARIABLE] = "4GB"
    >>> memory_limit()
    4000000000
    >>> del os.environ[VARIABLE]

    Raises NiwakiError if the value is not a size.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT
    if text.lower() == "none":
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise NiwakiError(f"{VARIABLE}={text!r}: expected a size such as 4GB, or none")
    return round(float(match[1]) * _UNITS[match[2].upper()])


def check_memory(needed: int, what: str, error: type[NiwakiError] = NiwakiError) -> None:
    """Raise `error` if `what` (the beginning of a sentence) needs more bytes than one file may use."""
    limit = memory_limit()
    if limit is not None and needed > limit:
        raise error(
            f"{what} needs {size(needed)} of memory, but one file may use {size(limit)}: "
            f"if you trust it, set {VARIABLE}={size(needed).replace(' ', '')}"
        )


def size(count: int) -> str:
    """A number of bytes in a readable unit, rounded up.

    >>> size(10_485_760_000), size(1_000_000_000), size(12)
    ('10.5 GB', '1 GB', '12 B')
    """
    unit = next((unit for unit in ("TB", "GB", "MB", "KB") if count >= _UNITS[unit]), "B")
    tenths = -(-count * 10 // _UNITS[unit])
    return f"{tenths // 10}.{tenths % 10} {unit}" if tenths % 10 else f"{tenths // 10} {unit}"
