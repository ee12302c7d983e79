"""The site: reference pages match the code, every link works, nothing is loaded from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer
from docs.generate import COMMANDS, HERE, commands, pages

import niwaki
from niwaki.cli.main import app
from niwaki.reporting.words import words_in
from niwaki.study.spec import StudySpec

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page links to, and the places in it that a link can name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                self.places.add(value)


@pytest.mark.parametrize("name", ["commands.md", "study-keys.md", "python.md"])
def test_a_reference_page_is_that_of_the_code(name: str) -> None:
    assert (HERE / name).read_text(encoding="utf-8") == pages()[name], "run `make docs`"


def test_every_command_has_a_page_and_a_function_of_its_own_words() -> None:
    found = {name for name, _ in commands(typer.main.get_command(app))}
    assert found == set(COMMANDS)
    for name, (function, page) in COMMANDS.items():
        assert f"niwaki {name}" in (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert function in niwaki.__all__


def test_every_function_and_every_key_is_in_the_reference() -> None:
    python, keys = pages()["python.md"], pages()["study-keys.md"]
    for name in niwaki.__all__:
        assert re.search(rf":: niwaki\.{name}\b|\.{name}\n", python), name
    for section in StudySpec.model_fields:
        assert f"[{section}]" in keys or f"`{section}`" in keys


def test_every_section_of_the_report_is_explained() -> None:
    page = (ROOT / "docs" / "tutorials" / "reading-the-report.md").read_text(encoding="utf-8")
    words = words_in("en")
    for name in (
        "answer",
        "run",
        "experiments",
        "controls",
        "front",
        "layers",
        "quantization",
        "latency",
        "classes",
        "gaps",
    ):
        assert f"**{words(f'{name}.heading')}.**" in page, name


def test_every_environment_variable_is_in_the_reference() -> None:
    page = (HERE / "environment.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'"(NIWAKI_[A-Z_]+)"', code))
    assert len(named) > 5
    assert not {name for name in named if f"`{name}`" not in page}


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    read: dict[Path, Page] = {}
    missing = []
    for path in site.rglob("*.html"):
        read[path] = Page(path)
    assert len(read) > 25
    for path, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (
                parts.fragment and target in read and unquote(parts.fragment) not in read[target].places
            ):
                missing.append(f"{path.name}: {link}")
    assert not missing


def test_a_page_loads_nothing_from_outside_and_finds_words(site: Path, launch: Any) -> None:
    browser = launch()
    page = browser.new_page(viewport={"width": 390, "height": 800})
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for name in ("index.html", "reference/commands.html", "guides/studies.html", "architecture.html"):
        page.goto((site / name).as_uri(), wait_until="load")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{name} is {wide} pixels wide"
    page.goto((site / "search.html").as_uri() + "?q=calibration")
    page.wait_for_selector("#search-results li")
    browser.close()
    assert asked
    assert not [url for url in asked if not url.startswith("file://")]
    assert not failed


def test_links_of_pages_outside_the_site_lead_to_files() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert urlsplit(link).scheme or (page.parent / link).exists(), f"{page.name}: {link}"
