"""The benchmarks' own arithmetic, and that the sides they compare do the same work. No time is tested."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import __main__ as command
from benchmarks import (
    accelerator,
    convolutions,
    domain_gap,
    domain_gap_networks,
    inference,
    inference_limits,
    inference_networks,
    inference_race,
    loops,
    overhead,
    pairs,
    peers,
    peers_emx,
    peers_executorch,
    plain_script,
    report,
    scaling,
    study,
    trials,
)

import niwaki
from niwaki.data import synthetic
from niwaki.data.dataset import Dataset, Split
from niwaki.data.datasets import GARMENTS
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, NiwakiError
from niwaki.models.lenet5 import LeNet5
from niwaki.study.plan import make_plan
from niwaki.study.spec import load_spec, parse_spec
from niwaki.study.structure import one_thread
from niwaki.toolchain.compiler import find_compiler
from niwaki.training.settings import TrainSettings
from niwaki.training.train import fit

SMALL = """
[data]
name = "synthetic"
[train]
epochs = 2
[prune]
ratio = 0.5
steps = 2
[finetune]
epochs = 1
[[experiment]]
name = "scope"
vary = { "prune.scope" = ["both", "conv"] }
[[experiment]]
name = "again"
[[experiment]]
name = "scratch"
from_scratch = true
[[experiment]]
name = "memory"
"""


@pytest.fixture
def part() -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (100, 1, 32, 32), dtype=np.uint8), np.arange(100) % 10)


def network(widths: tuple[int, ...] = (2, 6, 48, 33)) -> LeNet5:
    torch.manual_seed(1)
    return LeNet5(widths)


def test_ratios_are_taken_within_each_round() -> None:
    found = pairs.ratios([2.0, 30.0, 8.0], [1.0, 10.0, 2.0])
    assert (found.median, found.low, found.high, found.count) == (3.0, 2.5, 3.5, 3)
    assert str(found) == "3.000 (2.500–3.500)"


@pytest.mark.parametrize(("warm_up", "before"), [(True, "ab"), (False, "")])
def test_sides_take_turns_and_every_second_round_runs_backwards(warm_up: bool, before: str) -> None:
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    seconds = pairs.take_turns({"a": lambda: side("a"), "b": lambda: side("b")}, 3, warm_up=warm_up)
    assert "".join(calls) == before + "abbaab"
    assert [value - len(before) for value in seconds["a"]] == [1, 4, 5]
    assert [value - len(before) for value in seconds["b"]] == [2, 3, 6]


def test_fit_and_the_bare_loops_train_the_same_batches(part: Split) -> None:
    ours, bare, usual = network(), network(), network()
    pixels, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    with one_thread():
        assert torch.get_num_threads() == 1
        fit(ours, part, Preprocessing(), TrainSettings(epochs=1, batch_size=loops.BATCH, lr=loops.LR))
        loops.same_kernels(bare, pixels, labels, overhead.SEED)
        loops.as_usual(usual, pixels.to(torch.float32).div(255), labels, overhead.SEED)
    for a, b, c, start in zip(*(model.parameters() for model in (ours, bare, usual, network())), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-3, atol=1e-5)
        assert not torch.equal(a, start)


def test_the_detours_give_torchs_gradients(part: Split) -> None:
    x = torch.from_numpy(part.images[:32]).to(torch.float32).div(255)
    y = torch.from_numpy(part.labels[:32])
    assert 0 < convolutions.gradient_difference(network(), x, y) < 1e-4


def test_the_script_sees_the_images_that_niwaki_sees(part: Split) -> None:
    garments = plain_script.Garments(part.images[:, 0, 2:-2, 2:-2].copy(), part.labels)
    image, label = garments[3]
    expected = np.pad(part.images[3, :, 2:-2, 2:-2], ((0, 0), (2, 2), (2, 2))).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(image.numpy(), expected)
    assert label == 3
    assert plain_script.train_epoch(network(), garments, 1e-3) > 0


def test_the_scripts_pruner_leaves_the_widths_of_the_source_study(part: Split) -> None:
    garments = plain_script.Garments(part.images[:32, 0, 2:-2, 2:-2].copy(), part.labels[:32])
    models = plain_script.run_trial(LeNet5(), garments, ratio=0.6, steps=5)
    assert [len(model.fc1.weight) for model in models] == [120, 105, 91, 76, 62, 48]


def test_what_a_script_trains_of_the_source_study() -> None:
    plan = make_plan(load_spec("source")[0], data="", environment={})
    # (a) 3·30 + (b) 10+20+25+30 + (c) 3·30 + (d) 30+5 + (f) 5·30 + from scratch 5·30 + random 2·30
    assert trials.epochs(plan, trials.every_trial(plan)) == 660
    # 50 % is asked for in (a), (b), (c), (d) and (f), 60 % by magnitude in (f) and the control
    assert trials.epochs(plan, trials.distinct_trials(plan)) == 660 - 4 * 30 - 30
    # of the 14 trials that are left and prune, 13 need not train the base again
    assert trials.epochs(plan, trials.distinct_stages(plan)) == 510 - 13 * 5


def test_epochs_go_to_the_structure_that_they_train() -> None:
    plan = make_plan(parse_spec(SMALL, "x"), data="", environment={})
    widths = trials.widths_of_stages(plan, (1, 32, 32))
    base, half = (6, 16, 120, 84), (3, 8, 60, 42)
    every = trials.epochs_by_widths(plan, trials.every_trial(plan), widths)
    assert every == Counter({base: 6, half: 2 + 4, (4, 12, 90, 63): 2, (4, 12, 120, 84): 1, (3, 8, 120, 84): 1})
    once = trials.epochs_by_widths(plan, trials.distinct_stages(plan), widths)
    assert once == Counter({base: 2, half: 1 + 4, (4, 12, 90, 63): 1, (4, 12, 120, 84): 1, (3, 8, 120, 84): 1})


def test_the_factors_make_the_total() -> None:
    a, b = (2, 2, 2, 2), (1, 1, 1, 1)
    turn = study.Round(plain={a: 8.0, b: 4.0}, single={a: 4.0, b: 2.0}, alone={a: 2.0, b: 1.0}, together={a: 1, b: 0.5})
    script, shared = study.Work("script", Counter({a: 3, b: 2})), study.Work("niwaki", Counter({a: 1, b: 2}))
    found = study.breakdown([turn], script, shared, 10)
    assert script.seconds(turn.plain, 10) == 320
    assert (found.threads.median, found.loop.median, found.sharing.median, found.workers.median) == (2, 2, 2, 2)
    assert (found.total.median, found.single.median) == (16, 8)


def test_structures_not_known_beforehand_are_refused() -> None:
    text = SMALL.replace("steps = 2", 'steps = 2\ndistribution = "global"')
    plan = make_plan(parse_spec(text, "x"), data="", environment={})
    with pytest.raises(ValueError, match="'scope': its structures are not known"):
        trials.widths_of_stages(plan, (1, 32, 32))


@pytest.mark.parametrize("values", [1, 7])
def test_the_small_studies_have_the_size_they_say(values: int) -> None:
    plan = make_plan(scaling.study_of(values, 100, 2), data="", environment={})
    assert plan.unique == (2 + 3 * values, 2 + 4 * values)


def example() -> report.Report:
    table = report.Table("Times", ("who", "seconds"), (("niwaki", "1.5"), ("a script", "10.25")))
    return report.Report("Race", "on foot.", "python -m race", (table,), ("Done.",), {"seconds": [1.5, 10.25]})


def test_a_report_as_text() -> None:
    assert report.render(example()) == (
        "== Race ==\nMethod: on foot.\nCommand: python -m race\n\n"
        "Times\nwho       seconds\n-----------------\nniwaki        1.5\na script    10.25\n\n- Done."
    )


def test_results_go_between_the_markers_and_into_json(tmp_path: Path) -> None:
    where = report.machine()
    page = tmp_path / "README.md"
    kept = "<!-- inference -->\nold\n<!-- /inference -->"
    page.write_text(f"before\n<!-- results -->\nold\n<!-- /results -->\n{kept}\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.write_results(page, where, {"race": example()})
        text = page.read_text(encoding="utf-8")
        assert text.startswith("before\n<!-- results -->\n\n```text\n")
        assert text.endswith(f"```\n\n<!-- /results -->\n{kept}\nafter\n")
        assert text.count("== Race ==") == 1
    report.write_results(page, where, {"race": example()}, part="inference")
    text = page.read_text(encoding="utf-8")
    assert text.count("== Race ==") == 2
    assert "old" not in text
    report.write_json(tmp_path / "all.json", where, {"race": example()})
    assert json.loads((tmp_path / "all.json").read_text())["race"]["seconds"] == [1.5, 10.25]


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- results --> only", encoding="utf-8")
    with pytest.raises(NiwakiError, match="the markers <!-- results --> and <!-- /results --> are not both there"):
        report.write_results(tmp_path / "README.md", report.machine(), {})


def test_a_busy_machine_is_told_of() -> None:
    where = {**report.machine(), "load": 0.1}
    assert "\n" not in report.describe(where)
    assert "NOT QUIET: the load average was 2.5" in report.describe({**where, "load": 2.5})


def test_the_command_explains_what_it_cannot_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(_name: str) -> None:
        raise DataError("Fashion-MNIST is nowhere")

    monkeypatch.setattr(niwaki, "load_data", nowhere, raising=False)
    assert command.main(["overhead", "--quick"]) == 2
    assert capsys.readouterr().err == "benchmarks: Fashion-MNIST is nowhere\n"
    for wrong in (
        ["study", "--write"],
        ["all", "--quick", "--write"],
        ["inference", "--quick", "--write"],
        ["study", "--wall", "0"],
    ):
        with pytest.raises(SystemExit):
            command.main(wrong)


def dataset(part: Split) -> Dataset:
    return Dataset("drawn", tuple("0123456789"), Preprocessing(), "", "", True, part, part, part)


def contender(scores: np.ndarray, form: str = "float", name: str = "a peer", **settings: object) -> peers.Contender:
    return peers.Contender(name, form, lambda: None, lambda _pixels: scores, **settings)


def a_race(**seconds: list[float]) -> inference_race.Race:
    labels = {"ours": "niwaki C int8", "looped": "niwaki C int8, loop in C", "slow": "torch float", "fast": "ORT int8"}
    return inference_race.Race(
        "LeNet-5", 400_000, {labels[key]: value for key, value in seconds.items()}, {"ORT int8": 0.99}, {"AVX2": 50_000}
    )


RACE = a_race(ours=[4e-6, 4e-6, 8e-6], looped=[2e-6] * 3, slow=[90e-6] * 3, fast=[20e-6, 24e-6, 40e-6])


def test_peers_are_held_against_the_c_called_alike() -> None:
    assert RACE.fastest_peer() == "ORT int8"
    ratio = RACE.ratio("ORT int8")
    assert ratio is not None
    assert (round(ratio.low, 9), round(ratio.median, 9), round(ratio.high, 9)) == (5, 5, 5.5)
    looped = RACE.ratio("niwaki C int8, loop in C")
    assert looped is not None
    assert looped.median == 1
    assert a_race(slow=[1.0], fast=[2.0]).ratio("torch float") is None


def test_the_report_of_a_race() -> None:
    peak = inference_limits.Peak("a unit", macs_per_ns=400.0, cycles_per_ns=4.0)
    assert peak.macs_per_cycle == 100
    rows = inference.times_table(RACE).rows
    assert [row[0] for row in rows] == ["niwaki C int8", "ORT int8", "torch float", "niwaki C int8, loop in C"]
    assert rows[1] == ("ORT int8", "24.00", "5.000 (5.000–5.500)", "0.9900")
    limit = inference.limit_table([RACE], peak)
    assert limit.rows == (("LeNet-5", "400,000", "1.00", "2.00", "200.0", "50.0%"),)
    assert limit.title.endswith("measured 400.0 MACs/ns = 100.0 per cycle at 4.00 GHz")
    assert inference.instructions_table([RACE]).rows == (("LeNet-5", "50,000", "8.00", "–", "–"),)
    outcome = inference_race.Outcome((RACE,), peak, ("a peer is missing: pip install it",))
    assert list(inference.findings(outcome)) == [
        "LeNet-5: 5.00 times as fast as ORT int8, the fastest peer; goal: at least 4 times (met).",
        "a peer is missing: pip install it",
    ]
    assert json.loads(json.dumps(inference.figures(outcome)))["networks"]["LeNet-5"]["us"]["torch float"] == 90


def test_a_contender_that_computes_something_else_is_refused(part: Split) -> None:
    model = network().eval()
    shown = inference_networks.Network("LeNet-5", model, b"", b"", part.images)
    with torch.no_grad():
        right = model(torch.from_numpy(shown.inputs)).numpy()
    assert inference_race.check(contender(right), shown) == pytest.approx(1)
    assert inference_race.check(contender(np.round(right * 1000), "int8"), shown) > 0.99  # in a unit of its own
    wrong = {
        "a peer float is off by": contender(right * 1.01),
        "a peer int8 does not compute": contender(right[::-1], "int8"),
        "a peer int8 gives scores": contender(right[:, :5], "int8"),
        "its scores correlate by 0.00": contender(np.zeros_like(right), "int8"),
    }
    for message, other in wrong.items():
        with pytest.raises(NiwakiError, match=message):
            inference_race.check(other, shown)


PEERS = {  # by the maker: the package that it needs and what it brings
    peers.niwaki_c: ("", [inference_race.OURS_INT8, inference_race.OURS_INT8 + peers.LOOPED, inference_race.AGAIN]),
    peers.torch_eager: ("", ["torch float"]),
    peers.onnxruntime: ("", ["ONNX Runtime float", "ONNX Runtime int8"]),
    peers_emx.emx_float: ("emx_onnx_cgen", ["emx-onnx-cgen C float", "emx-onnx-cgen C float, loop in C"]),
    peers_emx.emx_int8: ("emx_onnx_cgen", ["emx-onnx-cgen C int8 QDQ", "emx-onnx-cgen C int8 QDQ, loop in C"]),
    peers_emx.emx_int8_linear: (
        "emx_onnx_cgen", ["emx-onnx-cgen C int8 QLinear", "emx-onnx-cgen C int8 QLinear, loop in C"],
    ),
    peers_executorch.executorch_float: ("executorch", ["ExecuTorch/XNNPACK float"]),
    peers_executorch.executorch_int8: ("executorch", ["ExecuTorch/XNNPACK int8"]),
}  # fmt: skip


NAMES = {"emx_onnx_cgen": peers_emx.NAME, "executorch": peers_executorch.NAME}


def test_what_is_not_installed_says_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, part: Split
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(peers, "find_compiler", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    nothing = inference_networks.Network("x", network(), b"", b"", part.images)
    makers = (*(maker for maker, (package, _) in PEERS.items() if package), peers.niwaki_c)
    said = set()
    for make in makers:
        with pytest.raises(peers.MissingPeer) as caught:
            make(nothing, tmp_path)
        said.add(str(caught.value))
    assert said == {
        "emx-onnx-cgen C is missing: pip install executorch emx-onnx-cgen",
        "ExecuTorch/XNNPACK is missing: pip install executorch emx-onnx-cgen",
        "niwaki C is missing: it needs a C compiler: apt-get install gcc libc6-dev, or set CC",
    }
    with pytest.raises(peers.MissingPeer, match="the arithmetic limit is missing: it needs a C compiler"):
        inference_limits.measure_peak(tmp_path)
    monkeypatch.setattr(peers, "find_compiler", lambda: "cc")
    with pytest.raises(peers.MissingPeer, match="apt-get install valgrind"):
        inference_limits.count_instructions(tmp_path, "AVX2")
    monkeypatch.setattr(shutil, "which", lambda _name: "valgrind")
    monkeypatch.setattr(inference_limits.platform, "machine", lambda: "aarch64")
    with pytest.raises(peers.MissingPeer, match="for AVX2 is missing: this processor is aarch64"):
        inference_limits.count_instructions(tmp_path, "AVX2")


def test_all_replaces_every_part_of_the_results_and_a_bench_with_a_part_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "README.md"
    names = (*command.ALONE, "results")
    page.write_text("".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in names), encoding="utf-8")
    monkeypatch.setattr(command, "README", page)

    def counts(title: str) -> list[int]:
        text = page.read_text(encoding="utf-8")
        return [text.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].count(title) for name in names]

    where = report.machine()
    command._write(where, dict.fromkeys(command.NAMES, example()))
    assert counts("== Race ==") == [1] * len(command.ALONE) + [4]
    other = dataclasses.replace(example(), title="Rerun")
    for place, name in enumerate(command.ALONE):
        command._write(where, {name: other})
        assert counts("== Rerun ==") == [int(index <= place) for index in range(len(names))]


def test_a_command_that_fails_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NiwakiError, match=r"failed \(3\): so it is"):
        inference_limits._run(sys.executable, "-c", "print('so it is'); raise SystemExit(3)")
    with pytest.raises(NiwakiError, match="emx-onnx-cgen C: .* failed: so it is"):
        peers_emx._run(sys.executable, "-c", "print('so it is'); raise SystemExit(3)")
    monkeypatch.setattr(inference_limits, "_run", lambda *_command: "==1== nothing of note")
    with pytest.raises(NiwakiError, match="valgrind said nothing of instructions for .*count: .*nothing of note"):
        inference_limits._collected(tmp_path / "count", 1)


def absent(_network: object, _folder: Path) -> list[peers.Contender]:
    peers.need("no_such_package", "A peer")
    raise AssertionError("not reached")


@pytest.mark.parametrize(
    "makers",
    [
        pytest.param(list(PEERS)[:4], id="some"),
        pytest.param(inference_race.MAKERS, id="all", marks=pytest.mark.soak),
    ],
)
def test_the_quick_benchmark_runs_with_the_peers_that_are_installed(
    part: Split, makers: list[inference_race.Maker]
) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    found = inference.run(dataset(part), quick=True, makers=(absent, *makers))
    figures, missing = found.figures["networks"]["LeNet-5, 60 %"], found.figures["missing"]
    expected: set[str] = set()
    for package, labels in (PEERS[maker] for maker in makers):
        there = not package or importlib.util.find_spec(package) is not None
        expected |= set(labels) if there else set()
        assert there or any(line.startswith(f"{NAMES[package]} is missing: pip") for line in missing)
    assert set(figures["us"]) == expected
    assert all(value > 0 for value in figures["us"].values())
    assert all(value > 0.9 for value in figures["likeness"].values())
    assert figures["macs"] == 78_314
    assert "A peer is missing: pip install executorch emx-onnx-cgen" in missing
    assert len(missing) == len(set(missing))
    if shutil.which("valgrind"):
        assert all(78_314 / 4 < number < 78_314 * 20 for number in figures["instructions"].values())
    assert found.figures["peak"]["macs_per_ns"] / found.figures["peak"]["cycles_per_ns"] >= 0.5
    text = report.render(found)
    assert "LeNet-5, 60 % (78,314 MACs)" in text
    assert "- A peer is missing: pip install executorch emx-onnx-cgen" in text


def drawn_data() -> Dataset:
    """Garments that niwaki draws, in the geometry of Fashion-MNIST."""
    splits = []
    for number, count in enumerate((300, 120)):
        images, labels = synthetic.draw(np.arange(count), seed=0, split=number)
        splits.append(Split(Preprocessing(pad=2).arrange(images), labels))
    return Dataset("synthetic", GARMENTS, Preprocessing(pad=2), "x", "drawn", True, splits[0], splits[1], splits[1])


@contextmanager
def one_network(data: Dataset, _studies: Path, _quick: bool) -> Iterator[list[domain_gap_networks.Network]]:
    """A classifier that needs no training: how much a picture is like the mean image of each class."""
    means = np.stack([data.train.images[data.train.labels == label].mean(0).ravel() for label in range(10)])
    means -= means.mean(1, keepdims=True)
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def logits(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1) - images.mean((1, 2, 3))[:, None]
        return 12 * flat @ means.T / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1)

    clean = float((logits(data.test.images).argmax(1) == data.test.labels).mean())
    yield [domain_gap_networks.Network("means", logits, clean)]


def test_the_domain_gap_is_measured_on_what_was_not_calibrated_on(tmp_path: Path) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    found = domain_gap.run(drawn_data(), quick=True, studies=tmp_path, networks=one_network)
    rows = {row["way"]: row for row in found.figures["rows"]}
    assert list(rows) == [domain_gap.NO_VISION, *domain_gap.WAYS]
    whole, *seen = rows.values()
    assert whole["found"] == 1
    for row in seen:
        assert row["found"] > 0.9
        assert row["accuracy_found"] > whole["accuracy_found"] + 0.1
        assert row["right"] == pytest.approx(row["accepted"] * row["accuracy_accepted"])
        assert row["accepted"] <= row["found"]
    assert found.figures["garments"] == 60
    text = report.render(found)
    assert "means, vision, scene learned: " in text
    overview, garments, bare = found.tables
    assert len(overview.rows) == 3
    counted = {row[0]: int(row[1]) for row in garments.rows}
    assert sum(number for name, number in counted.items() if name.startswith("turned")) == 60
    assert sum(number for name, number in counted.items() if name.startswith("on ")) == 60
    assert counted["darker than the ground"] + counted["brighter than the ground"] == 60
    assert {row[0]: row[1] for row in bare.rows}["nothing"] == "12"
    json.dumps(found.figures)


def test_the_domain_gap_compares_one_recipe_with_and_without_augmentation() -> None:
    specs = domain_gap_networks.specs(quick=False)
    for clean, camera in (
        (specs["clean"].train, specs["camera"].train),
        (specs["clean"].finetune, specs["camera"].finetune),
    ):
        assert camera.augments
        assert camera.outliers > 0
        assert not clean.augments
        assert clean.outliers == 0
        changed = {name for name in type(clean).model_fields if getattr(clean, name) != getattr(camera, name)}
        assert changed <= set(domain_gap_networks.AUGMENTATION)


@pytest.mark.soak
def test_the_networks_of_the_domain_gap_are_those_of_its_studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    names = ["clean, whole, int8", "clean, 60 %, int8", "camera, whole, int8", "camera, 60 %, int8"]
    small = {
        name: spec.model_copy(update={"data": parse_spec(SMALL_DATA, "x").data})
        for name, spec in domain_gap_networks.specs(quick=True).items()
    }
    monkeypatch.setattr(domain_gap_networks, "specs", lambda *, quick: small)
    data = drawn_data()
    with domain_gap_networks.trained_networks(data, tmp_path, True, say=lambda _line: None) as networks:
        assert [network.name for network in networks] == names
        assert names[-1] == domain_gap_networks.SHIPPED
        for network in networks:
            right = network.logits(data.test.images).argmax(1) == data.test.labels
            assert network.clean == right.mean()
    assert {path.name for path in tmp_path.iterdir()} == {"clean", "camera"}


SMALL_DATA = """
[data]
name = "synthetic"
train_samples = 200
test_samples = 50
validation = 50
[[experiment]]
name = "x"
"""


def test_intervals_are_wilsons() -> None:
    """Against a worked example: 15 of 100 (Brown, Cai, DasGupta, "Interval estimation for a binomial proportion")."""
    assert domain_gap.share(0.15, 100) == "15.0 (9.3–23.3)"
    assert domain_gap.share(0.0, 500) == "0.0 (0.0–0.8)"
    assert domain_gap.share(1.0, 10) == "100.0 (72.2–100.0)"
    assert domain_gap.share(float("nan"), 0) == "–"


def test_the_script_for_a_gpu_says_that_there_is_none(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["accelerator", "--device", "cuda:99"])
    assert accelerator.main() == 2
    assert capsys.readouterr().err.startswith("benchmarks: device 'cuda:99': ")


@pytest.mark.soak
def test_the_script_for_a_gpu_compares_the_cpu_with_itself(monkeypatch) -> None:
    monkeypatch.setattr(
        accelerator, "_source", lambda *_arguments, **_options: iter(())
    )  # minutes: the study is tested
    found = accelerator.run("cpu", quick=True)
    assert [row[0] for row in found.tables[0].rows] == ["train", "prune 60 %", "4 bits, trained"]
    assert all(row[1] == row[2] and row[3] == "+0.00 ± 0.00" for row in found.tables[0].rows)
    assert "the same bits in 6 of 6 models" in found.findings[0]
