"""Text from outside (names, labels, messages of libraries) as it may be shown: visible characters, in one line."""

import json
from typing import Any, Iterable


def printable(text: str) -> str:
    r"""The text in one line, with each character that is not seen or that moves others as an escape.

    What is printable stays as it is, a backslash too: a text that went through once comes out the same.

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
    """JSON in one line that is readable in every script, and says what a terminal would act on as escapes of JSON."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(letter if _is_seen(letter) else json.dumps(letter)[1:-1] for letter in text)


def _is_seen(letter: str) -> bool:
    return letter.isprintable() or letter in _SPACES


_SPACES = "\u00a0\u202f\u3000"  # between a number and its unit, between words: as wide as they look


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
