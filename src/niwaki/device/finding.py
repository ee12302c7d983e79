"""Where the garment is in a frame (or which part of it the picture shows), and how it looks to the network."""

from typing import NamedTuple, Sequence


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
    """inner_width × inner_height, of a garment bright on black; colours channel after channel."""


def interleaved(planes: Sequence[bytes]) -> bytes:
    """Planes as pixels side by side."""
    pixels = bytearray(len(planes) * len(planes[0]))
    for channel, plane in enumerate(planes):
        pixels[channel :: len(planes)] = plane
    return bytes(pixels)
