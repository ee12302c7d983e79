"""Callbacks: which objects are accepted, and the ready-made ones."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from niwaki.callbacks import Callback, CSVLogger, Done, EpochEnd, MLflow, ProgressBar, StageEnd, TensorBoard, WandB
from niwaki.callbacks.events import Callbacks
from niwaki.errors import SpecError, StoreError

EPOCHS = [EpochEnd("fine-tune 60 % step 1/2", 1, number, 2, 1 / number, 80.0 + number) for number in (1, 2)]
STAGE = StageEnd("fine-tune 60 % step 1/2", 1, 3, 4, {"validation_accuracy": 82.0, "params": 100}, ("a note",))
FAILED = StageEnd("prune 60 % step 2/2", 2, 4, 4, reason="it broke, badly")
DONE = Done(False, Path("out"), {"test_accuracy": 81.0})


def tell(callback: object) -> None:
    """A run of two epochs and two stages."""
    heard = Callbacks([callback])
    for epoch in EPOCHS:
        heard.on_epoch(epoch)
    heard.on_stage(STAGE)
    heard.on_stage(FAILED)
    heard.on_done(DONE)


class OnlyStages:
    def __init__(self) -> None:
        self.heard: list[StageEnd] = []

    def on_stage(self, event: StageEnd) -> None:
        self.heard.append(event)


def test_any_object_with_one_of_the_methods_will_do() -> None:
    stages = OnlyStages()
    tell(stages)
    assert stages.heard == [STAGE, FAILED]
    assert [event.ok for event in stages.heard] == [True, False]
    tell(Callback())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Callback(), r"expected a list, as callbacks=\["),
        ([OnlyStages], "has none of the methods on_epoch, on_stage, on_done: give an instance"),
        ([print], "has none of the methods"),
        ("csv", "expected a list"),
    ],
)
def test_what_cannot_hear_is_refused(given: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Callbacks(given)  # type: ignore[arg-type]


def test_a_csv_file_has_a_line_for_each_event(tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    tell(CSVLogger(file))
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["event"], row["epoch"], row["loss"]) for row in rows] == [
        ("epoch", "1", "1.0"), ("epoch", "2", "0.5"), ("stage", "", ""), ("stage", "", ""), ("done", "", ""),
    ]  # fmt: skip
    assert (rows[2]["params"], rows[3]["reason"], rows[4]["test_accuracy"]) == ("100", "it broke, badly", "81.0")
    with pytest.raises(SpecError, match=r"run.csv exists: give another name, or append=True"):
        CSVLogger(file)
    tell(CSVLogger(file, append=True))
    assert len(file.read_text(encoding="utf-8").splitlines()) == 11
    with pytest.raises(StoreError, match="cannot be written"):
        CSVLogger("/dev/null/run.csv")


def test_a_bar_prints_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ProgressBar())
    shown = capsys.readouterr().out
    assert "[3/4] fine-tune 60 % step 1/2: validation 82.00 %" in shown
    assert "[4/4] prune 60 % step 2/2: it broke, badly" in shown
    with pytest.raises(SpecError, match="kind = 'plain': expected rich or tqdm"):
        ProgressBar("plain")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("missing", "make", "said"),
    [
        ("tqdm.auto", lambda: ProgressBar("tqdm"), "pip install tqdm"),
        ("torch.utils.tensorboard", lambda: TensorBoard("runs"), "pip install tensorboard"),
        ("mlflow", MLflow, "pip install mlflow"),
        ("wandb", WandB, "pip install wandb"),
    ],
)
def test_what_is_not_installed_is_told(missing: str, make, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SpecError, match=said):
        make()
