"""From a source on the command line to the open source."""

from pathlib import Path
from typing import Callable, Dict

from ..errors import DeviceError
from .cameras import csi, rpicam
from .child import ChildCamera
from .pictures import Pictures
from .pipe import Pipe
from .pixels import GREY, Pixels
from .source import Source
from .spec import FASTEST, Spec
from .v4l2 import open_v4l2
from .y4m import MAGIC, Y4mFilm

SOURCES_HELP = "v4l2:/dev/video0, csi:0 (Jetson), rpicam:0 (Raspberry Pi), file:FILM.y4m or file:FOLDER, pipe:-"


def open_source(text: str, want: Pixels = GREY) -> Source:
    """The source that `text` describes, open and ready to read, with the pixels that are wanted.

    Raises `SourceLost` if waiting may help (no such camera yet, in use) and `DeviceError` if it will not.
    """
    spec = Spec(text)
    if spec.kind not in KINDS:
        raise spec.error(text, "kind {!r} is unknown: niwaki reads {}".format(spec.kind, SOURCES_HELP))
    return KINDS[spec.kind](spec, want)


def _open_file(spec: Spec, want: Pixels) -> Source:
    try:
        if _is_film(Path(spec.place)):
            spec.allow(())
            return Y4mFilm(spec.place, want)
        spec.allow(("fps",))
        return Pictures(spec.place, spec.number("fps", 30, FASTEST), want.channels)
    except OSError as error:
        raise DeviceError("{}: {}".format(spec.place, error.strerror)) from error


def _is_film(path: Path) -> bool:
    """A named pipe can only be a film: looking inside would take its first bytes away."""
    if path.suffix.lower() == ".y4m" or path.is_fifo():
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


KINDS: Dict[str, Callable[[Spec, Pixels], Source]] = {
    "v4l2": open_v4l2,
    "csi": lambda spec, want: ChildCamera(csi(spec, want), want),
    "rpicam": lambda spec, want: ChildCamera(rpicam(spec), want),
    "file": _open_file,
    "pipe": lambda spec, want: Pipe(spec, want.channels),
}
