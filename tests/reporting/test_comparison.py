"""Two studies compared: the page shows what differs, not what is the same, and bad input gives one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.test_charts import row, table

from niwaki.cli.entry import run as run_command
from niwaki.errors import SpecError, StoreError
from niwaki.reporting.build import build_comparison
from niwaki.reporting.comparison import Both, differing, is_beyond_noise, shared
from niwaki.reporting.tables import Figure, make_tables
from niwaki.reporting.view import load_view
from niwaki.study.records import from_bytes, to_bytes
from stored import write_json


@pytest.fixture
def other(study_copy: Path) -> Path:
    """The same study with another learning rate, an experiment of another name, and worse networks at 60 %."""
    study = json.loads((study_copy / "study.json").read_bytes())
    study["spec"]["train"]["lr"] = 0.5
    study["spec"]["title"] = "another"
    study["spec"]["experiment"][1]["name"] = "batches"
    for trial in study["trials"]:
        trial["experiment"] = {"batch": "batches"}.get(trial["experiment"], trial["experiment"])
    write_json(study_copy, "study.json", study)
    last = [t["rows"][2] for t in study["trials"] if t["experiment"] == "ratio" and t["value"] == 0.6]
    for key in last:
        file = study_copy / "stages" / key / "record.json"
        record = from_bytes(file.read_bytes())
        confusion = [[0, 25, 0, 0], [25, 0, 0, 0], [0, 0, 0, 25], [0, 0, 25, 0]]
        answers = type(record.results.test).from_dict({"total": 100, "correct": 0, "confusion": confusion})
        file.write_bytes(to_bytes(record.model_copy(
            update={"results": record.results.model_copy(update={"test": answers})}
        )))  # fmt: skip
    return study_copy


def test_rows_of_the_same_network_stand_side_by_side() -> None:
    first = table([row(None, 0, 90), row(0.5, 1, 89), row(0.6, 1, 80)])
    second = table([row(None, 0, 91), row(0.6, 1, 70), row(0.7, 1, 60)])
    pairs = shared(first, second)
    assert [(pair.first.value, pair.gap("accuracy")) for pair in pairs] == [(None, 1), (0.6, -10)]
    assert pairs[0].gap("agreement") is None


def test_a_difference_within_the_noise_is_none(finished_study: Path) -> None:
    view = load_view(finished_study)  # 100 test images: 90 % is known to about 6 points, two of them differ by 8.5
    for second, beyond in ((84.0, False), (80.0, True)):
        pair = Both(row(0.5, 1, 90), row(0.5, 1, second))
        assert is_beyond_noise(view, view, pair) is beyond
    nothing = Both(row(0.5, 1, 90), row(0.5, 1, None, figures={"params": Figure(1.0)}))
    assert not is_beyond_noise(view, view, nothing)


def test_only_settings_that_differ_are_named(finished_study: Path, other: Path) -> None:
    first, second = load_view(finished_study), load_view(other)
    assert differing(first, first) == []
    found = {key: values for key, *values in differing(first, second)}
    assert found["train.lr"] == ["0.01", "0.5"]
    assert found["experiment.batch.vary.train.batch_size"] == ["10, 20", "–"]
    assert {key.split(".")[0] for key in found} == {"train", "experiment"}


def test_the_page_says_what_differs(finished_study: Path, other: Path, tmp_path: Path, open_page: Any) -> None:
    built = build_comparison(finished_study, other, out=tmp_path / "both.html")
    assert (built.html.name, built.markdown.name) == ("both.html", "both.md")
    said = built.markdown.read_text()
    assert re.search(r"\| train\.lr +\| 0\.01 +\| 0\.5 +\|", said)
    assert "1 of 7 accuracies differ beyond the noise of the test images." in said
    assert "An experiment that niwaki does not know" in said  # of other names: in one of the two alone
    opened = open_page(built.html)
    page = opened.page
    assert page.locator("h1").inner_text().startswith("small <b>study</b> compared with another")
    assert page.locator("#figure-ratio-both .plot:visible .pt").count() == 2 * 7
    heads = page.eval_on_selector_all("#table-settings thead th", "all => all.map(e => e.textContent)")
    assert heads == ["Setting", f"A ({finished_study.name})", f"B ({other.name})"]
    assert opened.problems == []
    assert {url for url in opened.requests if not url.startswith(("data:", "blob:"))} == {built.html.as_uri()}
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    faults = axe.Axe().run(page).response["violations"]
    assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


def test_it_is_written_into_the_first_folder_and_the_same_bytes_again(finished_study: Path, other: Path) -> None:
    built = build_comparison(other, finished_study, language="ko")
    assert built.html == other / "comparison.html"
    first = built.html.read_bytes()
    assert "서로 다른 설정" in first.decode()
    assert built.bytes == len(first)
    build_comparison(other, finished_study, language="ko")
    assert built.html.read_bytes() == first


def test_a_study_that_is_not_finished_and_other_data_are_told(finished_study: Path, other: Path) -> None:
    study = json.loads((other / "study.json").read_bytes())
    study["data"] |= {"fingerprint": "x", "labels": ["a", "b", "c", "d"]}
    write_json(other, "study.json", study)
    shutil.rmtree(other / "stages" / study["trials"][0]["rows"][-1])
    said = build_comparison(finished_study, other, out=other / "c.html").markdown.read_text()
    assert "is not finished: 1 of" in said
    assert "The two studies use different data" in said
    assert "The two studies have different classes." in said


def test_bad_input_is_one_line(finished_study: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the same study twice"):
        build_comparison(finished_study, finished_study / ".." / finished_study.name)
    with pytest.raises(StoreError, match="nowhere"):
        build_comparison(finished_study, tmp_path / "nowhere")
    with pytest.raises(SpecError, match="ends in .html"):
        build_comparison(finished_study, tmp_path, out=tmp_path / "page.txt")


def test_a_page_that_cannot_be_written_is_one_line(finished_study: Path, other: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        build_comparison(finished_study, other, out=tmp_path / "file" / "page.html")


def test_the_command_compares(finished_study: Path, other: Path, tmp_path: Path, capsys: Any) -> None:
    assert run_command(["report", str(finished_study), str(other), "--out", str(tmp_path / "c.html"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["html"] == str(tmp_path / "c.html")
    assert found["bytes"] == (tmp_path / "c.html").stat().st_size < 2_000_000
    assert run_command(["report", str(finished_study), "--out", "c.html"]) == 2
    assert "give both folders" in capsys.readouterr().err
    assert run_command(["report", str(finished_study), str(other), "--out", "c.txt"]) != 0
    assert "--out c.txt: expected a file that ends in .html" in capsys.readouterr().err


def test_the_tables_of_both_are_those_of_their_reports(finished_study: Path, other: Path) -> None:
    first, second = load_view(finished_study), load_view(other)
    ratio = [make_tables(view)[0] for view in (first, second)]
    assert [pair.gap("params") for pair in shared(*ratio)] == [0.0] * 7
