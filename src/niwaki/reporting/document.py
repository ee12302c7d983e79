"""A report as data: sections of blocks, from which both the page and the Markdown are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from niwaki.drawing.chart import Chart
from niwaki.reporting.headline import Headline


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["plain", "lead", "finding", "note", "warning"] = "plain"


@dataclass(frozen=True)
class Grid:
    """A table. `strong` are the most important rows; `folded`: long, shown on demand; `csv` has every value raw."""

    id: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    csv: str
    left: frozenset[int] = frozenset({0})
    """Columns of text; the others are numbers."""
    notes: tuple[str, ...] = ()
    strong: frozenset[int] = frozenset()
    folded: bool = False
    losses: frozenset[int] = frozenset()
    """Rows whose last cell is a loss, in a table whose last column shows gains."""


@dataclass(frozen=True)
class Figure:
    """A figure, drawn on the page and left out of the Markdown, which has its table."""

    chart: Chart


@dataclass(frozen=True)
class Facts:
    """Terms and their descriptions."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG in base64 and its caption; `small` lines are secondary."""

    png: str
    alt: str
    lines: tuple[str, ...]
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pictures:
    """Images side by side."""

    title: str
    items: tuple[Picture, ...]


@dataclass(frozen=True)
class Listing:
    """A list under a title."""

    title: str
    items: tuple[str, ...]
    weight: str = ""


@dataclass(frozen=True)
class Headlines:
    """The answer in large figures."""

    items: tuple[Headline, ...]


@dataclass(frozen=True)
class Code:
    """Text for a terminal or a file; `folded` under its title."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part with a heading; parts of it may be sections again."""

    id: str
    heading: str
    blocks: tuple[Block | Section, ...]


Block = Text | Grid | Figure | Facts | Pictures | Listing | Headlines | Code


@dataclass(frozen=True)
class Document:
    """The whole report. `warnings` are above everything else."""

    language: str
    title: str
    byline: str
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    """The first one is the answer."""
    footer: tuple[Block, ...]
    kind: Literal["study", "search"] = "study"
    """What it reports on, as the line above the title says."""
