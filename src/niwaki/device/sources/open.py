"""From what the command line says to the source it means."""

from ..errors import DeviceError
from .source import Source
from .spec import Spec
from .y4m import Y4mFilm

SOURCES_HELP = "v4l2:/dev/video0, csi:0 (Jetson), rpicam:0 (Raspberry Pi), file:FILM.y4m or file:FOLDER, pipe:-"


def open_source(text: str) -> Source:
    """The source that `text` describes, open and ready to read.

    Raises `SourceLost` where waiting may help (no such camera yet, in use) and `DeviceError` where it will not.
    """
    spec = Spec(text)
    if spec.kind == "file":
        return Y4mFilm(spec.place)
    raise DeviceError("source {}: kind {!r} is unknown: niwaki reads {}".format(text, spec.kind, SOURCES_HELP))
