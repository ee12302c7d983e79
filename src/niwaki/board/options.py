"""The options of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from niwaki.data.preprocessing import Preprocessing

LEAST_NAMED = 5.0  # percent


@dataclass(frozen=True)
class BundleOptions:
    """Languages, words, sound, calibration; and whether to run foreign code for it."""

    languages: tuple[str, ...] = ("en", "ko")
    sound: bool = True
    names: Path | None = None
    """A JSON file with the user's own words."""
    scenes: int = 1000
    """Number with a garment, and as many without, to calibrate on; 0: every garment found is named."""
    least_named: float = LEAST_NAMED
    """Percent of the scenes with a garment that must get a name: a bundle that hardly ever speaks is useless."""
    trust: bool = False
    """Whether to call a factory that is not niwaki's."""
    preprocessing: Preprocessing | None = None
    """How pixels become the input of an ONNX or a .tflite that does not say so."""
    labels: tuple[str, ...] = ()
    """Names of its classes."""
    vision: str | None = None
    """One of `look.VISIONS`; None: what suits the images that the network was trained on."""
    others: Path | None = None
    """A folder of the user's own pictures that show none of the classes, to calibrate on; None: drawn scenes."""
