"""Characters for a stream with a limited encoding: niwaki's own signs in plain form, all others as escapes."""

from __future__ import annotations

import codecs

HANDLER = "niwaki.letters"  # for streams: errors=HANDLER, after `register` was called

_PLAIN = {
    "×": "x", "µ": "u", "μ": "u", "≈": "~", "±": "+-", "→": "->", "–": "-", "—": "-", "−": "-", "…": "...",
    "≤": "<=", "≥": ">=", "“": '"', "”": '"', "‘": "'", "’": "'", "·": ".", "•": "*", "\u00a0": " ", "\u202f": " ",
}  # fmt: skip


def fitting(text: str, encoding: str) -> str:
    r"""The text with characters that `encoding` lacks replaced.

    >>> fitting("65 µs × 2 가", "ascii")
    '65 us x 2 \\uac00'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        register()
        return text.encode(encoding, HANDLER).decode(encoding)
    return text


def register() -> None:
    """Register `HANDLER` for all streams of this process."""
    codecs.register_error(HANDLER, _replaced)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter) or _escape(letter) for letter in lacking), error.end


def _escape(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode("ascii")
