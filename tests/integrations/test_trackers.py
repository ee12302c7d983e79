"""The callbacks for other people's libraries, with the libraries themselves: `make integrations` installs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
    wandb = needed("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tell(WandB("niwaki", mode="offline", dir=str(tmp_path)))
    wandb.teardown()  # ends its service, which writes behind
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    logged = list(history(file))
    assert [line[LOSS] for line in logged if LOSS in line] == [1.0, 0.5]
    assert [line[f"{LOSS}/number"] for line in logged if LOSS in line] == [1, 2]
    assert logged[-1]["final/test_accuracy"] == 81.0


def history(file: Path) -> Iterator[dict[str, float]]:
    """What a run of Weights & Biases logged: its file is a log of blocks, as LevelDB's, of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = file.read_bytes(), 7, b""
    while at < len(data):
        left = 32_768 - at % 32_768
        if left < 7:  # the rest of a block holds no header
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record, parts = Record.FromString(parts), b""
            if record.HasField("history"):
                yield {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }


def test_pandas() -> None:
    needed("pandas")
    from niwaki.reporting.results import dataframe

    frame = dataframe([{"value": 0.3, "accuracy": 80.0}, {"value": 0.5, "accuracy": None}])
    assert list(frame.columns) == ["value", "accuracy"]
    assert frame["accuracy"].isna().tolist() == [False, True]
