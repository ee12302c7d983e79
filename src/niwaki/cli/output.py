"""What commands print: lines and tables for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from niwaki.cli.flags import all_in_flags, in_flags
from niwaki.reporting.terminal import Terminal


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


def print_json(facts: Mapping[str, Any]) -> None:
    """Print one JSON object in one line."""
    print(json.dumps(all_in_flags(facts)))
