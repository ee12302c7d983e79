"""Where frames come from: `open_source("v4l2:/dev/video0")`, `csi:0`, `rpicam:0`, `file:film.y4m`, `pipe:-`.

Frames are grey: that is what the network sees.
May import: device.
"""

from .open import SOURCES_HELP, open_source
from .patient import Patient, patient
from .source import Frame, Source, SourceLost

__all__ = ["SOURCES_HELP", "Frame", "Patient", "Source", "SourceLost", "open_source", "patient"]
