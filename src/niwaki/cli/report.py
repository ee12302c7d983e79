"""`niwaki report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from niwaki.cli.outcome import complain
from niwaki.cli.output import print_json
from niwaki.device.text import printable
from niwaki.reporting.build import Built, Compared, build_comparison, build_report
from niwaki.reporting.words import words_in


def report(folder: Path, *, language: str, show: bool, as_json: bool) -> None:
    """Build the report of a study's folder and say where it is."""
    built = build_report(folder, language=words_in(language).language, notify=tell)
    if as_json:
        print_json({"html": str(built.html), "markdown": str(built.markdown), "language": built.language,
                    "bytes": built.bytes, "live": not built.note, "note": built.note or None})  # fmt: skip
    else:
        print(printable(f"Wrote {built.html} ({built.bytes:,} bytes) and {built.markdown}."))
    for problem in built.damages:
        tell(f"{problem}; the next run repairs it")
    if built.note and built.asked_for:
        tell(built.note)
    if show:
        open_page(built)


def compare(first: Path, second: Path, *, out: Path | None, language: str, show: bool, as_json: bool) -> None:
    """Build the page that compares two studies and say where it is."""
    built = build_comparison(first, second, out=out, language=words_in(language).language)
    if as_json:
        print_json({"html": str(built.html), "markdown": str(built.markdown), "language": built.language,
                    "bytes": built.bytes})  # fmt: skip
    else:
        print(printable(f"Wrote {built.html} ({built.bytes:,} bytes) and {built.markdown}."))
    for problem in built.damages:
        tell(f"{problem}; the next run repairs it")
    if show:
        open_page(built)


def open_page(built: Built | Compared) -> None:
    """Show the page in the browser of the desktop, if there is one."""
    if not webbrowser.open(built.html.resolve().as_uri()):
        tell(f"no browser found: open {built.html} yourself")


def tell(line: str) -> None:
    """Say what is going on, beside the output."""
    complain(line)
