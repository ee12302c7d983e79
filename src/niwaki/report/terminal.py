"""Where text leaves for a terminal, a file or a pipe: visible characters, letters that fit, tables that fit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from niwaki.device.text import printable
from niwaki.report.letters import fitting

Column = tuple[str, Literal["left", "right"]]
"""Heading and justification."""
_GAP = 2  # columns between two of a table
_UNBOUNDED = 10_000  # columns of a file or pipe: nothing is wrapped there


class Terminal(Console):
    """A console that shows text from outside as visible characters, and each text in one line of its own.

    A terminal gets lines as wide as it is, broken between words; a file or pipe gets whole lines, unless COLUMNS says
    how wide it is.
    """

    def __init__(
        self,
        *,
        stderr: bool = False,
        file: IO[str] | None = None,
        width: int | None = None,
        force_terminal: bool | None = None,
    ) -> None:
        super().__init__(
            stderr=stderr, file=file, width=width, force_terminal=force_terminal, highlight=False, emoji=False
        )
        if width is None and not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _UNBOUNDED

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does; every string that is printed, and every cell of a table, comes through here."""
        return super().render_str(self.shown(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does; a word that is longer than the line, such as a path, is not broken: it can be copied."""
        if len(objects) != 1 or not isinstance(objects[0], str):
            super().print(*objects, **options)
            return
        text = self.render_str(objects[0], markup=options.get("markup"))
        for line in text.divide(_breaks(text.plain, self.width)):
            line.rstrip()
            super().print(line, **{"overflow": "ignore", "crop": False, **options})

    def shown(self, text: str) -> str:
        """A text as this console shows it."""
        return fitting(printable(text), self.encoding)


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table as wide as the console at most: what does not fit goes below, with the first column again.

    A column that is wider than there is room is broken between words.
    """
    shown = console.shown if isinstance(console, Terminal) else printable
    cells = [[shown(cell) for cell in row] for row in ([heading for heading, _ in columns], *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for part, narrow in _parts(widths, console.width):
        table = Table(box=None, pad_edge=False)
        for index in part:
            heading, justify = columns[index]
            wide = narrow.get(index)
            table.add_column(escape(heading), justify=justify, no_wrap=wide is None, width=wide, overflow="fold")
        for row in cells[1:]:
            table.add_row(*(escape(row[index]) for index in part))
        console.print(table)


def _breaks(text: str, width: int) -> list[int]:
    """Where new lines begin, so that none is wider than `width`, but for single words."""
    breaks, begin = [], 0
    for word in re.finditer(r"\S+", text):
        if word.start() > begin and cell_len(text[begin : word.end()]) > width and text[begin : word.start()].strip():
            begin = word.start()
            breaks.append(begin)
    return breaks


def _parts(widths: Sequence[int], room: int) -> Iterator[tuple[list[int], dict[int, int]]]:
    """Which columns stand beside one another, and the widths of those that are made narrower."""
    if sum(widths) + _GAP * (len(widths) - 1) <= room:
        yield list(range(len(widths))), {}
        return
    first = min(widths[0], max(room // 2, 8))
    part: list[int] = [0]
    narrow: dict[int, int] = {}
    taken = first
    for index in range(1, len(widths)):
        width = min(widths[index], max(room - first - _GAP, 8))
        if len(part) > 1 and taken + _GAP + width > room:
            yield part, narrow
            part, narrow, taken = [0], {}, first
        if first < widths[0]:
            narrow[0] = first
        if width < widths[index]:
            narrow[index] = width
        part, taken = [*part, index], taken + _GAP + width
    yield part, narrow
