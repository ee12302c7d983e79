"""What a worker does with one stage: what it records is what it stores."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from niwaki.cli.entry import run as inspect_command
from niwaki.data.dataset import Dataset
from niwaki.errors import GuardMissing
from niwaki.measure.predict import torch_predictor
from niwaki.models import modelfile
from niwaki.study.environment import fingerprint
from niwaki.study.metrics import METRICS, Metric, value_of
from niwaki.study.plan import Stage
from niwaki.study.records import from_bytes, to_bytes
from niwaki.study.stages import Outcome, Task, run_stage
from niwaki.study.workers.processes import check_guard
from niwaki.training.settings import TrainSettings
from tests.study.conftest import SMALL, environment

RECIPE = TrainSettings(epochs=1, batch_size=50).identity()


def train(data: Dataset, factory: str, **args: object) -> Outcome:
    made_by = {"factory": f"networks:{factory}", "args": {"num_classes": 4, "size": 16, **args}, "source": "s"}
    stage = Stage("k", "train", {**made_by, **RECIPE}, None, 0, 0, 1, "train")
    return run_stage(Task(stage, None, data.fingerprint, fingerprint("cpu"), trust=True), data)


def test_what_is_recorded_is_what_is_stored_and_repeats(small_data: Dataset) -> None:
    """The network draws from Python's and NumPy's generators in training."""
    one, two = train(small_data, "RandomDepth"), train(small_data, "RandomDepth")
    assert one == two
    assert one.weights is not None
    assert one.record.results is not None
    model, _ = modelfile.loads(one.weights, trust=True)
    answers = torch_predictor(model, small_data.preprocessing.table())(small_data.test.images).argmax(1)
    right = int((answers == small_data.test.labels).sum())
    assert one.record.results.test.correct == right
    assert one.record.weights_sha256 == hashlib.sha256(one.weights).hexdigest()


def test_weights_that_are_drawn_late_are_drawn_from_the_seed(small_data: Dataset) -> None:
    torch.manual_seed(1)
    one = train(small_data, "Lazy")
    torch.manual_seed(2)
    assert one.weights is not None
    assert train(small_data, "Lazy") == one


def test_a_metric_that_no_field_holds_is_measured_and_kept_by_its_name(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without such a metric a record is written as it was before there could be any."""
    for name in [name for name, metric in METRICS.items() if metric.value is None]:
        monkeypatch.delitem(METRICS, name)
    assert b'"measured"' not in to_bytes(train(small_data, "Lazy").record)
    module = types.ModuleType("niwaki.measure.sure")
    module.measure = lambda _model, predict, images, _labels: float(predict(images).argmax(1).mean())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(METRICS, "sure", Metric(None, "mean class", 2))
    done = train(small_data, "Lazy")
    stored = from_bytes(to_bytes(done.record)).results
    assert done.weights is not None
    assert stored is not None
    model, _ = modelfile.loads(done.weights, trust=True)
    named = torch_predictor(model, small_data.preprocessing.table())(small_data.test.images).argmax(1)
    assert value_of("sure", stored) == stored.measured["sure"] == named.mean()
    assert value_of("params", stored) == stored.params


def test_macs_that_are_not_whole_say_so_in_record_and_inspect(
    small_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = train(small_data, "Spectral")
    found = outcome.record.results
    assert found is not None
    assert (found.macs, found.uncounted) == (16 * 9 * 4, ("(model) (Spectral): _fft_r2c",))
    assert found.notes == ("the MACs leave out (model) (Spectral): _fft_r2c, which niwaki cannot count",)
    assert from_bytes(to_bytes(outcome.record)) == outcome.record
    whole = train(small_data, "RandomDepth").record
    assert b"uncounted" not in to_bytes(whole)  # a record of before is the same to the byte
    file = tmp_path / "m.safetensors"
    file.write_bytes(outcome.weights or b"")
    assert inspect_command(["inspect", str(file), "--trust"]) == 0
    assert "not counted in the MACs: (model) (Spectral): _fft_r2c" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("factory", "args", "reason"),
    [
        ("Forgetful", {}, "Forgetful read back from its file is another network: a score changes by"),
        ("RandomDepth", {"always": True}, "RandomDepth gives different outputs for the same images in eval mode"),
    ],
)
def test_a_network_of_which_nothing_can_be_recorded(factory: str, args: dict, reason: str, small_data: Dataset) -> None:
    outcome = train(small_data, factory, **args)
    assert outcome.weights is None
    assert outcome.record.status == "failed"
    assert reason in str(outcome.record.reason)


def test_a_script_without_its_guard_is_told_of_it(small_npz: Path, tmp_path: Path, cache: Path) -> None:
    """Every worker imports the script, which would start workers again."""
    (tmp_path / "s.toml").write_text(
        SMALL.split("[select]")[0].format(data=small_npz) + '[[experiment]]\nname = "one"\n'
    )
    script = tmp_path / "script.py"
    script.write_text('import niwaki\nniwaki.run_study("s.toml", out="out", jobs=1)\nprint("all is well")\n')
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment(cache), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    *_, last = done.stderr.strip().splitlines()
    assert last.endswith('put the lines that run the study below `if __name__ == "__main__":`')
    assert str(script) in last
    assert done.stderr.count("Traceback") == 1  # none of the workers'
    assert "concurrent" not in done.stderr


def test_a_script_without_a_file_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    main.__file__ = "<stdin>"  # as `python - < script` has it
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(GuardMissing, match="^<stdin>: every worker imports the script .* put the script into a file"):
        check_guard()
    main.__file__ = __file__
    check_guard()


def test_processes_of_a_users_own_are_told_of_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(GuardMissing, match="starts workers wherever it is imported"):
        check_guard()
