"""Runs in experiment trackers, each if its package is installed: TensorBoard, MLflow, Weights & Biases.

Names are made of what is trained (`fine-tune 60 % step 3/5`): `loss/…` and `validation_accuracy/…` by epoch, every
other figure by stage.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from pathlib import Path
from typing import Any

from niwaki.callbacks.events import Callback, Done, EpochEnd, StageEnd
from niwaki.errors import SpecError


class _Tracker(Callback):
    """Writes figures, each with a name and a number that counts up."""

    def on_epoch(self, event: EpochEnd) -> None:
        """Write the loss, and the accuracy if it was measured."""
        name = _plain(event.name)
        found = {f"loss/{name}": event.loss}
        if event.validation_accuracy is not None:
            found[f"validation_accuracy/{name}"] = event.validation_accuracy
        self.write(found, event.epoch)

    def on_stage(self, event: StageEnd) -> None:
        """Write what was measured after the stage, by the number of stages that are done."""
        self.write({f"stage/{name}": value for name, value in event.metrics.items()}, event.done)

    def on_done(self, event: Done) -> None:
        """Write the figures of what was made, and end the run."""
        self.write({f"final/{name}": value for name, value in event.metrics.items()}, 0)
        self.close(ok=event.ok)

    @abstractmethod
    def write(self, figures: dict[str, float], number: int) -> None:
        """Write figures under a number."""

    @abstractmethod
    def close(self, *, ok: bool = True) -> None:
        """End the run; `on_done` does it."""


class TensorBoard(_Tracker):
    """Writes into a folder that `tensorboard --logdir FOLDER` shows. Raises SpecError if it is not installed."""

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SpecError("TensorBoard is not installed: pip install tensorboard") from error
        self._writer: Any = SummaryWriter(str(folder))

    def write(self, figures: dict[str, float], number: int) -> None:
        """Write figures under a number."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def close(self, *, ok: bool = True) -> None:  # noqa: ARG002 (TensorBoard has no state of a run)
        """Close the file."""
        self._writer.close()


class MLflow(_Tracker):
    """Writes into an MLflow run, which begins here; `uri` is where it is kept, MLflow's own default if left out.

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
        """Write figures under a number."""
        self._mlflow.log_metrics(figures, step=number, run_id=self.run_id)

    def close(self, *, ok: bool = True) -> None:
        """End the run as finished or failed."""
        self._mlflow.end_run("FINISHED" if ok else "FAILED")


class WandB(_Tracker):
    """Writes into a run of Weights & Biases, which begins here; `settings` are those of `wandb.init`.

    `mode="offline"` keeps it on this machine. Raises SpecError if wandb is not installed.
    """

    def __init__(self, project: str | None = None, **settings: Any) -> None:
        try:
            import wandb
        except ImportError as error:
            raise SpecError("Weights & Biases is not installed: pip install wandb") from error
        self._run = wandb.init(project=project, **settings)

    def write(self, figures: dict[str, float], number: int) -> None:
        """Write figures, and the number beside each as `…/number`, since a run's own steps only count up."""
        self._run.log({**figures, **{f"{name}/number": number for name in figures}})

    def close(self, *, ok: bool = True) -> None:
        """End the run; its exit code says whether all went well."""
        self._run.finish(exit_code=0 if ok else 1)


def _plain(name: str) -> str:
    """A name of the letters that every tracker takes.

    >>> _plain("fine-tune 60 % lr=0.001 step 3/5")
    'fine-tune 60 pct lr 0.001 step 3 of 5'
    """
    return re.sub(r"[^\w. -]+", " ", name.replace("%", "pct").replace("/", " of ")).strip()
