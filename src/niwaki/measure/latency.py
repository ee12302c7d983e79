"""How long calls take, measured together with the noise of the machine. The calls are any callables."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from niwaki.errors import SpecError, step

SAMPLE_NS = 100_000  # shortest duration of a sample: a clock that is off by 100 ns is then off by 0.1 %
LARGEST_BLOCK = 100_000  # calls in a sample if a call seems to take no time at all

Call = Callable[[], object]


@dataclass(frozen=True)
class Latency:
    """The time of one call, in microseconds, over all its samples."""

    median_us: float
    p95_us: float
    """95th percentile of the samples: of single calls if `block` is 1, otherwise of means of `block` calls."""
    min_us: float
    runs: int
    """Calls timed: samples × block."""
    batch: int
    """Images per call."""
    block: int = 1
    """Calls per sample: 1 for calls of 100 µs and more, enough to fill 100 µs for shorter ones."""


@dataclass(frozen=True)
class LatencyTable:
    """Latencies measured together, so they can be compared."""

    rows: dict[str, Latency]
    noise_floor: float
    """Relative: the largest |a−b| / mean(a, b) of the two medians of a callable that was measured twice."""

    def differ(self, a: str, b: str) -> bool:
        """Whether the medians of rows `a` and `b` differ by more than the noise floor, relative to their mean."""
        return _relative_gap(self.rows[a].median_us, self.rows[b].median_us) > self.noise_floor

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"rows": {name: vars(row).copy() for name, row in self.rows.items()}, "noise_floor": self.noise_floor}


@step("timing")
def measure_latency(
    calls: Mapping[str, Call],
    *,
    batch: int,
    rounds: int = 100,
    warmup: int = 10,
    budget_s: float = 60.0,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> LatencyTable:
    """Time the callables against each other; `batch` is the number of images in a call, `clock` counts ns.

    Each callable is first called `warmup` times, which also determines how many calls fill a sample. Then the rounds
    follow. In each round every callable is visited twice, once for series A and once for series B, all visits in a new
    order (shuffled, the same in every measurement), so that drift of the machine affects all of them alike. A visit is
    one untimed call, which fills the caches, then one sample. Garbage collection is off during the rounds.

    A row covers the samples of both series. Since A and B are the same callable, their difference is pure noise: the
    largest one is the noise floor of the table. It shows what changes within this measurement, not what stays the same
    in it (another clock frequency, another day).

    It stops after `rounds`, or after the first round that ends beyond `budget_s` seconds. Raises SpecError if there is
    nothing to call, or `rounds`, `warmup` or `batch` is below 1; errors of a callable are passed on.
    """
    _check(calls, rounds=rounds, warmup=warmup, batch=batch)
    with _no_garbage_collection():
        start = clock()
        blocks = {name: _block_of(call, warmup, clock) for name, call in calls.items()}
        samples: dict[tuple[str, str], list[float]] = {(name, series): [] for name in calls for series in "AB"}
        for number in range(rounds):
            visits = list(samples)
            random.Random(number).shuffle(visits)
            for name, series in visits:
                samples[name, series].append(_sample(calls[name], blocks[name], clock))
            if clock() - start > budget_s * 1e9:
                break
    rows = {name: _row(samples[name, "A"] + samples[name, "B"], batch, blocks[name]) for name in calls}
    noise = max(_relative_gap(_median(samples[name, "A"]), _median(samples[name, "B"])) for name in calls)
    return LatencyTable(rows, noise)


@contextlib.contextmanager
def alone_on_one_cpu() -> Iterator[bool]:
    """Pin this thread to one CPU and limit torch to one thread inside; yield whether the system allowed the pinning.

    Threads started inside are pinned to that CPU too; running ones are not. Of the allowed CPUs it takes the last:
    interrupts usually go to the first. Only Linux and a few other systems let a process choose.
    """
    threads, allowed = torch.get_num_threads(), _pin()
    torch.set_num_threads(1)
    try:
        yield allowed is not None
    finally:
        torch.set_num_threads(threads)
        if allowed is not None:
            os.sched_setaffinity(0, allowed)


def _pin() -> set[int] | None:
    """Pin to one CPU; returns the CPUs that were allowed before, or None if the system gives no choice."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(allowed)})
    except OSError:  # a sandbox may forbid it
        return None
    return allowed


def _check(calls: Mapping[str, Call], **numbers: int) -> None:
    if not calls:
        raise SpecError("nothing to measure: give at least one callable")
    for name, value in numbers.items():
        if value < 1:
            raise SpecError(f"{name} = {value}: give at least 1")


def _block_of(call: Call, warmup: int, clock: Callable[[], int]) -> int:
    """Warm up, and derive from the fastest call how many of them fill a sample."""
    fastest = max(1, min(_time(call, 1, clock) for _ in range(warmup)))
    return min(math.ceil(SAMPLE_NS / fastest), LARGEST_BLOCK)


def _sample(call: Call, block: int, clock: Callable[[], int]) -> float:
    """Nanoseconds per call, mean of `block` calls, after one untimed call."""
    call()
    return _time(call, block, clock) / block


def _time(call: Call, times: int, clock: Callable[[], int]) -> int:
    before = clock()
    for _ in range(times):
        call()
    return clock() - before


def _row(samples: list[float], batch: int, block: int) -> Latency:
    median, p95, fastest = (float(value) / 1e3 for value in np.percentile(samples, [50, 95, 0]))
    return Latency(median, p95, fastest, runs=len(samples) * block, batch=batch, block=block)


def _median(samples: list[float]) -> float:
    return float(np.median(samples))


def _relative_gap(a: float, b: float) -> float:
    mean = (a + b) / 2
    return abs(a - b) / mean if mean else 0.0


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
