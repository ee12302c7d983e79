"""Log runs to experiment trackers, if their package is installed: TensorBoard, MLflow, Weights & Biases.

Names come from what is trained (`fine-tune 60 % step 3/5`): `loss/…` and `validation_accuracy/…` by epoch, every other
metric by stage.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from pathlib import Path
from typing import Any

from niwaki.callbacks.events import Callback, Done, EpochEnd, StageEnd
from niwaki.errors import SpecError


class _Tracker(Callback):
    """Logs metrics, each with a name and an increasing step number."""

    def on_epoch(self, event: EpochEnd) -> None:
        """Log the loss, and the accuracy if it was measured."""
        name = _plain(event.name)
        found = {f"loss/{name}": event.loss}
        if event.validation_accuracy is not None:
            found[f"validation_accuracy/{name}"] = event.validation_accuracy
        self.write(found, event.epoch)

    def on_stage(self, event: StageEnd) -> None:
        """Log the stage's metrics; the step number is the number of finished stages."""
        self.write({f"stage/{name}": value for name, value in event.metrics.items()}, event.done)

    def on_done(self, event: Done) -> None:
        """Log the metrics of the resulting model, and end the run."""
        self.write({f"final/{name}": value for name, value in event.metrics.items()}, 0)
        self.close(ok=event.ok)

    @abstractmethod
    def write(self, figures: dict[str, float], number: int) -> None:
        """Log metrics at a step."""

    @abstractmethod
    def close(self, *, ok: bool = True) -> None:
        """End the run; `on_done` calls it."""


class TensorBoard(_Tracker):
    """Logs to a folder that `tensorboard --logdir FOLDER` shows. Raises SpecError if TensorBoard is not installed."""

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SpecError("TensorBoard is not installed: pip install tensorboard") from error
        self._writer: Any = SummaryWriter(str(folder))

    def write(self, figures: dict[str, float], number: int) -> None:
        """Log metrics at a step."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def close(self, *, ok: bool = True) -> None:  # noqa: ARG002 (TensorBoard has no state of a run)
        """Close the file."""
        self._writer.close()


class MLflow(_Tracker):
    """Logs to a new MLflow run; `uri` is the tracking server or folder, by default MLflow's own.

    Raises SpecError if MLflow is not installed.
    """

    def __init__(self, experiment: str | None = None, *, run_name: str | None = None, uri: str | None = None) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise SpecError("MLflow is not installed: pip install mlflow") from error
        self._mlflow = mlflow
        if uri is not None:
            mlflow.set_tracking_uri(uri)
        if experiment is not None:
            mlflow.set_experiment(experiment)
        self.run_id: str = mlflow.start_run(run_name=run_name).info.run_id

    def write(self, figures: dict[str, float], number: int) -> None:
        """Log metrics at a step."""
        self._mlflow.log_metrics(figures, step=number, run_id=self.run_id)

    def close(self, *, ok: bool = True) -> None:
        """Mark the run as finished or failed."""
        self._mlflow.end_run("FINISHED" if ok else "FAILED")


class WandB(_Tracker):
    """Logs to a new run of Weights & Biases; `settings` are passed to `wandb.init`.

    `mode="offline"` keeps it on this machine. Raises SpecError if wandb is not installed.
    """

    def __init__(self, project: str | None = None, **settings: Any) -> None:
        try:
            import wandb
        except ImportError as error:
            raise SpecError("Weights & Biases is not installed: pip install wandb") from error
        self._run = wandb.init(project=project, **settings)

    def write(self, figures: dict[str, float], number: int) -> None:
        """Log metrics, each with its step as `…/number`, since the run's own step can only grow."""
        self._run.log({**figures, **{f"{name}/number": number for name in figures}})

    def close(self, *, ok: bool = True) -> None:
        """End the run; its exit code says whether everything succeeded."""
        self._run.finish(exit_code=0 if ok else 1)


def _plain(name: str) -> str:
    """A name with only the characters that every tracker accepts.

    >>> _plain("fine-tune 60 % lr=0.001 step 3/5")
    'fine-tune 60 pct lr 0.001 step 3 of 5'
    """
    return re.sub(r"[^\w. -]+", " ", name.replace("%", "pct").replace("/", " of ")).strip()
