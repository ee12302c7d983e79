"""A report as Markdown, for a terminal or a repository: all its tables and sentences; the figures are on the page."""

from __future__ import annotations

from collections.abc import Iterator

from niwaki.device.text import printable
from niwaki.reporting.document import Block, Code, Document, Facts, Grid, Headlines, Listing, Section, Text

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_[]<>|#~"} | {"\n": " ", "\r": " "})


def to_markdown(document: Document) -> str:
    """The document as GitHub's Markdown. Text from data is escaped: it cannot create markup or HTML."""
    lines = [f"# {escaped(document.title)}", "", escaped(document.byline), ""]
    for warning in document.warnings:
        lines += [f"> **{escaped(warning)}**", ""]
    for section in document.sections:
        lines += _section(section, 2)
    lines += ["---", ""]
    for block in document.footer:
        lines += _block(block)
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """Text as Markdown that shows it unchanged."""
    return printable(text.translate(_SPECIAL))


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escaped(section.heading)}"
    yield ""
    for block in section.blocks:
        if isinstance(block, Section):
            yield from _section(block, level + 1)
        else:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    lines: list[str] = []
    if isinstance(block, Text):
        text = escaped(block.text)
        lines = [f"**{text}**" if block.kind in ("finding", "warning") else text]
    elif isinstance(block, Headlines):
        lines = [
            f"- {escaped(h.name)}: {escaped(h.was)} → **{escaped(h.now)}** ({escaped(h.gain)})" for h in block.items
        ]
    elif isinstance(block, Facts):
        lines = [f"- **{escaped(term)}**: {escaped(text)}" for term, text in block.pairs]
    elif isinstance(block, Listing):
        lines = [f"**{escaped(block.title)}**", "", *(f"- {escaped(item)}" for item in block.items)]
    elif isinstance(block, Code):
        lines = [] if block.title else _fenced(block.text)
    elif isinstance(block, Grid):
        lines = list(_table(block))
    if lines:
        yield from lines
        yield ""


def _fenced(text: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence, *text.splitlines(), fence]


def _table(grid: Grid) -> Iterator[str]:
    yield f"| {' | '.join(map(escaped, grid.heads))} |"
    yield "|" + "|".join(" :--- " if index in grid.left else " ---: " for index in range(len(grid.heads))) + "|"
    for index, row in enumerate(grid.rows):
        cells = [f"**{escaped(cell)}**" if index in grid.strong and cell else escaped(cell) for cell in row]
        yield f"| {' | '.join(cells)} |"
    for note in grid.notes:
        yield ""
        yield f"<sub>{escaped(note)}</sub>"
