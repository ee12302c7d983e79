"""What commands print: lines and tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from niwaki.cli.flags import all_in_flags, in_flags
from niwaki.device.text import printable
from niwaki.reporting.terminal import Terminal, print_table
from niwaki.tabular import Tabular


class CommandLine(Terminal):
    """A terminal on which texts of the library speak of options."""

    def shown(self, text: str) -> str:
        """A text as this console shows it."""
        return super().shown(in_flags(text))


def output() -> Terminal:
    """Standard output."""
    return CommandLine()


def beside() -> Terminal:
    """Standard error, where progress is shown."""
    return CommandLine(stderr=True)


def print_command(sentence: str, *arguments: object) -> None:
    """A sentence and the command that it speaks of, in one line, quoted as a shell needs it: it can be pasted.

    >>> print_command("Compare the forms with", "niwaki", "verify", "my models/c")
    Compare the forms with: niwaki verify 'my models/c'
    """
    print(printable(f"{sentence}: {shlex.join(map(str, arguments))}"))


def print_tabular(console: Terminal, shown: Tabular) -> None:
    """What it is, the table, and what is to be said below."""
    if shown.caption:
        console.print(shown.caption, highlight=False, markup=False)
    print_table(console, shown.columns, shown.rows)
    for note in shown.notes:
        console.print(note, highlight=False, markup=False)


def print_json(facts: Mapping[str, Any]) -> None:
    """Print one JSON object in one line."""
    print(json.dumps(all_in_flags(facts)))
