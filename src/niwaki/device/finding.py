"""Where the garment is in a frame, and how it looks to the network."""

from typing import NamedTuple


class Finding(NamedTuple):
    """The result of the library's vision for a frame, in pixels of that frame; zeros if nothing was found."""

    outcome: str
    """found, nothing, too_small, too_large: `decision.OUTCOMES`."""
    x: int
    y: int
    width: int
    height: int
    polarity: int
    """+1: brighter than its background; -1: darker."""
    contrast: int
    """Contrast with its background, in grey levels."""
    used_scene: bool
    """Whether it was compared with the learned empty scene instead of the frame's own border."""
    picture: bytes
    """inner_width × inner_height, bright on black."""
