"""The document as one self-contained HTML file without requests: figures inline, script and policy by hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from niwaki.device.text import printable
from niwaki.drawing.chart import chart_csv
from niwaki.drawing.figure import draw, draw_wide
from niwaki.drawing.markers import key_symbol
from niwaki.errors import step
from niwaki.live.texts import TEXTS
from niwaki.reporting.document import Document, Figure, Grid, Section
from niwaki.reporting.words import words_in

if TYPE_CHECKING:
    from niwaki.live.part import LivePart

BLOCKS = {
    "Text": "text", "Grid": "grid", "Figure": "figure", "Facts": "facts", "Pictures": "pictures", "Listing": "listing",
    "Headlines": "headlines", "Code": "code", "Section": "part",
}  # fmt: skip


@step("drawing the page")
def to_html(document: Document, live: LivePart | None = None) -> str:
    """The page. `live` is inserted after the answer; the same document always gives the same bytes."""
    words = words_in(document.language)
    contents = _Contents(document)
    scripts = [_asset("page.js"), *([live.script] if live and live.script else [])]
    style = _asset("page.css") + (live.style if live else "")
    page = _environment().get_template("page.html.j2").render(
        document=document,
        words=words,
        kicker=words(f"kicker.{document.kind}"),
        contents=contents,
        policy=policy(scripts),
        scripts=[Markup(_whole_script(script)) for script in scripts],
        style=Markup(_whole_style(style)),
        figure_style=Markup(_whole_style(_asset("figure.css"))),
        live=live,
        live_heading=TEXTS[words.language]["heading"],
        live_html=Markup(live.html) if live else "",
        live_data=Markup(harmless_json(live.data)) if live and live.data else "",
        csv=Markup(harmless_json(json.dumps(contents.csv, ensure_ascii=False))),
        kind=lambda block: BLOCKS[type(block).__name__],
    )  # fmt: skip
    return seen(page)


def seen(page: str) -> str:
    """The page with invisible and direction-changing characters as escapes, which are valid in JSON too."""
    unseen = {letter for letter in set(page) if printable(letter) != letter} - {"\n", "\t"}
    return page.translate({ord(letter): json.dumps(letter)[1:-1] for letter in unseen})


def bound(text: str) -> Markup:
    """The text as HTML, without line breaks between a number and its unit or within an option of a command."""
    return Markup(_OPTION.sub(r'<span class="nb">\g<0></span>', str(escape(_BEFORE_UNIT.sub("\u00a0", text)))))


_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|µs|points|B)(?:\W|$))")
_OPTION = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*(?: \d+\w?)?")


def policy(scripts: list[str]) -> str:
    """The Content-Security-Policy: these scripts by their hash, WebAssembly, styles in the page, images in the page."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes} 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def harmless_json(text: str) -> str:
    """JSON that cannot end a script element: characters that HTML could take for markup are escaped."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


@dataclass
class _Contents:
    """Numbers of figures and tables, in order, and the CSV of each."""

    document: Document
    figures: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    csv: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for section in self.document.sections:
            self._count(section)

    def _count(self, section: Section) -> None:
        for block in section.blocks:
            if isinstance(block, Section):
                self._count(block)
            elif isinstance(block, Figure):
                self.figures[block.chart.id] = len(self.figures) + 1
                self.csv[block.chart.id] = chart_csv(block.chart)
            elif isinstance(block, Grid):
                self.tables[block.id] = len(self.tables) + 1
                self.csv[block.id] = block.csv

    def draw(self, figure: Figure) -> list[Markup]:
        """The panels of a figure."""
        return draw(figure.chart)

    def draw_wide(self, figure: Figure) -> Markup | None:
        """Its one panel for wide screens, if it has only one."""
        return draw_wide(figure.chart)

    def legend(self, figure: Figure) -> Iterator[dict[str, str]]:
        """Symbols and names of its series, if there is more than one."""
        entries = figure.chart.legend
        if len(entries) > 1:
            for series in entries:
                yield {"symbol": key_symbol(series, kind=figure.chart.kind), "name": series.name}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("niwaki.reporting", "templates"), autoescape=select_autoescape(default=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["bound"] = bound
    return environment


@cache
def _asset(name: str) -> str:
    return (resources.files("niwaki.reporting") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _whole_script(script: str) -> str:
    if "</script" in script.lower() or "<!--" in script:
        raise AssertionError("a script of the page would end its own element")
    return script


def _whole_style(style: str) -> str:
    if "</style" in style.lower():
        raise AssertionError("a style of the page would end its own element")
    return style
