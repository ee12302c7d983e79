"""The first section: the chosen model against the base, in large figures and in a table, and why it was chosen."""

from __future__ import annotations

from niwaki.reporting.columns import signed
from niwaki.reporting.document import Block, Grid, Headlines, Section, Text
from niwaki.reporting.headline import NETWORKS, Answer, Line, times_text
from niwaki.reporting.sections.tables import plain_csv
from niwaki.reporting.view import View
from niwaki.reporting.words import Words


def answer_section(view: View, found: Answer, words: Words) -> Section:
    """The answer first."""
    blocks: list[Block] = []
    if found.headlines:
        blocks.append(Headlines(found.headlines))
    blocks.append(Text(found.reason, "lead" if found.lines else "warning"))
    if found.lines:
        blocks.append(_grid(view, found, words))
    return Section("answer", words("answer.heading"), tuple(blocks))


def _grid(view: View, found: Answer, words: Words) -> Grid:
    shown = [index for index in range(len(NETWORKS)) if any(line.cells[index] for line in found.lines)]
    heads = (words("answer.measure"), *(_head(NETWORKS[i], found, words) for i in shown), words("answer.ratio"))
    rows = tuple((line.name, *(line.cells[i] or "–" for i in shown), _gain(line, words)) for line in found.lines)
    notes = [words("answer.notes", tested=f"{view.data.images.test:,}")]
    if view.spec.seeds > 1:
        notes.append(words("answer.notes.seed"))
    losses = frozenset(index for index, line in enumerate(found.lines) if line.loss)
    csv = plain_csv(heads, rows)
    return Grid("table-answer", words("answer.table"), heads, rows, csv, notes=tuple(notes), losses=losses)


def _head(name: str, found: Answer, words: Words) -> str:
    label = words(name)
    return label.replace(words("chosen"), f"{words('chosen')} ({found.value})", 1) if found.value else label


def _gain(line: Line, words: Words) -> str:
    if line.points is not None:
        return words("answer.ratio.points", points=signed(line.points))
    return "–" if line.ratio is None else words("answer.ratio.times", ratio=times_text(line.ratio))
