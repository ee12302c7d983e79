"""How much memory one file may ask for: a stated limit, checked before any of it is taken."""

from __future__ import annotations

import os
import re

from niwaki.errors import NiwakiError

VARIABLE = "NIWAKI_MEMORY_LIMIT"
DEFAULT = 10**9
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGT]?B|)", re.IGNORECASE)


def memory_limit() -> int | None:
    """Bytes that one file may ask for: 1 GB, or what the variable NIWAKI_MEMORY_LIMIT says; None for any number.

    >>> os.environ[VARIABLE] = "4GB"
    >>> memory_limit()
    4000000000
    >>> del os.environ[VARIABLE]

    Raises NiwakiError for a value that is no size.
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
    """Raise `error` if `what` (the beginning of a sentence) needs more bytes than one file may ask for."""
    limit = memory_limit()
    if limit is not None and needed > limit:
        raise error(
            f"{what} needs {size(needed)} of memory, and one file may take {size(limit)}: "
            f"if you trust it, set {VARIABLE}={size(needed).replace(' ', '')}"
        )


def size(count: int) -> str:
    """Bytes in a unit that people read, rounded up.

    >>> size(10_485_760_000), size(1_000_000_000), size(12)
    ('10.5 GB', '1 GB', '12 B')
    """
    unit = next((unit for unit in ("TB", "GB", "MB", "KB") if count >= _UNITS[unit]), "B")
    tenths = -(-count * 10 // _UNITS[unit])
    return f"{tenths // 10}.{tenths % 10} {unit}" if tenths % 10 else f"{tenths // 10} {unit}"
