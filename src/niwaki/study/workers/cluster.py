"""Workers on a Ray cluster (extra `ray`): the same function, the data in Ray's shared memory."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from niwaki.data.dataset import Dataset, Split, open_dataset
from niwaki.errors import Setting, SpecError, WorkerLost, first_line
from niwaki.study.stages import Outcome, Task, run_stage
from niwaki.study.telling import EpochTold

PATIENCE_S = 5


class RayWorkers:
    """Stages as Ray tasks of one CPU each. Ray repeats those that a dying node takes with it."""

    def __init__(self, data: Path, address: str, device: str = "cpu") -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else Ray writes a token into the home folder
        try:
            import ray
        except ImportError as error:
            raise SpecError(Setting("ray"), " needs Ray: pip install ray") from error
        self._ray = ray
        _check_reachable(address)
        try:
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = first_line(str(error).strip() or "no answer")
            raise SpecError(
                Setting("ray", f'"{address}"'), f": no Ray cluster there: {first}; start one with: ray start --head"
            ) from error
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.slots = max(1, int(resources.get("CPU", 1)))
        self._data = ray.put(_in_memory(open_dataset(data)))
        self._work = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"), max_retries=5)(run_stage)
        self._running: dict[Any, Any] = {}

    def listen(self, hear: Callable[[EpochTold], None]) -> None:
        """A cluster tells of no epoch before its stage ends."""

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a stage anywhere in the cluster."""
        reference = self._work.remote(task, self._data)
        outer: Future[Outcome] = Future()
        self._running[id(outer)] = reference
        reference.future().add_done_callback(lambda done: self._hand_on(done, outer))
        return outer

    def close(self) -> None:
        """Leave the cluster as it was found."""
        self._ray.shutdown()

    def drop(self) -> None:
        """Cancel what runs, then leave."""
        for reference in list(self._running.values()):  # callbacks take theirs out meanwhile
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def _hand_on(self, done: Future[Outcome], outer: Future[Outcome]) -> None:
        self._running.pop(id(outer), None)
        error = done.exception()
        if error is None:
            outer.set_result(done.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            outer.set_exception(error.cause if isinstance(error.cause, Exception) else error)
        else:
            outer.set_exception(WorkerLost(f"Ray lost the stage: {type(error).__name__}"))


def _check_reachable(address: str) -> None:
    """Ask whether anybody listens there: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto, local
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        why = f": no Ray cluster there: {error.strerror or error}; start one with: ray start --head"
        raise SpecError(Setting("ray", f'"{address}"'), why) from error


def _in_memory(data: Dataset) -> Dataset:
    """The dataset with its memory maps read in, so that it can travel."""

    def whole(split: Split) -> Split:
        return Split(np.array(split.images), np.array(split.labels))

    return replace(data, train=whole(data.train), validation=whole(data.validation), test=whole(data.test))
