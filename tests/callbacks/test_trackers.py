"""The callbacks for other people's libraries, with the libraries themselves: `make integrations` installs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.callbacks.test_callbacks import tell

from niwaki.callbacks import MLflow, ProgressBar, TensorBoard, WandB

pytestmark = pytest.mark.soak
LOSS = "loss/fine-tune 60 pct step 1 of 2"


def needed(name: str):
    return pytest.importorskip(name, reason=f"{name} is not installed: make integrations")


def test_tqdm(capsys: pytest.CaptureFixture[str]) -> None:
    needed("tqdm")
    tell(ProgressBar("tqdm"))
    out, err = capsys.readouterr()
    assert "[3/4] fine-tune 60 % step 1/2: validation 82.00 %" in out
    assert "2/2" in err
    assert "loss 0.5000, validation 82.00 %" in err


def test_tensorboard(tmp_path: Path) -> None:
    needed("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell(TensorBoard(tmp_path))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tag = next(tag for tag in events.Tags()["scalars"] if tag.startswith("loss/"))
    assert [(event.step, event.value) for event in events.Scalars(tag)] == [(1, 1.0), (2, 0.5)]
    assert [event.value for event in events.Scalars("final/test_accuracy")] == [81.0]


def test_mlflow(tmp_path: Path) -> None:
    mlflow = needed("mlflow")
    tracker = MLflow("niwaki", run_name="one", uri=f"sqlite:///{tmp_path}/mlflow.db")
    tell(tracker)
    run = mlflow.get_run(tracker.run_id)
    assert run.info.status == "FAILED"
    assert run.data.metrics["final/test_accuracy"] == 81.0
    history = mlflow.MlflowClient().get_metric_history(tracker.run_id, LOSS)
    assert [(entry.step, entry.value) for entry in history] == [(1, 1.0), (2, 0.5)]


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = WandB("niwaki", mode="offline", dir=str(tmp_path))
    tell(tracker)
    assert tracker._run.summary[LOSS] == 0.5
    assert tracker._run.summary["final/test_accuracy"] == 81.0
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_pandas() -> None:
    needed("pandas")
    from niwaki.reporting.results import dataframe

    frame = dataframe([{"value": 0.3, "accuracy": 80.0}, {"value": 0.5, "accuracy": None}])
    assert list(frame.columns) == ["value", "accuracy"]
    assert frame["accuracy"].isna().tolist() == [False, True]
