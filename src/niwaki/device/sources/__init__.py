"""Where frames come from: `open_source("v4l2:/dev/video0")`, `csi:0`, `rpicam:0`, `file:film.y4m`, `pipe:-`.

Frames have the pixels that the bundle wants: luminance for the search for a garment, else grey or colour.
May import: device.
"""

from .open import SOURCES_HELP, open_source
from .patient import Patient, patient
from .pixels import GREY, Layout, Pixels
from .source import Frame, Source, SourceLost

__all__ = [
    "GREY",
    "SOURCES_HELP",
    "Frame",
    "Layout",
    "Patient",
    "Pixels",
    "Source",
    "SourceLost",
    "open_source",
    "patient",
]
