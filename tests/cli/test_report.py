from __future__ import annotations

import json
import re
import shutil
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest

from niwaki.cli.entry import run
from niwaki.reporting.build import build_report
from niwaki.reporting.view import load_view
from niwaki.study.result_files import Choice
from niwaki.study.spec import SelectSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study's folder of which only the plan is there."""
    spec = {"title": "t", "experiment": [{"name": "one"}]}
    data = {
        "name": "d", "origin": "o", "fingerprint": "f", "synthetic": False, "labels": ["a", "b"],
        "images": {"train": 1, "validation": 1, "test": 1}, "input_shape": [1, 4, 4],
    }  # fmt: skip
    study = {
        "format": 1, "spec": spec, "data": data, "environment": {"machine": "m", "torch": "t"}, "stages": ["k"],
        "trials": [{"experiment": "one", "value": None, "seed": 0, "stages": ["k"], "rows": ["k"]}],
    }  # fmt: skip
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text(json.dumps(study))
    return tmp_path / "study"


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["report", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_it_says_what_it_wrote(folder, capsys) -> None:
    code, out, err = call(capsys, folder)
    html, markdown = folder / "report.html", folder / "report.md"
    assert code == 0
    assert out == f"Wrote {html} ({html.stat().st_size:,} bytes) and {markdown}.\n"
    assert err == ""
    assert markdown.read_text().startswith("# t\n")
    assert "it has no [select] section" in html.read_text().partition('id="live"')[2]


def test_what_is_damaged_is_said_beside_it(folder, capsys) -> None:
    (folder / "timings.json").write_text("[1]")
    code, out, err = call(capsys, folder)
    assert (code, out.startswith("Wrote ")) == (0, True)
    assert re.fullmatch(r"niwaki: timings\.json.*; the next run repairs it\n", err)


@pytest.mark.parametrize(
    ("select", "choice", "note", "said"),
    [
        ({}, None, "run it to its end", True),
        ({"export": False}, None, "run it to its end", True),
        ({}, Choice(key=None, value=None, reason="none"), "This study chose no model.", False),
        ({}, Choice(key="k", value=None, reason="best"), "run the study to its end", True),
        ({"export": False}, Choice(key="k", value=None, reason="best"), "export = false", False),
    ],
)
def test_why_no_model_runs_in_the_page_is_said_where_one_is_to(folder, monkeypatch, select, choice, note, said) -> None:
    view = load_view(folder)
    spec = view.spec.model_copy(update={"select": SelectSpec(experiment="one", **select)})
    monkeypatch.setattr("niwaki.reporting.build.load_view", lambda _folder: replace(view, spec=spec, choice=choice))
    built = build_report(folder)
    assert note in built.note
    assert note in built.html.read_text().partition('id="live"')[2]
    assert built.asked_for is said


def test_json_is_one_object(folder, capsys) -> None:
    code, out, _ = call(capsys, folder, "--json", "--lang", "ko")
    found = json.loads(out)
    assert code == 0
    assert found["html"] == str(folder / "report.html")
    assert (found["language"], found["live"], found["bytes"]) == ("ko", False, (folder / "report.html").stat().st_size)
    assert found["note"]


def test_open_shows_it_or_says_that_it_cannot(folder, capsys, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(shown.append(url)))
    code, _, err = call(capsys, folder, "--open")
    assert code == 0
    assert shown == [(folder / "report.html").resolve().as_uri()]
    assert f"open {folder / 'report.html'} yourself" in err
    monkeypatch.setattr(webbrowser, "open", lambda _url: True)
    assert "yourself" not in call(capsys, folder, "--open")[2]


def test_bad_input_is_one_line(folder, tmp_path, capsys) -> None:
    assert call(capsys, tmp_path / "none") == (2, "", f"niwaki: {tmp_path / 'none'}: there is no such folder\n")
    assert call(capsys, folder, "--lang", "fr") == (2, "", "niwaki: --lang 'fr': expected en or ko\n")
    shutil.rmtree(folder)
    assert call(capsys, folder)[0] == 2
