"""The layout of an experiment's table on the page: upright, transposed, or reaching into the margin."""

from __future__ import annotations

import json
import re
from pathlib import Path

from niwaki.reporting.build import build_report
from stored import write_json


def cells_of(page: Path, table: str) -> list[list[str]]:
    """The cells of a table of the page, the heads first."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'id="table-{table}".*?</table>', text, re.DOTALL)
    assert found, table
    lines = re.findall(r"<tr.*?</tr>", found[0], re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in lines]


def test_a_wide_and_low_table_stands_on_its_side(finished_study) -> None:
    heads, *lines = cells_of(finished_study / "report.html", "int8")
    assert heads == ["Measure", "base", "30 %, step 2", "30 %, int8", "50 %, step 2", "50 %, int8"]
    measures = {name: figures for name, *figures in lines}
    assert list(measures)[:3] == ["Test accuracy (%)", "Agree with float (%)", "float32 (bytes)"]
    assert [measures["int8 (bytes)"][index] for index in (0, 1, 3)] == ["–"] * 3  # float networks have none
    assert all(int(measures["int8 (bytes)"][index]) > 0 for index in (2, 4))
    markdown = (finished_study / "report.md").read_text(encoding="utf-8")
    assert "| Measure | base | 30 %, step 2 | 30 %, int8 |" in markdown


def test_a_wide_and_high_table_is_upright_and_may_reach_into_the_margin(study_copy) -> None:
    study = json.loads((study_copy / "study.json").read_bytes())
    before = (study_copy / "report.html").read_text(encoding="utf-8")
    assert 'class="table" id="table-ratio"' in before
    study["spec"]["experiment"][0]["columns"] += ["macs"]
    write_json(study_copy, "study.json", study)
    page = build_report(study_copy).html
    heads, *lines = cells_of(page, "ratio")
    assert heads[:2] == ["Ratio", "Step"]
    assert (len(heads), len(lines)) == (11, 7)
    assert 'class="table wide" id="table-ratio"' in page.read_text(encoding="utf-8")
