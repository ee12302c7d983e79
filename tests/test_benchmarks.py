"""The benchmarks' own arithmetic, and that the sides they compare do the same work. No time is tested."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import __main__ as command
from benchmarks import convolutions, loops, overhead, pairs, plain_script, report, scaling, study, trials

import niwaki
from niwaki.compress.settings import TrainSettings
from niwaki.compress.train import fit
from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, NiwakiError
from niwaki.models.lenet5 import LeNet5
from niwaki.study.plan import make_plan
from niwaki.study.spec import load_spec, parse_spec
from niwaki.study.structure import one_thread

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
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.write_results(page, where, {"race": example()})
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"before\n{report.BEGIN}\n")
        assert text.endswith(f"{report.END}\nafter\n")
        assert text.count("== Race ==") == 1
        assert "old" not in text
    report.write_json(tmp_path / "all.json", where, {"race": example()})
    assert json.loads((tmp_path / "all.json").read_text())["race"]["seconds"] == [1.5, 10.25]


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"{report.BEGIN} only", encoding="utf-8")
    with pytest.raises(NiwakiError, match="markers"):
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
    for wrong in (["study", "--write"], ["all", "--quick", "--write"], ["study", "--wall", "0"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
