"""Contenders built, compared with torch and timed in turn, one network after the other.

Each contender is first compared with torch on images, to make sure that it computes the same network. Times are those
of a call from Python with a prepared image; for C, also those of a loop in C.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.inference_limits import BUILDS, Peak, count_instructions, measure_peak
from benchmarks.inference_networks import NAMES, Network, networks
from benchmarks.pairs import Side, Spread, ratios, spread, take_turns
from benchmarks.peers import LOOPED, OURS, Contender, MissingPeer, generated_folder, niwaki_c, onnxruntime, torch_eager
from benchmarks.peers_emx import emx_float, emx_int8, emx_int8_linear
from benchmarks.peers_executorch import executorch_float, executorch_int8
from niwaki.data.dataset import Dataset
from niwaki.errors import NiwakiError
from niwaki.measure.cost import count
from niwaki.measure.latency import alone_on_one_cpu

Maker = Callable[[Network, Path], Sequence[Contender]]
MAKERS: tuple[Maker, ...] = (
    niwaki_c, torch_eager, onnxruntime, executorch_float, executorch_int8, emx_float, emx_int8, emx_int8_linear,
)  # fmt: skip
OURS_INT8, AGAIN = f"{OURS} int8", f"{OURS} int8, again"
FLOAT_ERROR = 1e-3  # of the largest score
INT8_LIKENESS = 0.9  # correlation with torch's scores, each class about its mean; near 0 for another network


@dataclass(frozen=True)
class Race:
    """The measurements of one network: seconds per image of each contender in each round."""

    name: str
    macs: int
    seconds: Mapping[str, Sequence[float]]
    likeness: Mapping[str, float]
    instructions: Mapping[str, int]
    """For one inference of niwaki's C, by build."""

    def median_us(self, label: str) -> float:
        """Microseconds per image."""
        return 1e6 * spread(self.seconds[label]).median

    def ratio(self, label: str) -> Spread | None:
        """Time relative to niwaki's C, called the same way (from Python, or in a loop in C); None without it."""
        ours = OURS_INT8 + (LOOPED if label.endswith(LOOPED) else "")
        return ratios(self.seconds[label], self.seconds[ours]) if ours in self.seconds else None

    def fastest_peer(self) -> str:
        """The peer with the shortest median for a call from Python."""
        peers = [label for label in self.seconds if not label.startswith(OURS) and not label.endswith(LOOPED)]
        return min(peers, key=self.median_us)


@dataclass(frozen=True)
class Outcome:
    """All races, the limit of the machine's arithmetic if it could be measured, and what was missing and why."""

    races: tuple[Race, ...]
    peak: Peak | None
    missing: tuple[str, ...]


def measure(
    data: Dataset, *, names: Sequence[str] = NAMES, makers: Sequence[Maker] = MAKERS, rounds: int, sample_s: float
) -> Outcome:
    """Build every contender that is available here, compare each with torch, and time them in turn.

    Raises NiwakiError if a contender computes something other than the network.
    """
    missing: dict[str, None] = {}  # in order, each once
    peak, races = None, []
    with tempfile.TemporaryDirectory(prefix="niwaki-race-of-engines-") as work:
        folder = Path(work)
        with _noting(missing):
            peak = measure_peak(folder)
        for make in networks(data, names).values():
            races.append(_race(make(), makers, folder, rounds, sample_s, missing))
    return Outcome(tuple(races), peak, tuple(missing))


def _race(
    network: Network, makers: Sequence[Maker], folder: Path, rounds: int, sample_s: float, missing: dict[str, None]
) -> Race:
    contenders: list[Contender] = []
    for make in makers:
        with _noting(missing):
            contenders += make(network, folder)
    likeness = {contender.label: check(contender, network) for contender in contenders}
    instructions, generated = {}, generated_folder(network, folder)
    for build in BUILDS:
        with _noting(missing):
            instructions[build] = count_instructions(generated, build)
    macs = count(network.model, network.pixels.shape[1:]).macs
    return Race(network.name, macs, time_in_turn(contenders, rounds, sample_s), likeness, instructions)


def check(contender: Contender, network: Network) -> float:
    """How similar the scores of a contender and of torch are over the network's images: their correlation.

    Raises NiwakiError if a float contender is off by more than 0.1 % of the largest score, or the scores of an int8 one
    are not similar.
    """
    with torch.no_grad():
        expected = network.model(torch.from_numpy(network.inputs)).numpy().astype(np.float64)
    found = contender.scores(network.pixels).astype(np.float64)
    if found.shape != expected.shape:
        raise NiwakiError(f"{contender.label} gives scores {found.shape} for {network.name}, torch {expected.shape}")
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if contender.form == "float" and not error <= FLOAT_ERROR:
        raise NiwakiError(f"{contender.label} is off by {error:.2g} of the largest score of {network.name}")
    a, b = (scores - scores.mean(axis=0) for scores in (found, expected))
    norm = math.sqrt(float((a * a).sum() * (b * b).sum()))
    likeness = float((a * b).sum()) / norm if norm else 0.0
    if not likeness >= INT8_LIKENESS:
        raise NiwakiError(f"{contender.label} does not compute {network.name}: its scores correlate by {likeness:.2f}")
    return likeness


def time_in_turn(contenders: Sequence[Contender], rounds: int, sample_s: float) -> dict[str, list[float]]:
    """Seconds per image, by label and round; niwaki's C appears twice, which shows the noise."""
    with alone_on_one_cpu(), torch.inference_mode():
        sides = {contender.label: _side(contender, sample_s) for contender in contenders}
        if OURS_INT8 in sides:
            sides[AGAIN] = sides[OURS_INT8]
        return take_turns(sides, rounds)


def _side(contender: Contender, sample_s: float) -> Side:
    """One sample: calls for about `sample_s` after an untimed one that fills the caches."""
    fastest = min(_time(contender.call, 1) for _ in range(5))
    calls = max(1, math.ceil(sample_s / max(fastest, 1e-7)))

    def sample() -> float:
        contender.call()
        return _time(contender.call, calls) / calls / contender.images

    return sample


def _time(call: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - begun


@contextlib.contextmanager
def _noting(missing: dict[str, None]) -> Iterator[None]:
    """Continue without what is missing here, and record it."""
    try:
        yield
    except MissingPeer as reason:
        missing[str(reason)] = None
