"""Write a study's `report.html` and `report.md` into its folder, at any time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from niwaki.errors import Setting, SpecError, StoreError, step
from niwaki.files import write_whole
from niwaki.live.build import NOT_YET, build, without
from niwaki.live.part import LivePart
from niwaki.notify import Notify, silent
from niwaki.reporting.markdown import to_markdown
from niwaki.reporting.page import to_html
from niwaki.reporting.sections.comparison import compare
from niwaki.reporting.sections.report import compose
from niwaki.reporting.view import View, load_view
from niwaki.reporting.words import Language, words_in
from niwaki.study.store import FORMS, Store

NOT_VERIFIED = "the chosen model has no verified forms: run the study to its end"
HTML, MARKDOWN, COMPARISON = "report.html", "report.md", "comparison.html"


@dataclass(frozen=True)
class Built:
    """What was written, and why the live part is missing, if it is.

    `asked_for` says whether the study should have one: it should not if it chooses or exports no model.
    """

    html: Path
    markdown: Path
    language: Language
    bytes: int
    note: str
    asked_for: bool = True
    damages: tuple[str, ...] = ()
    """Problems with the files of the study, which the page reports too."""


def build_report(folder: Path, *, language: Language = "en", notify: Notify = silent) -> Built:
    """Write the report of the study in `folder`, finished or not; it needs neither its data nor another file.

    Raises StoreError if `folder` is not a study's or cannot be written, SpecError for an unknown language.
    """
    words = words_in(language)
    view = load_view(folder)
    live = live_part(view, language, notify)
    document = compose(view, words, live.note if live.asked_for else "")
    page = to_html(document, live).encode()
    store = Store(folder)
    store.write(HTML, page)
    store.write(MARKDOWN, to_markdown(document).encode())
    return Built(folder / HTML, folder / MARKDOWN, language, len(page), live.note, live.asked_for, view.damages)


@dataclass(frozen=True)
class Compared:
    """What was written about two studies. `damages` are the problems with the files of either."""

    html: Path
    markdown: Path
    language: Language
    bytes: int
    damages: tuple[str, ...] = ()


def build_comparison(first: Path, second: Path, *, out: Path | None = None, language: Language = "en") -> Compared:
    """Write a page that compares two studies: settings that differ, results with their spread, classes.

    It is `comparison.html` in the first one's folder, or `out`, which ends in .html; the Markdown file is beside it.

    Raises StoreError if a folder is not a study's or the page cannot be written, SpecError for the same folder twice,
    for an `out` with another ending, and for an unknown language.
    """
    words = words_in(language)
    if first.resolve() == second.resolve():
        raise SpecError(f"{second}: the same study twice: name another one to compare {first} with")
    html = out or first / COMPARISON
    if html.suffix.lower() != ".html":
        raise SpecError(Setting("out", str(html)), ": expected a file that ends in .html")
    views = load_view(first), load_view(second)
    document = compare(*views, words)
    page = to_html(document).encode()
    try:
        write_whole(html, page)
        write_whole(html.with_suffix(".md"), to_markdown(document).encode())
    except OSError as error:
        raise StoreError(f"{html}: cannot be written ({error.strerror}): give another file") from error
    damages = tuple(f"{view.folder}: {problem}" for view in views for problem in view.damages)
    return Compared(html, html.with_suffix(".md"), words.language, len(page), damages)


@step("building the live part of the report")
def live_part(view: View, language: Language, notify: Notify) -> LivePart:
    """The part of the page that runs the chosen model; a note in its place if it cannot be built."""
    if view.verification is None:  # the folder may hold the forms of an earlier choice
        if reason := _none_is_asked_for(view):
            return without(words_in(language)(reason), language, asked_for=False)
        chosen = view.choice is not None
        return without(f"{view.folder / FORMS}: {NOT_VERIFIED if chosen else NOT_YET}", language)
    return build(view.folder, lang=language, notify=notify)


def _none_is_asked_for(view: View) -> str:
    """Why a finished study has no model to show, in words; empty if it should have one."""
    if view.spec.select is None:
        return "answer.no_select"
    if view.choice is None:
        return ""
    if view.choice.key is None:
        return "live.no_choice"
    return "" if view.spec.select.export else "live.no_export"
