"""What was seen, thought and said with one frame: all that the live view shows."""

from typing import NamedTuple, Optional, Tuple

from .decision import Decision
from .finding import Finding


class Snapshot(NamedTuple):
    """One frame and what came of it. Never changed: it may be read by other threads."""

    number: int
    """Of the frame, counted by its source."""
    time_s: float
    width: int
    height: int
    grey: bytes
    """width × height, row by row."""
    finding: Finding
    picture: bytes
    """What the network sees, without the border: inner_width × inner_height; zeros if nothing was found."""
    logits: Optional[Tuple[float, ...]]
    """Of this frame alone; None if nothing was found. The mean of the window is `decision.mean_logits`."""
    decision: Decision
    fps: float
    """Frames per second of late; 0 as long as it is unknown."""
    inference_us: float
    """Median of late; 0 as long as it is unknown."""
    vision_us: float
    language: str
    source_state: str
    """running, learning (the empty scene), or waiting (for a lost camera)."""
