"""What a report shows beside the records: which images it shows, what is kept, and what is measured again."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy import export
from niwaki.deploy.exported import open_export
from niwaki.errors import ModelError
from niwaki.study.answers import SHOWN, Answers, answers_of, moved, pictures, samples, telling
from niwaki.study.evidence import gather_evidence, int8_answers, is_complete
from niwaki.study.plan import make_plan
from niwaki.study.records import Record
from niwaki.study.result_files import Evidence, ShownAnswer
from niwaki.study.scheduler import StudyResult
from niwaki.study.spec import parse_spec
from niwaki.study.store import Store
from niwaki.training.settings import QuantizeSettings
from stored import stored, write_json
from tests.study.conftest import Niwaki

LABELS = np.array([0, 0, 1, 1, 1])


def answers(named: list[int], sure: list[float]) -> Answers:
    scores = np.zeros((len(named), 2), np.float32)
    for index, (answer, certainty) in enumerate(zip(named, sure, strict=True)):
        scores[index] = 1 - certainty
        scores[index, answer] = certainty
    return Answers(np.array(named), scores)


BASE = answers([0, 1, 1, 0, 1], [0.9, 0.8, 0.7, 0.95, 0.6])  # wrong on 1 and 3
CHOSEN = answers([1, 1, 1, 1, 0], [0.7, 0.6, 0.7, 0.9, 0.8])  # wrong on 0, 1 and 4


def test_the_surest_errors_come_first() -> None:
    both = {"base": BASE, "chosen": CHOSEN}
    assert telling(both, LABELS) == {"base": [3, 1], "chosen": [4, 0, 1], "lost": [4, 0], "gained": [3]}
    assert moved(both, LABELS) == {"lost": 2, "gained": 1}
    assert telling({"base": BASE}, LABELS) == {"base": [3, 1]}
    assert moved({"base": BASE}, LABELS) == {}
    many = answers([1] * 30, list(np.linspace(0.6, 0.9, 30)))
    assert telling({"base": many}, np.zeros(30, np.int64))["base"] == list(range(29, 29 - SHOWN, -1))


def test_confusion_and_what_is_kept_of_an_answer() -> None:
    assert CHOSEN.confusion(LABELS, 2) == [[0, 2], [1, 2]]
    kept = CHOSEN.of(LABELS, {"lost": [4, 0], "base": [0]})
    assert kept == {"0": ShownAnswer(named=1, sure=0.7, true=0.3), "4": ShownAnswer(named=0, sure=0.8, true=0.2)}


def test_scores_become_shares() -> None:
    found = answers_of(lambda images: np.array([[1000.0, 1000.0 + np.log(3)]] * len(images)), np.zeros((7, 1, 2, 2)))
    assert found.named.tolist() == [1] * 7
    assert found.sure[0] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(("channels", "color"), [(1, "grey"), (3, "rgb")])
def test_pictures_are_the_images_without_their_padding(channels: int, color: str) -> None:
    images = np.zeros((3, channels, 6, 7), np.uint8)
    images[:, :, 2:4, 2:5] = np.arange(6, dtype=np.uint8).reshape(2, 3) * 10
    split = Split(images, np.array([1, 1, 0]))
    preprocessing = Preprocessing(color=color, pad=2)  # type: ignore[arg-type]
    data = Dataset("d", ("a", "b", "c"), preprocessing, "f", "o", False, split, split, split)
    found = pictures(data, [2, 2, 0])
    assert [png is not None for png in samples(data)] == [True, True, False]
    assert {number: image.true for number, image in found.items()} == {"0": 1, "2": 0}
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["2"].png))))
    assert pixels.shape[:2] == (2, 3)
    assert pixels.reshape(2, 3, -1)[:, :, 0].tolist() == [[0, 10, 20], [30, 40, 50]]


def run(niwaki: Niwaki, study: Path):  # type: ignore[no-untyped-def]
    return niwaki("study", "run", study / "s.toml", "--jobs", 1, "--out", study / "out")


def read(study: Path, name: str) -> dict:
    return json.loads((study / "out" / name).read_bytes())


def test_a_study_ends_with_the_answers_and_times_of_both(study: Path, niwaki: Niwaki) -> None:
    evidence, verify = read(study, "evidence.json"), read(study, "verify.json")
    assert set(evidence["confusion"]) == {"base", "chosen", "base_int8", "chosen_int8"}
    right = {name: int(np.trace(counts)) for name, counts in evidence["confusion"].items()}
    of_form = {form["form"]: form["accuracy"]["correct"] for form in verify["forms"]}
    assert right["chosen_int8"] == of_form["reference"] == of_form["c"]  # as the C answers
    assert right["chosen"] == of_form["torch"]
    assert evidence["base"]["int8"]["flash"] > 0
    bench = read(study, "bench.json")
    assert {(row["file"], row["form"]) for row in bench["rows"]} == {
        (file, form) for file in ("base", "chosen") for form in ("torch", "onnx", "onnx-int8", "c")
    }
    assert all(row["median_us"] > 0 for row in bench["rows"])
    assert not any(str(study.parent) in note for note in bench["notes"])


def test_what_is_there_is_kept_and_what_is_missing_is_made(study: Path, niwaki: Niwaki) -> None:
    before = {name: (study / "out" / name).read_bytes() for name in ("evidence.json", "bench.json")}
    assert "comparing the base with the chosen model" not in run(niwaki, study).stderr
    assert {name: (study / "out" / name).read_bytes() for name in before} == before
    lacking = {name: part for name, part in read(study, "evidence.json").items() if name != "images"}
    (study / "out" / "evidence.json").write_text(json.dumps(lacking))
    done = run(niwaki, study)
    assert "evidence.json: damaged" in done.stderr
    assert "comparing the base with the chosen model" in done.stderr
    assert (study / "out" / "evidence.json").read_bytes() == before["evidence.json"]  # no time is in it


def test_what_an_earlier_version_did_not_gather_is_gathered(
    study: Path, niwaki: Niwaki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("niwaki.study.evidence.ROUNDS", 2)
    names = ("evidence.json", "verify.json")
    before = {name: (study / "out" / name).read_bytes() for name in names}
    evidence, verify = (read(study, name) for name in names)
    assert evidence["base"]["int8"]["layers"].keys() == verify["exported"]["c"]["layers"].keys()
    del evidence["layers"], evidence["codes"], evidence["base"]["int8"]["layers"], verify["exported"]["c"]["layers"]
    write_json(study / "out", "evidence.json", evidence)
    write_json(study / "out", "verify.json", verify)
    run(niwaki, study)
    assert {name: (study / "out" / name).read_bytes() for name in names} == before


@pytest.mark.parametrize("lost", ["layers", "sensitivity", "layers of the C"])
def test_what_is_there_is_not_enough_without_what_a_later_version_knows(study: Path, lost: str) -> None:
    known = read(study, "evidence.json")
    assert is_complete(stored(Evidence, known))
    del (known["base"]["int8"] if lost == "layers of the C" else known)["layers" if "layers" in lost else lost]
    assert not is_complete(stored(Evidence, known))


def test_a_base_that_has_no_int8_form_is_said(study: Path, niwaki: Niwaki, monkeypatch: pytest.MonkeyPatch) -> None:
    (study / "out" / "evidence.json").unlink()

    def refuse(*_arguments: object, **_named: QuantizeSettings) -> None:
        raise ModelError("node [s]: Sigmoid")

    monkeypatch.setattr(export, "export_all", refuse)
    run(niwaki, study)
    evidence = read(study, "evidence.json")
    assert evidence["base"]["int8"] == {"reason": "node [s]: Sigmoid"}
    assert "base_int8" not in evidence["confusion"]
    assert {row["file"] for row in read(study, "bench.json")["rows"]} == {"chosen"}


def test_nothing_is_said_of_a_chosen_model_where_none_was_chosen(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(parse_spec('[[experiment]]\nname = "one"\n', "x"), data="", environment={})
    base = Record(
        key="b", kind="train", parent=None, seed=0, position=0, settings={}, data="", environment={}, status="done"
    )
    result = StudyResult(tmp_path, plan, {plan.trials[0].rows[0]: base})
    images = len(small_data.test.labels)
    same = Answers(np.zeros(images, np.int64), np.ones((images, small_data.num_classes), np.float32))
    monkeypatch.setattr("niwaki.study.evidence._answers", lambda *_arguments: {"base": same})
    monkeypatch.setattr("niwaki.study.evidence._layers", lambda *_arguments: {})
    monkeypatch.setattr("niwaki.study.evidence._sensitivity", lambda *_arguments: None)
    told: list[str] = []
    gather_evidence(Store(tmp_path), result, small_data, told.append, trust=False)
    assert told == ["storing the base's answers for the report"]


def test_without_a_base_there_is_nothing(small_data: Dataset, tmp_path: Path) -> None:
    plan = make_plan(parse_spec('[[experiment]]\nname = "one"\n', "x"), data="", environment={})
    (tmp_path / "evidence.json").write_text("{}")  # of an earlier run
    (tmp_path / "bench.json").write_text("{}")
    gather_evidence(Store(tmp_path), StudyResult(tmp_path, plan, {}), small_data, print, trust=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_an_integer_network(small_export: Path, small_data: Dataset, tmp_path: Path) -> None:
    shutil.copytree(small_export, tmp_path / "export", ignore=shutil.ignore_patterns("model-int8.onnx", "c"))
    with pytest.raises(ModelError, match="export: contains no integer network"):
        int8_answers(open_export(tmp_path / "export"), small_data)


def test_without_a_choice_there_is_the_base_alone(study: Path, niwaki: Niwaki) -> None:
    file = study / "s.toml"
    file.write_text(file.read_text().replace('"accuracy_drop<=50"', '"params<=1"'))
    run(niwaki, study)
    evidence = read(study, "evidence.json")
    assert evidence["chosen"] is None
    assert set(evidence["confusion"]) == {"base"}
    assert not (study / "out" / "bench.json").exists()
