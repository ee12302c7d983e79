"""From a frame to a decision: vision, network, rule. The loop and the replay of a recording use the same code."""

import time
from collections import deque
from statistics import median
from typing import Deque, List, NamedTuple, Optional, Tuple

from .decision import FOUND, Decider, Decision
from .finding import Finding
from .network import Network

_REMEMBERED = 101  # times to take the median of


class Step(NamedTuple):
    """The result of one frame."""

    finding: Finding
    scores: Optional[List[int]]
    """int8, from the network; None if nothing was found."""
    logits: Optional[Tuple[float, ...]]
    decision: Decision


class Times:
    """The last durations of one stage, in microseconds; its memory does not grow."""

    def __init__(self) -> None:
        self._last: Deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        """Add one duration."""
        self._last.append(seconds * 1e6)

    @property
    def median_us(self) -> float:
        """Median of the last ones; 0 before the first."""
        return median(self._last) if self._last else 0.0


class Pipeline:
    """The stages of one camera, with their memory: the empty scene and the last second."""

    def __init__(self, network: Network, width: int, height: int) -> None:
        self.network = network
        self.bundle = network.bundle
        self.vision = network.vision(width, height)
        self.decider = Decider(self.bundle.rule, len(self.bundle.classes), self.bundle.look.finds)
        self.vision_times, self.inference_times = Times(), Times()

    def resize(self, width: int, height: int) -> bool:
        """Take frames of this size from now on; True if the size changed: the empty scene is forgotten."""
        if (width, height) == (self.vision.width, self.vision.height):
            return False
        self.vision = self.network.vision(width, height)
        self.decider.interrupt()
        return True

    def learn(self, pixels: bytes, anew: bool) -> None:
        """Learn a frame of the empty scene; `anew`: the first one, after forgetting what was learned before."""
        if anew:
            self.forget()
        self.vision.learn(pixels)

    def forget(self) -> None:
        """Compare garments with the frame's border from now on."""
        self.vision.forget()
        self.decider.interrupt()

    def look(self, frame: bytes, time_s: float) -> Step:
        """Find, classify, decide."""
        start = time.perf_counter()
        finding = self.vision.find(frame)
        self.vision_times.add(time.perf_counter() - start)
        scores, logits = None, None
        if finding.outcome == FOUND:
            pixels = self.bundle.padded(finding.picture)
            start = time.perf_counter()
            scores = self.network.scores(pixels)
            self.inference_times.add(time.perf_counter() - start)
            logits = self.bundle.logits(scores)
        return Step(finding, scores, logits, self.decider.step(time_s, finding.outcome, logits))
