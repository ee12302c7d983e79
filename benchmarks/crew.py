"""Processes that train slices on demand: the plain script with torch's threads, and two of niwaki's with one each."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

import torch

import niwaki
from benchmarks import plain_script
from benchmarks.loops import BATCH, LR
from benchmarks.trials import Widths
from niwaki.data.dataset import Dataset, Split
from niwaki.errors import WorkerLost
from niwaki.models.lenet5 import LeNet5
from niwaki.training.settings import TrainSettings
from niwaki.training.train import fit

JOBS = 2
WARM_UP = 4 * BATCH  # images
PATIENCE = 60.0  # seconds until a worker gives up waiting for one that has died
TRIAL = {"ratio": 0.6, "steps": 5}


class Crew:
    """Three processes that wait for work; a context. Times are seconds per image."""

    def __enter__(self) -> Crew:
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(JOBS)
        self._plain = _Member(context, None, barrier)
        self._workers = [_Member(context, 1, barrier) for _ in range(JOBS)]
        for member in (self._plain, *self._workers):
            member.receive()  # it has opened the data
        return self

    def __exit__(self, *_: object) -> None:
        for member in (self._plain, *self._workers):
            member.end()

    def plain(self, widths: Widths, images: int) -> float:
        """The plain script, alone on the machine."""
        return self._plain.do("plain", widths, images) / images

    def single(self, widths: Widths, images: int) -> float:
        """The plain script with one thread, alone on the machine."""
        return self._workers[0].do("plain", widths, images) / images

    def alone(self, widths: Widths, images: int) -> float:
        """One of niwaki's workers, alone on the machine."""
        return self._workers[0].do("fit", widths, images) / images

    def together(self, widths: Widths, images: int) -> float:
        """All of niwaki's workers at once, started together: the time until the last has ended, per image of all."""
        for worker in self._workers:
            worker.send("fit", widths, images, True)
        return max(worker.receive() for worker in self._workers) / (JOBS * images)

    def trial(self, who: str, images: int) -> float:
        """Seconds of a whole trial of six stages: `plain`, `plain, 1 thread` or `niwaki`."""
        member = self._plain if who == "plain" else self._workers[0]
        return member.do("niwaki trial" if who == "niwaki" else "plain trial", (), images)


class _Member:
    """One process and the pipe to it."""

    def __init__(self, context: Any, threads: int | None, barrier: Barrier) -> None:
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, threads, barrier), daemon=True)
        self._process.start()
        theirs.close()

    def do(self, work: str, widths: Widths, images: int) -> float:
        self.send(work, widths, images, False)
        return self.receive()

    def send(self, work: str, widths: Widths, images: int, together: bool) -> None:
        self._pipe.send((work, widths, images, together))

    def receive(self) -> float:
        try:
            return float(self._pipe.recv())
        except EOFError:
            raise WorkerLost("a process that measures has ended without a result; see above for its error") from None

    def end(self) -> None:
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, threads: int | None, barrier: Barrier) -> None:
    """The life of a process: open the data, then measure on request until the pipe is closed."""
    if threads is not None:
        torch.set_num_threads(threads)
    data = niwaki.load_data("fashion-mnist")
    pipe.send(0.0)
    while True:
        try:
            work, widths, images, together = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(_WORK[work](data, widths, images, partial(barrier.wait, PATIENCE) if together else lambda: 0))


def _plain_slice(data: Dataset, widths: Widths, images: int, wait: Callable[[], int]) -> float:
    plain_script.train_epoch(LeNet5(widths), _garments(data, WARM_UP), LR)
    model, part = LeNet5(widths), _garments(data, images)
    wait()
    return plain_script.train_epoch(model, part, LR)


def _fit_slice(data: Dataset, widths: Widths, images: int, wait: Callable[[], int]) -> float:
    settings = TrainSettings(epochs=1, batch_size=BATCH, lr=LR)
    fit(LeNet5(widths), _first(data, WARM_UP), data.preprocessing, settings)
    model, part = LeNet5(widths), _first(data, images)
    wait()
    begun = time.perf_counter()
    fit(model, part, data.preprocessing, settings)
    return time.perf_counter() - begun


def _plain_trial(data: Dataset, _: Widths, images: int, wait: Callable[[], int]) -> float:
    model, part = LeNet5(), _garments(data, images)
    wait()
    begun = time.perf_counter()
    for _stage in plain_script.run_trial(model, part, **TRIAL):
        pass
    return time.perf_counter() - begun


def _niwaki_trial(data: Dataset, _: Widths, images: int, wait: Callable[[], int]) -> float:
    model, part = LeNet5(), replace(data, train=_first(data, images))
    wait()
    begun = time.perf_counter()
    niwaki.train(model, part, epochs=1)
    niwaki.prune(model, part, **TRIAL, finetune={"epochs": 1})
    return time.perf_counter() - begun


_WORK = {"plain": _plain_slice, "fit": _fit_slice, "plain trial": _plain_trial, "niwaki trial": _niwaki_trial}


def _first(data: Dataset, images: int) -> Split:
    return Split(data.train.images[:images].copy(), data.train.labels[:images].copy())


def _garments(data: Dataset, images: int) -> plain_script.Garments:
    """The same images as `_first`, without the padding that niwaki has added."""
    part, pad = _first(data, images), data.preprocessing.pad
    return plain_script.Garments(part.images[:, 0, pad:-pad, pad:-pad].copy(), part.labels)
