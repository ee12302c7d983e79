"""Text from outside is shown in visible characters, a line stays one line."""

import json
import sys

import pytest

from niwaki.device.text import json_line, printable
from niwaki.errors import DataError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 65.75 % ± µ → 티셔츠", "plain, 65.75 % ± µ → 티셔츠"),
        ("\x1b[2J\x1b]0;t\x07", "\\x1b[2J\\x1b]0;t\\x07"),
        ("two\nlines\r\n\ttab", "two\\nlines\\r\\n\\ttab"),
        ("\u202eevil\u2066\u200b\ufeff", "\\u202eevil\\u2066\\u200b\\ufeff"),
        ("\u2028\u2029\x85\x9b0m\x7f\x00", "\\u2028\\u2029\\x85\\x9b0m\\x7f\\x00"),
        ("half \ud800, byte \udcff, tag \U000e0041", "half \\ud800, byte \\udcff, tag \\U000e0041"),
        ("65 %\u202fand\u00a0space", "65 %\u202fand\u00a0space"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    assert str(DataError(f"{text}: bad")) == f"{shown}: bad"
    line = json_line({"word": text})
    assert json.loads(line) == {"word": text}
    assert printable(line) == line


def test_every_letter_there_is():
    text = "".join(map(chr, (*range(0x3100), *range(0xD800, sys.maxunicode, 97))))
    shown = printable(text)
    assert len(shown.splitlines()) == 1
    assert all(letter.isprintable() or letter in "\u00a0\u202f\u3000" for letter in shown)
