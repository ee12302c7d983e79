"""A small table of texts (columns, rows, a caption) for reports, notebooks and terminals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Column = tuple[str, Literal["left", "right"]]
"""Heading and alignment."""
_CELL = "text-align:{align};white-space:nowrap"


@dataclass(frozen=True)
class Tabular:
    """The content of a table: cells are texts, `caption` is shown above and `notes` below."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()

    def to_html(self) -> str:
        """The table as HTML for a notebook, without scripts or style sheets; every text is escaped."""
        head = "".join(_cell("th", heading, align) for heading, align in self.columns)
        body = "".join(
            f"<tr>{''.join(_cell('td', cell, align) for cell, (_, align) in zip(row, self.columns, strict=True))}</tr>"
            for row in self.rows
        )
        caption = f"<p><b>{escape(self.caption)}</b></p>" if self.caption else ""
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes)
        return f"{caption}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"


def to_csv(records: Sequence[Mapping[str, object]]) -> str:
    r"""Records as CSV (RFC 4180, with headings): a column for each key, empty if the record lacks it or has None.

    >>> to_csv([{"a": 1, "b": "x, y"}, {"a": None, "c": 2.5}])
    'a,b,c\r\n1,"x, y",\r\n,,2.5\r\n'
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _cell(tag: str, text: str, align: str) -> str:
    return f'<{tag} style="{_CELL.format(align=align)}">{escape(text)}</{tag}>'
