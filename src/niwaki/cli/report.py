"""`niwaki report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import typer

from niwaki.cli.outcome import complain
from niwaki.cli.output import print_json
from niwaki.device.text import printable
from niwaki.errors import SpecError
from niwaki.reporting.build import Built, Compared, build_comparison, build_report
from niwaki.reporting.words import words_in

SEARCH = "search.json"
"""What a search's folder has in place of a study's `study.json`."""


def report(folder: Path, other: Path | None, *, out: Path | None, language: str, show: bool, as_json: bool) -> None:
    """Write the report of a study, or the page that compares two, and print where it is."""
    code = words_in(language).language
    if (folder / SEARCH).is_file():
        raise SpecError(
            f"{folder}: is the folder of a search: its niwaki compress command without --trials and --time writes the "
            "report anew, with --lang ko in Korean"
        )
    built: Built | Compared
    if other is not None:
        built = build_comparison(folder, other, out=out, language=code)
    elif out is not None:
        raise typer.BadParameter("it is for the page that compares two studies: give both folders", param_hint="--out")
    else:
        built = build_report(folder, language=code, notify=tell)
    note = built.note if isinstance(built, Built) and built.asked_for else ""
    if as_json:
        print_json({"html": str(built.html), "markdown": str(built.markdown), "language": built.language,
                    "bytes": built.bytes, **_live(built)})  # fmt: skip
    else:
        print(printable(f"Wrote {built.html} ({built.bytes:,} bytes) and {built.markdown}."))
    for problem in built.damages:
        tell(f"{problem}; the next run repairs it")
    if note:
        tell(note)
    if show:
        open_page(built)


def _live(built: Built | Compared) -> dict[str, object]:
    """Whether the chosen model runs in the page; a comparison has no such part."""
    return {"live": not built.note, "note": built.note or None} if isinstance(built, Built) else {}


def open_page(built: Built | Compared) -> None:
    """Open the page in the desktop's browser, if there is one."""
    if not webbrowser.open(built.html.resolve().as_uri()):
        tell(f"no browser could be started: open {built.html} yourself")


def tell(line: str) -> None:
    """Print progress on standard error."""
    complain(line)
