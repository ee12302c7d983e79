"""The page and the Markdown of studies that are finished, unfinished, failed, synthetic, and full of markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from niwaki.cli.entry import run as run_command
from niwaki.live.part import LivePart
from niwaki.reporting.build import build_report
from niwaki.reporting.document import Document, Section, Text
from niwaki.reporting.markdown import to_markdown
from niwaki.reporting.page import bound, harmless_json, policy, to_html
from niwaki.study.store import Store
from stored import write_json

EVIL = "<script>alert('x')</script>|[a](javascript:b)"


class Parsed(HTMLParser):
    """What of a page matters here: scripts with their text, the policy, element names, visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.policy = self.text = ""
        self.names: list[str] = []
        self._in: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.names.append(tag)
        if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""
        self._in = tag if tag in ("script", "style") else None
        if tag == "script" and "type" not in found:
            self._in = "code"

    def handle_endtag(self, _tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in == "code":
            self.scripts.append(data)
        elif self._in is None:
            self.text += data.replace("\u00a0", " ")


def edit(folder: Path, name: str, **changes: Any) -> None:
    values = json.loads((folder / name).read_bytes())
    for path, value in changes.items():
        place = values
        *way, last = path.split("__")
        for step in way:
            place = place[step]
        place[last] = value
    write_json(folder, name, values)


def built(folder: Path, **options: Any) -> Parsed:
    return Parsed(build_report(folder, **options).html.read_text(encoding="utf-8"))


def test_the_policy_allows_the_scripts_of_the_page_and_nothing_else(finished_study) -> None:
    page = Parsed((finished_study / "report.html").read_text(encoding="utf-8"))
    assert len(page.scripts) == 2  # the page's and the live part's
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.scripts]
    assert page.policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}' 'wasm-unsafe-eval'; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    assert policy(["a"]) != policy(["b"])
    text = (finished_study / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"\son[a-z]+=", re.sub(r"<script.*?</script>", "", text, flags=re.S))


def test_the_same_study_gives_the_same_bytes(study_copy) -> None:
    first = build_report(study_copy)
    bytes_before = (first.html.read_bytes(), first.markdown.read_bytes())
    again = build_report(study_copy)
    assert (again.html.read_bytes(), again.markdown.read_bytes()) == bytes_before
    assert again.bytes == len(bytes_before[0]) < 700_000


def test_the_answer_comes_first_and_everything_is_there(finished_study) -> None:
    text = (finished_study / "report.html").read_text(encoding="utf-8")
    order = [text.index(f'id="{name}"') for name in ("answer", "live", "run", "experiments", "controls", "front",
                                                     "quantization", "latency", "classes", "gaps")]  # fmt: skip
    assert order == sorted(order)
    shown = Parsed(text).text
    for said in (
        "The chosen model against the base", "Constants (bytes)", "Time as C (µs)", "The study chose",
        "train.batch_size",
        "An experiment that niwaki does not know", "trained from scratch", "All forms agree", "Which classes lost",
        "The worst mistakes", "a paper <i>of</i> 2023", "small <b>study</b>", "0, 1; spreads", "±",
    ):  # fmt: skip
        assert said in shown, said
    assert "<i>of</i>" not in text


def test_markup_in_names_stays_text(study_copy) -> None:
    labels = [EVIL, "=1+1", "b\u202e\x1b[2J\nb\x9b", "c"]
    edit(study_copy, "study.json", data__labels=labels, data__origin=EVIL, data__name=EVIL, spec__title=EVIL)
    study = json.loads((study_copy / "study.json").read_bytes())
    study["spec"]["experiment"][0] |= {"title": EVIL, "source": EVIL}
    study["environment"]["machine"] = EVIL
    write_json(study_copy, "study.json", study)
    edit(study_copy, "verify.json", notes=[EVIL])
    edit(study_copy, "bench.json", notes=[EVIL])
    report = build_report(study_copy)
    text = report.html.read_text(encoding="utf-8")
    page = Parsed(text)
    assert "<script>alert" not in text
    assert page.text.count(EVIL) > 10
    assert page.names.count("script") == 2  # the page's own and its data
    csv = json.loads(re.search(r'id="csv-data">(.*?)</script>', text, re.S)[1])  # type: ignore[index]
    assert EVIL in csv["figure-confusion"]
    assert "'=1+1" in csv["figure-confusion"]
    markdown = report.markdown.read_text(encoding="utf-8")
    assert "<script" not in re.sub(r"\\<", "", markdown)
    assert "b\\u202e\\u001b[2J" in page.text
    assert "b\\u202e\\x1b\\[2J b\\x9b" in markdown
    spaces = "\n\t\u00a0\u202f\u3000"
    assert all(letter.isprintable() or letter in spaces for letter in text + markdown)
    assert "\\[a\\](javascript" in markdown


def test_synthetic_data_have_a_banner_and_no_published_figures(study_copy) -> None:
    edit(study_copy, "study.json", data__synthetic=True)
    page = built(study_copy)
    assert "Synthetic data. The images are garments that niwaki drew." in page.text
    assert "published" not in page.text.lower().replace("published figures are left out", "")
    assert "Synthetic data" in (study_copy / "report.md").read_text(encoding="utf-8")


def test_an_unfinished_study_says_what_is_missing(study_copy) -> None:
    records = sorted(study_copy.glob("stages/*/record.json"), key=lambda p: json.loads(p.read_bytes())["position"])
    for record in records[4:]:
        shutil.rmtree(record.parent)
    for name in ("choice.json", "verify.json", "evidence.json", "bench.json", "timings.json", "chosen.safetensors"):
        (study_copy / name).unlink()
    page = built(study_copy)
    missing = len(records) - 4
    assert f"This study is not finished: {missing} of {len(records)} stages are still to run." in page.text
    for said in (
        "The study has not chosen a model yet.", "not run yet", "The choice follows the last stage",
        "Answers image by image", "measures the times of the networks after all stages",
    ):  # fmt: skip
        assert said in page.text, said
    assert "live-data" not in (study_copy / "report.html").read_text(encoding="utf-8")


def test_a_study_of_which_nothing_ran_has_a_page(study_copy) -> None:
    shutil.rmtree(study_copy / "stages")
    for file in study_copy.glob("*.json"):
        if file.name != "study.json":
            file.unlink()
    page = built(study_copy, language="ko")
    assert "아직 끝나지 않은 연구입니다" in page.text
    assert "아직 측정한 것이 없습니다" in page.text


def test_what_failed_is_said_with_its_reason(study_copy) -> None:
    store = Store(study_copy)
    study = store.study()
    key = study.trials[-1].rows[1]
    record = store.record(key)
    changes = {"status": "failed", "results": None, "reason": "the loss is nan", "weights_sha256": None}
    store.put(record.model_copy(update=changes), None)
    damaged = study.trials[0].rows[1]
    (study_copy / "stages" / damaged / "record.json").write_text("{")
    edit(study_copy, "verify.json", ok=False)
    verify = json.loads((study_copy / "verify.json").read_bytes())
    verify["forms"][-1] |= {"ok": False, "images": 9, "reason": "first image 3"}
    verify["forms"][0] |= {"ok": None, "images": 0, "reason": "no emulator"}
    write_json(study_copy, "verify.json", verify)
    page = built(study_copy)
    for said in (
        "Something in this study failed", "the loss is nan", "is damaged", "The forms disagree.", "first image 3",
        "not run. no emulator",
    ):  # fmt: skip
        assert said in page.text, said


def test_without_forms_or_evidence_the_records_say_what_they_can(study_copy) -> None:
    (study_copy / "evidence.json").unlink()
    (study_copy / "bench.json").unlink()
    write_json(study_copy, "verify.json", {"ok": None, "reason": "node [s]: Sigmoid"})
    page = built(study_copy)
    for said in (
        "cannot be exported: node [s]: Sigmoid", "The forms have not been timed", "Which classes lost",
        "Answers image by image",
    ):  # fmt: skip
        assert said in page.text, said
    assert "The worst mistakes" not in page.text


def test_evidence_of_other_models_is_not_shown(study_copy) -> None:
    edit(study_copy, "evidence.json", made_of__base="of an earlier run")
    edit(study_copy, "bench.json", format=0)
    page = built(study_copy)
    assert "The worst mistakes" not in page.text
    assert "The forms have not been timed" in page.text


@pytest.mark.parametrize("which", ["int8", "float"])
def test_a_choice_whose_records_are_damaged_is_no_answer(study_copy, which) -> None:
    """No other network is shown in the place of the chosen one, and nothing of an exported model."""
    store = Store(study_copy)
    key = next(t.rows for t in store.study().trials if t.experiment == "int8" and t.value == 0.5)
    edit(study_copy, "choice.json", key=key[-1], value=0.5)
    edit(study_copy, "study.json", spec__select__experiment="int8")
    edit(study_copy, "verify.json", made_of__model=store.record(key[-2]).weights_sha256)
    assert "The chosen model against the base" in built(study_copy).text
    (study_copy / "stages" / key[-1 if which == "int8" else -2] / "record.json").write_text("{")
    page = built(study_copy)
    assert "The study has not chosen a model yet." in page.text
    assert "The chosen model against the base" not in page.text
    assert "Nothing was chosen" not in page.text
    assert "All forms agree" not in page.text


def test_forms_of_another_model_than_the_chosen_one_are_not_shown(study_copy) -> None:
    edit(study_copy, "verify.json", made_of__model="of an earlier choice")
    page = built(study_copy)
    assert "The chosen model against the base" in page.text
    assert "All forms agree" not in page.text


def test_no_choice_is_none_while_stages_are_missing(study_copy) -> None:
    write_json(study_copy, "choice.json", {"key": None, "value": None, "reason": "r"})
    shutil.rmtree(next(study_copy.glob("stages/*/")))
    page = built(study_copy)
    assert "The study has not chosen a model yet." in page.text
    assert "Nothing was chosen" not in page.text


def test_the_classes_are_of_the_network_that_the_answer_is_about(study_copy) -> None:
    page = built(study_copy)
    assert "Change, chosen, int8 (points)" in page.text
    assert "Most often taken for (chosen, int8)" in page.text
    assert re.search(r"(No class lost|lost the most: .*points) \(base → chosen, int8\)\.", page.text)
    (study_copy / "evidence.json").unlink()  # the records alone know the float answers only
    assert "Change, chosen (points)" in built(study_copy).text


def test_no_answer_is_given_as_wholly_certain(study_copy) -> None:
    evidence = json.loads((study_copy / "evidence.json").read_bytes())
    for answers in evidence["answers"].values():
        for number, sure in zip(answers, (1.0, 0.996, 0.994) * len(answers), strict=False):
            answers[number]["sure"] = sure
    write_json(study_copy, "evidence.json", evidence)
    page = built(study_copy)
    assert ">99 %" in page.text
    assert "100 %" not in page.text
    assert re.search(r"[✓✗] \w+ 99 %", page.text)


def test_nothing_chosen_is_said(study_copy) -> None:
    write_json(study_copy, "choice.json", {"key": None, "value": None, "reason": "r"})
    page = built(study_copy)
    assert "Nothing was chosen: no candidate of “ratio” is within the budget accuracy drop ≤ 100 points." in page.text
    study = json.loads((study_copy / "study.json").read_bytes())
    study["spec"]["select"] = None
    write_json(study_copy, "study.json", study)
    assert "This study chooses no model" in built(study_copy).text


def test_the_front_is_of_every_network_of_the_study(study_copy) -> None:
    """Also of the pruning steps that no experiment shows, worked out from the records alone."""
    store = Store(study_copy)
    trials = store.study().trials
    assert any(t.experiment == "scope" and len(t.rows) == 3 for t in trials)  # of which its table shows the last
    means: dict[tuple[int, float], None] = {}
    for experiment, value in {(t.experiment, t.value) for t in trials}:
        seeds = [t.rows for t in trials if (t.experiment, t.value) == (experiment, value)]
        for keys in zip(*seeds, strict=True):
            found = [store.record(key) for key in keys]
            if found[0].kind != "quantize":
                means[found[0].results.params, round(sum(r.results.accuracy("test") for r in found) / 2, 6)] = None
    beaten = {p for p in means for q in means if q != p and q[0] <= p[0] and q[1] >= p[1]}
    text = build_report(study_copy).html.read_text(encoding="utf-8")
    csv = json.loads(re.search(r'id="csv-data">(.*?)</script>', text, re.S)[1])["figure-front"]  # type: ignore[index]
    rows = [line.split(",") for line in csv.splitlines() if line.startswith("Parameters,on the front")]
    assert {(int(row[3]), float(row[4])) for row in rows} <= set(means) - beaten
    best = max(means, key=lambda point: (point[1], -point[0]))
    assert best in {(int(row[3]), float(row[4])) for row in rows}
    assert len(rows) == len({p for p in set(means) - beaten if p[1] >= best[1] - 20} | chosen_of(csv))


def chosen_of(csv: str) -> set[tuple[int, float]]:
    """The chosen network where it is on the front over parameters."""
    rows = [line.split(",") for line in csv.splitlines() if line.startswith("Parameters,on the front")]
    return {(int(row[3]), float(row[4])) for row in rows if row[-1] == "yes"}


DAMAGES = {
    "choice.json": ("{", '{"key": "k"}'),
    "timings.json": ("[]", '{"pinned": true, "noise_floor": {"1": 0.1}, "models": {}}', "{}",
                     '{"pinned": true, "noise_floor": {"1": 0.1, "256": 0.1}, "models": {"a": {"256": {}}}}',
                     '{"pinned": true, "noise_floor": {"1": 0.1, "256": 0.1}, "models": '
                     '{"a": {"256": {"median_us": 1, "p95_us": 1}}}}'),
    "verify.json": ("", '{"ok": null}', '{"ok": true, "forms": [{"form": "c"}]}'),
    "evidence.json": ("{", "{}"),
    "bench.json": ("{", '{"format": 1, "made_of": {}, "rows": [{}]}'),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, some in DAMAGES.items() for text in some])
def test_a_damaged_side_file_takes_only_its_part_away(study_copy, name, content, capsys) -> None:
    (study_copy / name).write_text(content)
    page = built(study_copy)
    assert f"{name} is damaged: " in page.text
    assert "; the next run repairs it" in page.text
    assert ("The chosen model against the base" in page.text) == (name != "choice.json")
    assert "By ratio & step" in page.text
    assert "was not exported" not in page.text
    assert ("the chosen model has no verified forms" in page.text) == (name == "verify.json")
    assert "stages are still to run" not in page.text
    assert run_command(["study", "show", str(study_copy)]) == 0
    assert f"{name} is damaged: " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": {}}, "no image "),
        ({"confusion__base": [[1]]}, "a confusion matrix is not of 4 classes"),
        ({"answers": {"base": {"1": {"named": 4, "sure": 1, "true": 1}}}}, "an answer is none of 4 classes"),
        ({"made_of": {"base": "b"}}, "made_of.chosen: Field required"),
    ],
)
def test_evidence_that_does_not_fit_together_is_damaged(study_copy, changes, said) -> None:
    edit(study_copy, "evidence.json", **changes)
    page = built(study_copy)
    assert "evidence.json is damaged: " in page.text
    assert said in page.text
    assert "The worst mistakes" not in page.text


def test_evidence_of_fewer_classes_is_not_shown(study_copy) -> None:
    labels = json.loads((study_copy / "study.json").read_bytes())["data"]["labels"]
    edit(study_copy, "study.json", data__labels=[*labels, "one more"])
    assert "The worst mistakes" not in built(study_copy).text


def test_a_page_without_a_live_model_says_so_under_its_heading_and_at_the_end(study_copy) -> None:
    text = build_report(study_copy).html.read_text(encoding="utf-8")
    assert '<h2 id="live-title">Try it</h2>' in text
    assert Parsed(text).text.count("The model does not run in this page: ") == 2  # there, and in the last section
    assert Parsed(text[text.index('id="gaps"') :]).text.count("The model does not run in this page: ") == 1
    (study_copy / "verify.json").unlink()
    assert "the chosen model has no verified forms" in built(study_copy).text
    (study_copy / "choice.json").unlink()
    assert "the study has not chosen and exported a model yet" in built(study_copy).text


def test_commands_name_the_folder_as_a_shell_takes_it(study_copy) -> None:
    spaced = study_copy.rename(study_copy.parent / "my $tudy's")
    (command,) = [line for line in built(spaced).text.splitlines() if line.startswith("niwaki study show")]
    assert shlex.split(command) == ["niwaki", "study", "show", str(spaced)]


def test_markdown_has_every_table(finished_study) -> None:
    text = (finished_study / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# small \\<b\\>study\\</b\\>\n")
    assert text.count("\n## ") == 10
    page = (finished_study / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"^\|(?: :?-+:? \|)+$", text, re.M)) == len(re.findall('<div class="table[ "]', page))
    for line in text.splitlines():
        assert not line.startswith("|") or line.endswith("|")
    assert "| Test accuracy \\(%\\) |" not in text
    assert "| Test accuracy (%) |" in text


def test_a_document_without_live_part() -> None:
    document = Document("en", "t", "b", ("w",), (Section("answer", "h", (Text("20 % of 3 µs"),)),), ())
    assert "20\u00a0% of 3\u00a0µs" in html.unescape(to_html(document))
    assert to_markdown(document) == "# t\n\nb\n\n> **w**\n\n## h\n\n20 % of 3 µs\n\n---\n"


def test_a_script_or_style_that_would_end_its_element_is_refused() -> None:
    document = Document("en", "t", "b", (), (), ())
    for part in (LivePart("", "a</SCRIPT>", "", "", ""), LivePart("", "", "</style>", "", "")):
        with pytest.raises(AssertionError, match="would end its own element"):
            to_html(document, part)


def test_json_in_the_page_ends_no_element() -> None:
    text = harmless_json(json.dumps({"a": "</script><!--\u2028&"}, ensure_ascii=False))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028&"}


def test_no_line_ends_within_a_number_with_its_unit_or_an_option() -> None:
    assert bound("5 % and 5 %off and 7 points.") == "5\u00a0% and 5 %off and 7\u00a0points."
    assert bound("<b> (--seeds 3)") == '&lt;b&gt; (<span class="nb">--seeds 3</span>)'
    assert bound("--dry-run: a--b, -- c") == '<span class="nb">--dry-run</span>: a--b, -- c'


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_language_is_that_of_the_page(study_copy, language) -> None:
    text = build_report(study_copy, language=language).html.read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in text
    assert ("결론" in text) == (language == "ko")
