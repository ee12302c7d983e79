"""Learning the empty scene at start and on request: from several frames, and only while they stay alike."""

from typing import NamedTuple, Optional

_SAMPLES = 2000  # pixels compared, spread over the frame: in Python every one costs time
_STEP = 24  # grey levels: more than a camera's noise
_CHANGED = 0.01  # of the samples: a hand, a garment put down
_BRIGHTER = 6  # grey levels on average: an exposure that still adapts; lamps on mains flicker by less
_ATTEMPTS = 20


class Taken(NamedTuple):
    """What to do with a frame."""

    learn: bool
    """False: the picture never became still, and nothing is learned from it."""
    anew: bool
    """It is the first of an attempt: what was learned before is forgotten."""
    last: bool


class Learning:
    """Watches the frames to learn from.

    The camera's first frames are often dark until its exposure has settled, and somebody may still be arranging the
    table: if a frame differs from the first one of this attempt, the next attempt starts with it.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.attempts = 0  # so far: above 1 the picture has changed meanwhile
        self._taken = 0
        self._first: Optional[bytes] = None

    def take(self, grey: bytes, width: int) -> Taken:
        """Take the next frame, with rows of `width` pixels."""
        samples = grey[:: _stride(len(grey), width)]
        anew = self._first is None or _changed(self._first, samples)
        if anew:
            if self.attempts == _ATTEMPTS:
                return Taken(False, False, True)
            self._first, self._taken = samples, 0
            self.attempts += 1
        self._taken += 1
        return Taken(True, anew, self._taken == self._frames)


def _stride(size: int, width: int) -> int:
    """From sample to sample: odd and not a divisor of the width, so that all columns are visited."""
    stride = max(1, size // _SAMPLES) | 1
    while stride > 1 and width % stride == 0:
        stride += 2
    return stride


def _changed(before: bytes, now: bytes) -> bool:
    if len(before) != len(now) or abs(sum(before) - sum(now)) > _BRIGHTER * len(now):
        return True
    return sum(abs(a - b) > _STEP for a, b in zip(before, now)) > _CHANGED * len(now)
