"""Text for a terminal, a file or a pipe: visible characters that the encoding has, tables that fit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from niwaki.device.text import printable
from niwaki.reporting.letters import fitting
from niwaki.tabular import Column

_GAP = 2  # columns between two columns of a table
_UNBOUNDED = 10_000  # width of a file or pipe: nothing is wrapped there


class Terminal(Console):
    """A console that shows text from outside as visible characters, and each text in its own line.

    A terminal gets lines of its own width, broken between words; a file or pipe gets whole lines, unless COLUMNS sets a
    width.
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
        """As rich does; every printed string, and every cell of a table, passes through here."""
        return super().render_str(self.shown(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does; a word longer than the line, such as a path, is not broken, so it can be copied.

        Further lines of an indented text have the same indent.
        """
        if len(objects) != 1 or not isinstance(objects[0], str):
            super().print(*objects, **options)
            return
        text = self.render_str(objects[0], markup=options.get("markup"))
        indent = " " * (len(text.plain) - len(text.plain.lstrip(" ")))
        for number, line in enumerate(text.divide(_breaks(text.plain, self.width, len(indent)))):
            line.rstrip()
            shown = Text(indent) + line if number else line
            super().print(shown, **{"overflow": "ignore", "crop": False, **options})

    def shown(self, text: str) -> str:
        """A text as this console shows it."""
        return fitting(printable(text), self.encoding)


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """A table no wider than the console: columns that do not fit continue below, with columns that identify the rows.

    These are the first columns, or row numbers if two rows share them. A column wider than the available space is
    broken between words.
    """
    shown = console.shown if isinstance(console, Terminal) else printable
    cells = [[shown(cell) for cell in row] for row in ([heading for heading, _ in columns], *rows)]
    lead, room = 1, console.width
    if _width(_widths(cells)) > room:
        lead = _leading(cells[1:], _widths(cells), room)
        if not lead:
            columns = [("#", "right"), *columns]
            cells = [[str(number or "#"), *row] for number, row in enumerate(cells)]
            lead = 2 if _width(_widths(cells)[:2]) <= room // 2 else 1
    for part, narrow in _parts(_widths(cells), lead, room):
        table = Table(box=None, pad_edge=False)
        for index in part:
            heading, justify = columns[index]
            wide = narrow.get(index)
            table.add_column(escape(heading), justify=justify, no_wrap=wide is None, width=wide, overflow="fold")
        for row in cells[1:]:
            table.add_row(*(escape(row[index]) for index in part))
        console.print(table)


def that_fit(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], importance: Sequence[int]
) -> list[int]:
    """The columns of a table, in order, that fit beside one another: none without all more important ones.

    `importance` has the index of every column, the most important first. The columns that identify the rows are always
    included, and at least one more.
    """
    shown = console.shown if isinstance(console, Terminal) else printable
    widths = _widths([[shown(cell) for cell in row] for row in ([heading for heading, _ in columns], *rows)])
    if _width(widths) <= console.width:
        return list(range(len(columns)))
    kept = set(range(max(_leading(rows, widths, console.width), 1)))
    others = [index for index in importance if index not in kept]
    for number, index in enumerate(others):
        if number and _width([widths[each] for each in {*kept, index}]) > console.width:
            break
        kept.add(index)
    return sorted(kept)


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    """The width of every column."""
    return [max(map(cell_len, column)) for column in zip(*cells, strict=True)]


def _width(widths: Sequence[int]) -> int:
    """The width of columns beside one another."""
    return sum(widths) + _GAP * (len(widths) - 1)


def _leading(rows: Sequence[Sequence[str]], widths: Sequence[int], room: int) -> int:
    """How many of the first columns identify all rows; 0 if they would take more than half of the space."""
    for count in range(1, len(widths)):
        if count > 1 and _width(widths[:count]) > room // 2:
            break
        if len({tuple(row[:count]) for row in rows}) == len(rows):
            return count
    return 0


def _breaks(text: str, width: int, indent: int) -> list[int]:
    """Where new lines start, so that none with its indent is wider than `width`, except for single words."""
    breaks: list[int] = []
    begin = 0
    for word in re.finditer(r"\S+", text):
        room = width - indent if breaks else width
        if word.start() > begin and cell_len(text[begin : word.end()]) > room and text[begin : word.start()].strip():
            begin = word.start()
            breaks.append(begin)
    return breaks


def _parts(widths: Sequence[int], lead: int, room: int) -> Iterator[tuple[list[int], dict[int, int]]]:
    """Which columns are side by side, the leading ones in every part, and the widths of narrower ones."""
    if _width(widths) <= room:
        yield list(range(len(widths))), {}
        return
    first = _width(widths[:lead]) if lead > 1 else min(widths[0], max(room // 2, 8))
    leading = list(range(lead))
    narrowed = {0: first} if lead == 1 and first < widths[0] else {}
    part, narrow, taken = leading, dict(narrowed), first
    for index in range(lead, len(widths)):
        width = min(widths[index], max(room - first - _GAP, 8))
        if len(part) > lead and taken + _GAP + width > room:
            yield part, narrow
            part, narrow, taken = leading, dict(narrowed), first
        if width < widths[index]:
            narrow[index] = width
        part, taken = [*part, index], taken + _GAP + width
    yield part, narrow
