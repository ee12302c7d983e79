"""The whole report of a study as a document, section by section in reading order."""

from __future__ import annotations

import shlex
from importlib.metadata import version

from niwaki.errors import step
from niwaki.reporting.document import Block, Code, Document, Listing, Section, Text
from niwaki.reporting.gaps import Gap, gaps_of
from niwaki.reporting.headline import answer
from niwaki.reporting.sections.classes import classes_section
from niwaki.reporting.sections.experiments import experiment_parts
from niwaki.reporting.sections.forms import forms_part, latency_section
from niwaki.reporting.sections.front import front_section
from niwaki.reporting.sections.headline import answer_section
from niwaki.reporting.sections.layers import layers_section
from niwaki.reporting.sections.run import run_section
from niwaki.reporting.tables import make_tables
from niwaki.reporting.view import View
from niwaki.reporting.words import Words


@step("composing the report")
def compose(view: View, words: Words, live: str = "") -> Document:
    """The report's content for a study, finished or not. `live` says what the live part lacks, if there is a page."""
    tables = make_tables(view, words)
    gaps = gaps_of(view, words, live)
    parts = {kind: experiment_parts(view, tables, kind, words) for kind in ("experiment", "control", "quantization")}
    published = any(table.source or any(row.published for row in table.rows) for table in tables)
    sections = [answer_section(view, answer(view, tables, words), words), run_section(view, words)]
    if parts["experiment"]:
        lead = Text(words("experiments.lead" if published else "experiments.lead.own"), "lead")
        sections.append(Section("experiments", words("experiments.heading"), (lead, *parts["experiment"])))
    controls = parts["control"] or (Text(words("controls.none"), "warning"),)
    sections.append(Section("controls", words("controls.heading"), (Text(words("controls.lead"), "lead"), *controls)))
    sections += [
        front_section(view, words),
        layers_section(view, words),
        Section("quantization", words("quantization.heading"),
                (Text(words("quantization.lead"), "lead"), *parts["quantization"], forms_part(view, words))),
        latency_section(view, words),
        classes_section(view, words),
        _gaps_section(gaps, words),
    ]  # fmt: skip
    title = words.name(view.spec.title) or words("page.untitled")
    warnings = _warnings(view, gaps, words)
    return Document(words.language, title, _byline(view, words), warnings, tuple(sections), _footer(view, words))


def _byline(view: View, words: Words) -> str:
    seeds = view.spec.seeds
    return words(
        "page.byline", model=view.spec.model.factory, data=view.data.name, stages=len(view.stages),
        seeds=words("page.seeds.one") if seeds == 1 else words("page.seeds.many", seeds=seeds),
        machine=view.environment.machine,
    )  # fmt: skip


def _warnings(view: View, gaps: list[Gap], words: Words) -> tuple[str, ...]:
    said = [words("page.synthetic")] if view.data.synthetic else []
    missing = len(view.stages) - len(view.records)
    if missing > 0:
        said.append(words("page.unfinished", missing=missing, of=len(view.stages)))
    if any(gap.weight == "failed" for gap in gaps):
        said.append(words("page.faults"))
    return tuple(said)


def _gaps_section(gaps: list[Gap], words: Words) -> Section:
    blocks: list[Block] = [Text(words("gaps.lead"), "lead")]
    for weight in ("failed", "unfinished", "unmeasured"):
        items = tuple(gap.text for gap in gaps if gap.weight == weight)
        if items:
            blocks.append(Listing(words(f"gaps.{weight}"), items, weight))
    if not gaps:
        blocks.append(Text(words("gaps.nothing"), "finding"))
    return Section("gaps", words("gaps.heading"), tuple(blocks))


def _footer(view: View, words: Words) -> tuple[Block, ...]:
    folder = shlex.quote(str(view.folder))
    commands = "\n".join(f"niwaki {command} {folder}" for command in ("report", "study show", "verify"))
    return (Text(words("page.made", version=version("niwaki"))), Text(words("page.again")), Code(commands))
