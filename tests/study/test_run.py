from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch

import networks
import niwaki as api
from niwaki.errors import ModelError, SpecError, WorkerLost
from niwaki.models.modelfile import ModelInfo, dumps
from niwaki.study.environment import fingerprint
from niwaki.study.plan import VERSIONS, Stage
from niwaki.study.run import RunOptions, _is_spec, check_options
from niwaki.study.spec import load_spec
from niwaki.study.stages import Task, reset_weights, run_stage
from tests.study.conftest import SMALL, Niwaki, contents, records


def test_a_study_from_end_to_end_with_the_bits_of_one_worker(
    niwaki: Niwaki, int8_study: Path, tmp_path: Path, undisturbed_int8: dict[str, str]
) -> None:
    out = tmp_path / "out"
    done = niwaki("study", "run", int8_study, "--jobs", 2, "--out", out, "--json")
    assert contents(out) == undisturbed_int8
    study = json.loads(done.stdout)
    assert study["stages"] == {"planned": 19, "done": 19}  # 1 + 4·4 + 1 + 1: l1 at 50 % is shared
    names = [experiment["name"] for experiment in study["experiments"]]
    assert names == ["ratio", "importance", "from-scratch", "int8"]
    steps = study["experiments"][0]["rows"]
    assert [(row["value"], row["step"]) for row in steps] == [(None, 0), (0.3, 1), (0.3, 2), (0.5, 1), (0.5, 2)]
    assert all(row["status"] == "done" for row in steps)
    assert steps[-1]["widths"] == {"conv1": 1, "conv2": 3, "fc1": 8, "fc2": 6}
    for row in steps:
        figures = row["figures"]
        assert figures["latency_1"]["mean"] > 0
        assert figures["macs"]["mean"] < figures["macs_tp"]["mean"]
        assert figures["accuracy"]["mean"] <= 100
    assert study["choice"]["value"] == 0.5
    chosen = api.load(out / "chosen.safetensors")
    assert chosen.conv2.out_channels == 3
    timings = json.loads((out / "timings.json").read_text())
    assert {"1", "256"} == set(next(iter(timings["models"].values())))
    for record in records(out):
        assert "seconds" not in json.dumps(record)
        assert record["results"]["test"]["total"] == 100
        assert len(record["results"]["validation"]["confusion"]) == 4
    scratch = [record for record in records(out) if record["kind"] == "train" and record["position"] == 2]
    assert len(scratch[0]["results"]["epochs"]) == 2 + 2 * 1


GOLDEN = [  # kind, position, widths, loss of the last epoch
    ("finetune", 1, 2, 4, 12, 9, 0.5996),
    ("finetune", 1, 2, 4, 12, 9, 0.7156),
    ("finetune", 1, 2, 4, 12, 9, 1.3498),
    ("finetune", 1, 2, 5, 13, 10, 0.5996),
    ("finetune", 2, 1, 3, 8, 6, 0.6619),
    ("finetune", 2, 1, 3, 8, 6, 0.7308),
    ("finetune", 2, 1, 3, 8, 6, 1.383),
    ("finetune", 2, 2, 4, 11, 8, 0.5897),
    ("train", 0, 3, 6, 16, 12, 1.0156),
    ("train", 2, 1, 3, 8, 6, 1.1334),
]
GOLDEN_INT8 = {
    "params": 218,
    "macs": 3996,
    "flash": 394,
    "ram": 296,
    "activation_bytes": 400,
    "structure": "e09f8b77672a05db",
}


def test_results_are_those_of_these_versions(finished: Path) -> None:
    """The golden test. If it fails because results changed on purpose, raise that stage's version in study/plan.py.

    Losses to a tolerance that other processors stay within; widths exactly.
    """
    assert VERSIONS == {"import": 1, "train": 1, "prune": 2, "cut": 1, "finetune": 1, "quantize": 2}
    found = [
        (r["kind"], r["position"], *r["results"]["widths"].values(), r["results"]["epochs"][-1]["loss"])
        for r in records(finished / "out")
        if r["results"]["epochs"]
    ]
    for (*shape, loss), (*expected, golden) in zip(sorted(found), GOLDEN, strict=True):
        assert shape == expected
        assert loss == pytest.approx(golden, abs=2e-3)
    (int8,) = (r["results"] for r in records(finished / "out") if r["kind"] == "quantize")
    assert {name: int8[name] for name in GOLDEN_INT8} == GOLDEN_INT8
    assert int8["test"]["correct"] == pytest.approx(76, abs=4)


def test_seeds_give_mean_and_deviation(niwaki: Niwaki, small_study: Path, tmp_path: Path) -> None:
    text = small_study.read_text().split('[[experiment]]\nname = "importance"')[0]
    small_study.write_text(text)
    done = niwaki("study", "run", small_study, "--seeds", 2, "--jobs", 2, "--out", tmp_path / "out", "--json")
    row = json.loads(done.stdout)["experiments"][0]["rows"][-1]
    figure = row["figures"]["validation"]
    assert figure["n"] == 2
    values = [
        100 * record["results"]["validation"]["correct"] / 60
        for record in records(tmp_path / "out")
        if record["kind"] == "finetune" and record["position"] == 2 and record["results"]["widths"]["fc1"] == 8
    ]
    assert figure["mean"] == pytest.approx(sum(values) / 2)
    assert figure["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


def test_a_loss_that_is_not_finite_fails_that_trial_and_the_rest_goes_on(
    niwaki: Niwaki, small_study: Path, tmp_path: Path
) -> None:
    head = small_study.read_text().split("[select]")[0]
    small_study.write_text(
        head + '[[experiment]]\nname = "lr"\nvary = { "finetune.lr" = [1e-3, 90.0] }\nset = { "finetune.epochs" = 3, '
        '"finetune.optimizer" = "sgd", "finetune.weight_decay" = 1.0 }\n'
    )
    done = niwaki("study", "run", small_study, "--jobs", 1, "--out", tmp_path / "out", check=1)
    assert "the loss became" in done.stderr
    assert "lower finetune.lr (now 90)" in done.stdout
    study = json.loads(niwaki("study", "show", tmp_path / "out", "--json").stdout)
    good, bad = study["experiments"][0]["rows"][1:]
    assert good["status"] == "done"
    assert bad["status"].startswith("failed: the loss became")
    failed = [record for record in records(tmp_path / "out") if record["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["weights_sha256"] is None
    before = contents(tmp_path / "out")
    again = niwaki("study", "run", small_study, "--jobs", 1, "--out", tmp_path / "out", check=1)
    assert "failed before" in again.stderr
    assert contents(tmp_path / "out") == before


def test_a_study_from_weights_of_ones_own(
    niwaki: Niwaki, small_study: Path, small_npz: Path, small_model: Path, other_order: Path, tmp_path: Path
) -> None:
    data = api.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})
    args = {"num_classes": 4, "image_size": 16, "widths": [3, 6, 16, 12]}
    model = api.load(small_model)
    api.save(model, tmp_path / "mine.safetensors", factory="lenet5", args=args, data=data)
    expected = api.evaluate(model, data).correct
    text = small_study.read_text().replace('factory = "lenet5"', 'weights = "mine.safetensors"\nfactory = "lenet5"')
    small_study.write_text(text.split('[[experiment]]\nname = "importance"')[0])
    done = niwaki("study", "run", small_study, "--data", other_order, "--jobs", 1, "--out", tmp_path / "out")
    assert "its classes are in another order than those of" in done.stderr
    for file in ("chosen.safetensors", "stages/*/weights.safetensors"):
        assert {api.read_info(path).labels for path in (tmp_path / "out").glob(file)} == {("0", "1", "2", "3")}
    assert json.loads((tmp_path / "out" / "study.json").read_text())["data"]["labels"] == ["0", "1", "2", "3"]
    base = next(record for record in records(tmp_path / "out") if record["kind"] == "import")
    assert base["results"]["test"]["correct"] == expected
    assert not [record for record in records(tmp_path / "out") if record["kind"] == "train"]

    other = api.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16], "std": [0.5]})
    api.save(model, tmp_path / "mine.safetensors", factory="lenet5", args=args, data=other)
    done = niwaki("study", "run", small_study, "--jobs", 1, "--out", tmp_path / "other", check=2)
    assert "made for a preprocessing that differs" in done.stderr
    (tmp_path / "mine.safetensors").unlink()
    done = niwaki("study", "run", small_study, "--out", tmp_path / "none", check=2)
    assert "model.weights" in done.stderr


def test_weights_bring_their_own_factory(niwaki: Niwaki, small_study: Path, small_npz: Path, tmp_path: Path) -> None:
    data = api.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})
    model = networks.ResidualNet(width=4, num_classes=4)
    api.save(
        model, tmp_path / "mine.safetensors", factory="networks:ResidualNet", args={"width": 4, "num_classes": 4},
        data=data,
    )  # fmt: skip
    text = SMALL.split("[select]")[0].format(data=small_npz)
    text = text[: text.index("[model]")] + '[model]\nweights = "mine.safetensors"\n' + text[text.index("[data]") :]
    small_study.write_text(text + '[[experiment]]\nname = "one"\n')
    refused = niwaki("study", "run", small_study, "--out", tmp_path / "out", check=2)
    assert "'networks:ResidualNet' is not niwaki's" in refused.stderr
    niwaki("study", "run", small_study, "--jobs", 1, "--trust", "--out", tmp_path / "out")
    assert {record["kind"] for record in records(tmp_path / "out")} == {"import", "prune", "finetune"}
    assert "--trust" in niwaki("study", "run", small_study, "--dry-run", check=2).stderr


def test_imported_weights_must_fit_the_data(small_npz: Path) -> None:
    data = api.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})
    stage = Stage("k", "import", {"factory": "lenet5", "args": {}}, None, 0, 0, 0, "")
    for shape, labels, message in (
        ((1, 32, 32), 4, r"takes \(1, 32, 32\), but the data gives \(1, 16, 16\)"),
        ((1, 16, 16), 10, r"4 classes \(0, 1, 2, 3\), but the model has 10 classes \(0, 1, 2, 3, 4, 5"),
    ):
        args = {"image_size": shape[1], "num_classes": labels}
        info = ModelInfo(factory="lenet5", args=args, input_shape=shape, labels=tuple("0123456789")[:labels])
        task = Task(stage, dumps(api.LeNet5(**args), info), "d", fingerprint("cpu"))
        outcome = run_stage(task, data)
        assert outcome.weights is None
        assert re.search(message, outcome.record.reason)
    none = run_stage(Task(stage, None, "d", fingerprint("cpu")), data)
    assert "was given no model to work on" in none.record.reason


def test_a_worker_of_another_kind_refuses(small_npz: Path) -> None:
    data = api.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})
    stage = Stage("k", "train", {}, None, 0, 0, 0, "")
    with pytest.raises(WorkerLost, match=r"the worker's torch is '.*', the driver's '1.0'"):
        run_stage(Task(stage, None, "d", {**fingerprint("cpu"), "torch": "1.0"}), data)


def test_from_scratch_needs_layers_that_can_be_drawn_again() -> None:
    with pytest.raises(ModelError, match=r"module 'Bare' has parameters but no reset_parameters\(\)"):
        reset_weights(networks.Bare(), 0)
    one, two = networks.ResidualNet(), networks.ResidualNet()
    reset_weights(one, 3), reset_weights(two, 3)
    assert torch.equal(one.conv1.weight, two.conv1.weight)


def test_a_foreign_factory_needs_trust(niwaki: Niwaki, small_study: Path, tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text(
        "import torch\n"
        "def build(width):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, width), torch.nn.ReLU(),\n"
        "                               torch.nn.Linear(width, 4))\n"
    )
    text = SMALL.split("[select]")[0].replace('"lenet5"', '"mynet:build"')
    text = text.replace("num_classes = 4, image_size = 16, widths = [3, 6, 16, 12]", "width = 8")
    data = json.dumps(str(small_study.read_text().split('path = "')[1].split('"')[0]))[1:-1]
    small_study.write_text(text.format(data=data) + '[[experiment]]\nname = "one"\n')
    refused = niwaki("study", "run", small_study, "--out", tmp_path / "out", check=2)
    assert "'mynet:build' is not niwaki's" in refused.stderr
    assert not (tmp_path / "out").exists()
    niwaki("study", "run", small_study, "--out", tmp_path / "out", "--jobs", 1, "--trust")
    assert [record["results"]["widths"] for record in records(tmp_path / "out") if record["position"] == 2] == [
        {"1": 4}, {"1": 4},
    ]  # fmt: skip
    file = next((tmp_path / "out" / "stages").glob("*/weights.safetensors"))
    assert "is not niwaki's" in niwaki("inspect", file, check=2).stderr


def test_lost_workers_are_replaced_once_and_then_reported(
    niwaki: Niwaki, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's network that kills its worker: the way of the out-of-memory killer."""
    (tmp_path / "deadly.py").write_text(
        "import os, signal, pathlib, torch\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self, flag, times):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(256, 8), torch.nn.ReLU(),\n"
        "                         torch.nn.Linear(8, 4))\n"
        "        self.flag, self.times = pathlib.Path(flag), times\n"
        "    def train(self, mode=True):\n"
        "        seen = len(self.flag.read_text()) if self.flag.exists() else 0\n"
        "        if mode and seen < self.times and os.environ.get('DRIVER') != str(os.getpid()):\n"
        "            self.flag.write_text('x' * (seen + 1))\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().train(mode)\n"
    )
    monkeypatch.setenv("DRIVER", str(os.getpid()))
    data = small_study.read_text().split('path = "')[1].split('"')[0]

    def study(times: int) -> Path:
        text = SMALL.split("[prune]")[0].format(data=data).replace('"lenet5"', '"deadly:Net"')
        args = f'flag = "{tmp_path / f"flag{times}"}", times = {times}'
        text = text.replace("num_classes = 4, image_size = 16, widths = [3, 6, 16, 12]", args)
        file = tmp_path / f"deadly{times}.toml"
        file.write_text(text + '[[experiment]]\nname = "one"\n')
        return file

    niwaki("study", "run", study(1), "--jobs", 1, "--trust", "--out", tmp_path / "once")
    assert len(records(tmp_path / "once")) == 1
    done = niwaki("study", "run", study(2), "--jobs", 1, "--trust", "--out", tmp_path / "twice", check=1)
    assert "a worker process ended without a result: killed, or out of memory, twice" in done.stderr
    assert not records(tmp_path / "twice")
    niwaki("study", "run", study(2), "--jobs", 1, "--trust", "--out", tmp_path / "twice")
    assert len(records(tmp_path / "twice")) == 1
    assert signal.SIGKILL == 9


def test_a_bug_in_a_users_network_is_told_and_not_recorded(
    niwaki: Niwaki, small_study: Path, small_npz: Path, tmp_path: Path
) -> None:
    (tmp_path / "buggy.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(256, 4))\n"
        "    def forward(self, x):\n"
        "        if self.training: raise ValueError('forgot something')\n"
        "        return super().forward(x)\n"
    )
    text = SMALL.split("[prune]")[0].format(data=small_npz).replace('"lenet5"', '"buggy:Net"')
    text = text.replace("args = { num_classes = 4, image_size = 16, widths = [3, 6, 16, 12] }", "")
    small_study.write_text(text + '[[experiment]]\nname = "one"\n')
    done = niwaki("study", "run", small_study, "--jobs", 1, "--trust", "--out", tmp_path / "out", check=1)
    assert "ValueError: forgot something" in done.stderr
    assert not records(tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jobs": 0}, "`jobs=0`: at least one worker"),
        ({"jobs": -2}, "`jobs=-2`"),
        ({"jobs": 2, "ray": "auto"}, "`jobs=` and `ray=` exclude each other"),
    ],
)
def test_options_that_cannot_work(changes: dict, message: str, tmp_path: Path) -> None:
    spec, _ = load_spec("source")
    with pytest.raises(SpecError, match=message):
        check_options(spec, RunOptions(tmp_path, **changes))


def test_a_study_begun_before_there_was_int8_is_the_same_study() -> None:
    spec, _ = load_spec("quick")
    stored = spec.model_dump(mode="json")
    del stored["quantize"], stored["select"]["export"]
    assert _is_spec(stored, spec)
    assert _is_spec({**stored, "data": {**stored["data"], "validation": 5000}}, spec)  # as it was written once
    assert not _is_spec({**stored, "data": {**stored["data"], "validation": 4000}}, spec)
    assert not _is_spec({**stored, "seeds": 2}, spec)
    assert not _is_spec({**stored, "of_another_version": 1}, spec)


def test_a_worker_never_touches_the_store() -> None:
    import inspect

    source = inspect.getsource(inspect.getmodule(run_stage))
    assert "Store" not in source
    assert "write" not in source
    assert not any(field in Task.__dataclass_fields__ for field in ("folder", "out", "store"))
