"""Workers on a Ray cluster (extra `ray`): the same function, the data in Ray's shared memory."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from niwaki.data.dataset import Dataset, Split, open_dataset
from niwaki.errors import Setting, SpecError, WorkerLost, first_line
from niwaki.study.letterbox import Letterbox
from niwaki.study.stages import Outcome, Task, run_stage
from niwaki.study.telling import EpochTold, Tell, nobody

PATIENCE_S = 5
LOOK_S = 0.2  # how often the driver checks whether it must still listen
MOST_ON_THE_WAY = 1000  # epochs of a worker that the letterbox has not received; later ones are dropped


class RayWorkers:
    """Stages as Ray tasks of one CPU each. Ray repeats those lost with a node."""

    def __init__(self, data: Path, address: str, device: str = "cpu") -> None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # otherwise Ray writes a token into the home folder
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
        self._work = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"), max_retries=5)(_run)
        self._running: dict[Any, Any] = {}
        self._post = _Post(ray)

    def listen(self, hear: Callable[[EpochTold], None]) -> None:
        """Call `hear`, in a thread, for epochs that end."""
        self._post.to(hear)

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a stage anywhere in the cluster."""
        reference = self._work.remote(task, self._data, self._post.box)
        outer: Future[Outcome] = Future()
        self._running[id(outer)] = reference
        reference.future().add_done_callback(lambda done: self._hand_on(done, outer))
        return outer

    def close(self) -> None:
        """Leave the cluster as it was."""
        self._post.close()
        self._ray.shutdown()

    def drop(self) -> None:
        """Cancel running tasks, then leave."""
        self._post.close()
        for reference in list(self._running.values()):  # callbacks remove theirs meanwhile
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


class _Post:
    """The letterbox, on the driver's machine, and the thread that empties it. If it is lost, only news is lost."""

    def __init__(self, ray: Any) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray = ray
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor = ray.remote(
            num_cpus=0, max_restarts=-1, max_pending_calls=MOST_ON_THE_WAY, scheduling_strategy=here
        )(Letterbox)  # fmt: skip
        self.box = actor.remote()
        self._hear: Tell = nobody
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True, name="niwaki-listening")
        self._thread.start()

    def to(self, hear: Tell) -> None:
        """Pass all messages to `hear`, which is called in the thread."""
        self._hear = hear

    def close(self) -> None:
        """End the thread, before Ray is left: a later call of Ray would start it again."""
        self._hear = nobody
        self._closed.set()
        self._thread.join(timeout=PATIENCE_S)

    def _listen(self) -> None:
        awaited = None
        while not self._closed.is_set():
            try:
                awaited = awaited or self.box.take.remote()
                for told in self._ray.get(awaited, timeout=LOOK_S):
                    self._hear(told)
                awaited = None
            except self._ray.exceptions.GetTimeoutError:
                continue
            except Exception:  # the letterbox is gone: Ray may start it again
                awaited = None
                self._closed.wait(LOOK_S)


def _run(task: Task, data: Dataset, box: Any) -> Outcome:
    return run_stage(task, data, lambda epoch: leave_word(box, epoch))


def leave_word(box: Any, epoch: EpochTold) -> None:
    """Put an epoch into the letterbox, whatever its state, without waiting."""
    with contextlib.suppress(Exception):  # too many are pending, or Ray is in trouble
        box.put.remote(epoch)


def _check_reachable(address: str) -> None:
    """Check whether the address answers: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto, local
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        why = f": no Ray cluster there: {error.strerror or error}; start one with: ray start --head"
        raise SpecError(Setting("ray", f'"{address}"'), why) from error


def _in_memory(data: Dataset) -> Dataset:
    """The dataset with its memory maps read in, so that it can be sent."""

    def whole(split: Split) -> Split:
        return Split(np.array(split.images), np.array(split.labels))

    return replace(data, train=whole(data.train), validation=whole(data.validation), test=whole(data.test))
