"""What commands print: lines and tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niwaki.cli.flags import all_in_flags, in_flags
from niwaki.device.text import printable
from niwaki.reporting.terminal import Terminal, print_table
from niwaki.tabular import Tabular


class CommandLine(Terminal):
    """A terminal that shows the library's texts with options of the command line."""

    def shown(self, text: str) -> str:
        """A text as this console shows it."""
        return super().shown(in_flags(text))


def output() -> Terminal:
    """Standard output."""
    return CommandLine()


def beside() -> Terminal:
    """Standard error, for progress."""
    return CommandLine(stderr=True)


def print_command(sentence: str, *arguments: object) -> None:
    """A sentence and its command in one line, quoted for the shell so that the user can paste it.

    >>> print_command("Compare the forms with", "niwaki", "verify", "my models/c")
    Compare the forms with: niwaki verify 'my models/c'
    >>> print_command("Compare the forms with", "niwaki", "verify", Path("-c"))
    Compare the forms with: niwaki verify ./-c
    """
    print(printable(f"{sentence}: {shlex.join(map(_pasted, arguments))}"))


def _pasted(argument: object) -> str:
    """The text of an argument; a path is never taken for an option."""
    text = str(argument)
    return f"./{text}" if isinstance(argument, Path) and text.startswith("-") else text


def print_tabular(console: Terminal, shown: Tabular) -> None:
    """A heading, the table, and notes below it."""
    if shown.caption:
        console.print(shown.caption, highlight=False, markup=False)
    print_table(console, shown.columns, shown.rows)
    for note in shown.notes:
        console.print(note, highlight=False, markup=False)


def print_json(facts: Mapping[str, Any]) -> None:
    """Print one JSON object in one line."""
    print(json.dumps(all_in_flags(facts)))
