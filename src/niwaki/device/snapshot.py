"""What was seen, decided and said for one frame: everything that the live view shows."""

from typing import NamedTuple, Optional, Tuple

from .decision import Decision
from .finding import Finding


class Snapshot(NamedTuple):
    """One frame and its result. Never changed: other threads may read it."""

    number: int
    """Number of the frame, counted by its source."""
    time_s: float
    width: int
    height: int
    pixels: bytes
    """width × height, row by row; grey, or red, green and blue."""
    finding: Finding
    picture: bytes
    """What the network sees, without the border: inner_width × inner_height, channel after
    channel; zeros if nothing was found."""
    logits: Optional[Tuple[float, ...]]
    """Logits of this frame alone; None if nothing was found. The mean of the window is `decision.mean_logits`."""
    decision: Decision
    fps: float
    """Recent frames per second; 0 while unknown."""
    inference_us: float
    """Recent median; 0 while unknown."""
    vision_us: float
    language: str
    source_state: str
    """running, learning (the empty scene), or waiting (for a lost camera)."""
