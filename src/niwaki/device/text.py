"""Text from outside (names, labels, messages of libraries) in displayable form: visible characters, in one line."""

import json
from typing import Any, Iterable


def printable(text: str) -> str:
    r"""The text in one line, with each invisible or direction-changing character as an escape.

    Printable characters stay unchanged, including a backslash: converting a text twice gives the same text.

    >>> printable("a\x1b[2Jb\n\u202ec")
    'a\\x1b[2Jb\\n\\u202ec'
    """
    if text.isprintable():
        return text
    return "".join(letter if _is_seen(letter) else _escape(letter) for letter in text)


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    >>> counted(1, "image"), counted(2000, "image")
    ('1 image', '2,000 images')
    """
    return "{:,} {}{}".format(number, noun, "" if number == 1 else "s")


def listed(names: Iterable[str]) -> str:
    """Names as a choice, in a sentence.

    >>> listed(["red", "green", "blue"])
    'red, green or blue'
    """
    *others, last = names
    return "{} or {}".format(", ".join(others), last) if others else last


def json_line(value: Any) -> str:
    """JSON in one line, readable in every script; characters that a terminal would act on become JSON escapes."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(letter if _is_seen(letter) else json.dumps(letter)[1:-1] for letter in text)


def _is_seen(letter: str) -> bool:
    return letter.isprintable() or letter in _SPACES


_SPACES = "\u00a0\u202f\u3000"  # between a number and its unit, between words: as wide as they look


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
