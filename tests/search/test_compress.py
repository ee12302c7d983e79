"""A search from the command line: its answer, another budget, resuming, and everything that is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from tests.search.conftest import SPACE, Hearing

import niwaki
from niwaki.api.compressing import Compressed
from niwaki.cli.entry import run
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.emit.generate import generate
from niwaki.reporting.words import words_in
from niwaki.study.listener import Silent
from once import once

pytestmark = pytest.mark.timeout(900)  # one search is made for all of them: on a busy machine it takes long

COMMAND = ("compress", "lenet5", "--trials", "4", "--seeds", "1", "--jobs", "1", "--json")


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    code = run([str(argument) for argument in arguments])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


@pytest.fixture(scope="module")
def searched(small_npz: Path, space: Path) -> Path:
    """The folder of a search for 2 KB of constants."""

    def make(folder: Path) -> None:
        found = niwaki.compress(
            "lenet5", small_npz, fit="constants<=2KB", trials=4, seeds=1, jobs=1, space=space, out=folder / "found"
        )
        assert repr(found).endswith("within constants<=2KB>")
        assert len(found.front) == len(found.answer.front) > 0
        assert found.report() == folder / "found" / "report.html"

    return once("search", make) / "found"


def test_the_answer_keeps_to_the_budget_and_is_written_in_every_form(searched: Path) -> None:
    found = json.loads((searched / "result.json").read_text())
    chosen = found["chosen"]
    assert 0.8 * 2048 < chosen["constants"] <= 2048
    assert found["verified"]
    assert {
        "validation",
        "test",
        "constants",
        "flash",
        "ram",
        "stack",
        "macs",
        "instructions",
        "bits",
        "widths",
    } <= set(chosen)
    for name in (
        "chosen.safetensors",
        "chosen/model.onnx",
        "chosen/model-int8.onnx",
        "chosen/c/model.c",
        "front.csv",
        "report.html",
    ):
        assert (searched / name).is_file(), name
    assert found["runner_up"]["id"] != chosen["id"]
    page = (searched / "report.html").read_text()
    for text in (
        "Search report",
        "Accuracy against constants",
        "The candidates in their order",
        "Channels, bits and bytes of each layer",
    ):
        assert text in page
    # the figures known before training are those of the C that was made
    made = generate(read_qdq(onnx.load(searched / "chosen/model-int8.onnx"), "the int8 ONNX")).report
    assert (made.constant_bytes, made.ram_bytes) == (chosen["constants"], chosen["ram"])
    tried = {one["id"]: one["figures"] for one in json.loads((searched / "search.json").read_text())["tried"]}
    assert tried[chosen["id"]]["constants"] == chosen["constants"]
    assert tried[chosen["id"]]["ram"] == chosen["ram"]


def test_another_budget_is_answered_from_the_same_folder(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best within a smaller share was trained in full."""
    found = [one for one in json.loads((searched / "search.json").read_text())["tried"] if one["scores"]]
    (smaller,) = (one for one in found if one["figures"]["constants"] <= 0.6 * 2048)
    assert [score["epochs"] for score in smaller["scores"]] == [1, 2]
    assert "Trained in full" in (searched / "report.html").read_text()
    folder = tmp_path / "again"
    shutil.copytree(searched, folder)
    least = min(one["figures"]["ram"] for one in found)
    options = ("compress", "lenet5", "--data", small_npz, "--space", space, "--seeds", 1, "--json", "--out", folder)
    code, answer = run_json(capsys, *options, "--fit", f"constants<=1.2KB, ram<={least:.0f}", "--lang", "ko")
    assert (code, answer["trained"], answer["chosen"]["id"]) == (0, 0, smaller["id"])  # type: ignore[index]
    assert (answer["chosen"]["epochs"], answer["chosen"]["ram"]) == (2, least)  # type: ignore[index]
    assert run(["report", str(folder), "--lang", "ko"]) == 2
    assert "niwaki compress command without --trials and --time writes the report anew" in capsys.readouterr().err
    page = (folder / "report.html").read_text()
    assert '<html lang="ko"' in page
    for text in ("탐색 보고서", "정확도와 비용", "새 가중치에서", f"ram&lt;={least:.0f}: 이 한도가 결과를 제한합니다"):
        assert text in page
    english = words_in("en")
    for key, text in words_in("ko").texts.items():
        if key.startswith("search.") and "{" not in text and len(english(key)) > 12:
            assert english(key) not in page, key
    assert any("searching further costs" in note or " only: a search" in note for note in answer["notes"])  # type: ignore[attr-defined]
    code, answer = run_json(capsys, *options, "--fit", "ram<=100")
    assert code == 1


def test_a_limit_of_ram_is_kept_by_stripes_of_rows(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [one for one in json.loads((searched / "search.json").read_text())["tried"] if one["scores"]]
    limit = min(one["figures"]["ram"] for one in found) - 1
    folder = tmp_path / "again"
    shutil.copytree(searched, folder)
    options = ("compress", "lenet5", "--data", small_npz, "--space", space, "--seeds", 1, "--json", "--out", folder)
    code, answer = run_json(capsys, *options, "--fit", f"ram<={limit:.0f}")
    chosen = answer["chosen"]
    assert (code, answer["trained"], answer["verified"]) == (0, 0, True)
    assert chosen["ram"] <= limit  # type: ignore[index]
    assert "passes" in str(chosen["stripes"])  # type: ignore[index]
    assert any("by stripes of rows, to keep to the RAM: " in str(note) for note in answer["notes"])  # type: ignore[attr-defined]
    graph = read_qdq(onnx.load(folder / "chosen/model-int8.onnx"), "the int8 ONNX")
    made = generate(graph, ram_limit=int(limit), title="chosen")
    assert made.report.ram_bytes == chosen["ram"]  # type: ignore[index]
    assert (folder / "chosen/c/model.c").read_bytes() == made.files["model.c"]
    # the figures do not outlive the limit
    code, answer = run_json(capsys, *options, "--fit", "constants<=2KB")
    again = {one["id"]: one["figures"] for one in json.loads((folder / "search.json").read_text())["tried"]}
    assert code == 0
    assert answer["chosen"]["stripes"] == []  # type: ignore[index]
    assert answer["chosen"]["ram"] > limit  # type: ignore[index]
    assert again == {one["id"]: one["figures"] for one in json.loads((searched / "search.json").read_text())["tried"]}


@pytest.mark.soak
def test_a_further_search_fits_candidates_by_stripes_of_rows(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [one for one in json.loads((searched / "search.json").read_text())["tried"] if one["scores"]]
    limit = int(min(one["figures"]["ram"] for one in found)) - 1
    folder = tmp_path / "again"
    shutil.copytree(searched, folder)
    asked = ("--fit", f"ram<={limit}", "--trials", 1, "--seeds", 1, "--json", "--out", folder)
    code, _ = run_json(capsys, "compress", "lenet5", "--data", small_npz, "--space", space, *asked)
    last = json.loads((folder / "search.json").read_text())["tried"]
    assert code == 0
    assert any(one["figures"].get("ram_limit") == limit for one in last)


def test_a_finalist_goes_on_from_where_the_last_rung_left_it(searched: Path) -> None:
    tried = json.loads((searched / "search.json").read_text())["tried"]
    keys = [{score["epochs"]: score["float_key"] for score in one["scores"]} for one in tried]
    both = [known for known in keys if len(known) == 2]
    assert both
    for known in both:
        rung, last = (json.loads((searched / "stages" / known[n] / "record.json").read_text()) for n in (1, 2))
        assert (rung["kind"], rung["settings"]["epochs"]) == ("train", 1)
        assert (last["kind"], last["settings"]["epochs"], last["parent"]) == ("finetune", 1, known[1])


class Impatient(Hearing):
    """Keeps all messages, and presses Ctrl-C at one that begins so."""

    def __init__(self, begins: str) -> None:
        super().__init__()
        self._begins = begins

    def message(self, text: object) -> None:
        super().message(text)
        if str(text).startswith(self._begins):
            raise KeyboardInterrupt


def timed(data: Path, space: Path, folder: Path, listener: Silent, fit: str = "constants<=2KB") -> Compressed:
    return niwaki.compress(
        "lenet5", data, fit=fit, time="1s", seeds=1, jobs=1, space=space, out=folder, listener=listener
    )


def plan_in(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "search.json").read_text())["plan"]
    assert isinstance(found, dict)
    return found


def test_a_time_that_no_search_keeps_to_is_named(small_npz: Path, space: Path, tmp_path: Path) -> None:
    heard = Impatient("finalists")
    with pytest.raises(KeyboardInterrupt):
        timed(small_npz, space, tmp_path, heard)
    assert any(text.startswith("a search takes at least ") for text in heard.said)
    plan = plan_in(tmp_path)
    assert (plan["time"], plan["trials"], plan["finalists"]) == ("1 s", 3, 2)
    assert plan["final_epochs"] == 5
    assert any(name.startswith("epochs of ") for name in plan)


@pytest.mark.soak
def test_a_timed_search_keeps_its_plan_for_the_question_that_it_was_made_for(
    small_npz: Path, space: Path, tmp_path: Path
) -> None:
    begun, resumed = Impatient("finalists"), Hearing()
    with pytest.raises(KeyboardInterrupt):
        timed(small_npz, space, tmp_path, begun)
    settled = plan_in(tmp_path)
    assert timed(small_npz, space, tmp_path, resumed).chosen.score.epochs == 5
    assert not any(text.startswith("1s: ") for text in resumed.said)
    finalists = [[text for text in heard.said if text.startswith("finalists")] for heard in (begun, resumed)]
    assert finalists[0] == finalists[1] != []
    assert plan_in(tmp_path) == settled
    with pytest.raises(KeyboardInterrupt):  # less of the same takes other candidates: it is planned anew
        timed(small_npz, space, tmp_path, Impatient("1s: "), fit="constants<=1KB")
    assert plan_in(tmp_path)["of"] != settled["of"]
    assert not any(name.startswith("epochs of ") for name in plan_in(tmp_path))


def test_an_interrupted_search_leaves_the_best_so_far_with_its_report(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(searched, folder)
    for name in ("result.json", "report.html", "front.csv"):
        (folder / name).unlink()
    with pytest.raises(KeyboardInterrupt):
        niwaki.compress(
            "lenet5", small_npz, fit="constants<=2KB", trials=4, seeds=1, jobs=1, space=space, out=folder,
            listener=Impatient("finalists"),
        )  # fmt: skip
    chosen = json.loads((folder / "result.json").read_text())["chosen"]
    assert chosen["constants"] <= 2048
    assert chosen["id"] in (folder / "front.csv").read_text()
    assert "The chosen network and the runner-up" in (folder / "report.html").read_text()


@pytest.mark.soak
def test_a_search_that_lost_stages_gives_the_same_answer_with_more_workers(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "resumed"
    shutil.copytree(searched, folder)
    for number, stage in enumerate(sorted((folder / "stages").iterdir())):
        if number % 3 == 0:
            shutil.rmtree(stage)
    (folder / "search.json").unlink()
    code, answer = run_json(
        capsys, "compress", "lenet5", "--data", small_npz, "--space", space, "--fit", "constants<=2KB", "--trials", 4,
        "--seeds", 1, "--jobs", 2, "--json", "--out", folder,
    )  # fmt: skip
    before = json.loads((searched / "result.json").read_text())
    assert code == 0
    assert answer["trained"] > 0  # type: ignore[operator]
    for name in ("chosen", "runner_up", "front", "binding"):
        assert answer[name] == before[name]
    one, other = (json.loads((place / "search.json").read_text())["tried"] for place in (searched, folder))
    assert one == other


@pytest.mark.soak
def test_latency_is_measured_on_this_machine_after_training(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "timed"
    shutil.copytree(searched, folder)
    options = ("compress", "lenet5", "--data", small_npz, "--space", space, "--seeds", 1, "--jobs", 1, "--json")
    code, answer = run_json(capsys, *options, "--out", folder, "--fit", "latency<=100ms")
    assert (code, answer["trained"]) == (0, 0)
    assert 0.1 < answer["chosen"]["latency_us"] < 100_000  # type: ignore[index]
    assert any("in C on this machine; on another one" in note for note in answer["notes"])  # type: ignore[attr-defined]
    assert run([*map(str, options), "--out", str(folder), "--fit", "latency<=0.001us"]) == 1
    assert "; the fastest takes " in capsys.readouterr().err.splitlines()[-1]
    fresh = tmp_path / "fresh"
    assert run([*map(str, options), "--out", str(fresh), "--fit", "latency<=0.001us", "--trials", "1"]) == 1
    assert "latency<=0.001us: the smallest candidate takes " in capsys.readouterr().err.splitlines()[-1]
    assert not (fresh / "stages").exists()


def test_a_latency_limits_what_is_tried(
    small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", small_npz, "--space", space, "--fit", "latency<=1ms", "--out", tmp_path / "x")
    code, answer = run_json(capsys, "compress", "lenet5", "--trials", 1, "--seeds", 1, "--jobs", 1, "--json", *options)
    assert code == 0
    plan = json.loads((tmp_path / "x/search.json").read_text())["plan"]
    assert plan["latency"] == "latency<=1ms"
    assert answer["chosen"]["macs"] <= plan["latency_macs"]  # type: ignore[index]
    assert answer["chosen"]["latency_us"] <= 1000  # type: ignore[index]


def test_a_budget_below_the_smallest_candidate_is_refused_before_training(
    small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        [
            *COMMAND,
            "--data",
            str(small_npz),
            "--space",
            str(space),
            "--fit",
            "constants<=20, ram<=8KB",
            "--out",
            str(tmp_path / "x"),
        ]
    )
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    assert "nothing fits: constants<=20: the smallest candidate needs " in said
    assert "of them for" in said
    assert not (tmp_path / "x" / "stages").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fit", "flash<=16KiB"), "flash has no unit 'KiB'"),
        (("--fit", "ram<=2KB", "--max", "speed"), "--max speed: expected accuracy"),
        (("--fit", "ram<=2KB", "--min", "flesh"), "--min flesh: did you mean 'flash'?"),
        (("--fit", "ram<=2KB", "--min", "flash"), "--min flash: say how good the network must be"),
        (("--fit", "ram<=2KB", "--time", "soon"), "--time soon: expected a time such as 60m"),
        (("--fit", "ram<=2KB", "--time", "1m", "--trials", "3"), "--time and --trials exclude each other"),
        (("--fit", "ram<=2KB", "--sampler", "best"), "expected tpe or random"),
        (("--fit", "flash<=2KB", "--target", "cortex-m9"), "target 'cortex-m9': expected one of"),
        (("--fit", "ram<=2KB", "--seeds", "0"), "--seeds 0: expected 1 to 100"),
        (("--fit", "ram<=2KB", "--trials", "0"), "--trials 0: expected 1 to 100,000"),
        (("--fit", "ram<=2KB", "--jobs", "0"), "--jobs 0: at least one worker"),
        (("--fit", "ram<=2KB", "--jobs", "1", "--ray", "auto"), "--jobs and --ray exclude each other"),
        (("--fit", "latency<=2s"), "latency has no unit 's': did you mean 'us'? use us, ms"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["compress", "lenet5", *options, "--out", str(tmp_path / "x")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("lenet6", "did you mean 'lenet5'? there is no such model file, study or factory"),
        ("my.module:Net", "if you trust it, say --trust"),
        ("nothing.safetensors", "cannot be read"),
        ("mine.onnx", "make a model file of it and its weights with niwaki import"),
        (".", "the folder has no chosen.safetensors"),
    ],
)
def test_a_network_that_is_not_there_is_named(
    model: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["compress", model, "--fit", "ram<=2KB", "--data", "synthetic", "--out", "x"]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_of_another_search_is_refused(
    searched: Path, small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(searched, folder)
    other = tmp_path / "space.toml"
    other.write_text(SPACE.replace("validation = 60", "validation = 50"))
    options = ("compress", "lenet5", "--data", str(small_npz), "--fit", "ram<=2KB", "--out", str(folder))
    assert run([*options, "--space", str(other)]) == 2
    assert "this search is on other data" in capsys.readouterr().err


def test_the_space_is_shown_without_training(
    small_npz: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", small_npz, "--space", space, "--fit", "constants<=1KB", "--out", tmp_path / "x", "--dry-run")
    code, found = run_json(capsys, *COMMAND, *options)
    assert code == 0
    assert found["widths"] == {"conv1": [1, 6], "conv2": [1, 16], "fc1": [1, 16], "fc2": [1, 12]}
    assert 0 < found["feasible_share"] < 1  # type: ignore[operator]
    assert not (tmp_path / "x").exists()
