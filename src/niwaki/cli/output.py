"""What commands print: lines and tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niwaki.cli.flags import all_in_flags, in_flags
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


def quoted(path: Path) -> str:
    """A path as it is typed in a shell, so that a command that is shown can be pasted.

    >>> quoted(Path("studies/quick")), quoted(Path("my studies/c"))
    ('studies/quick', "'my studies/c'")
    """
    return shlex.quote(str(path))


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
