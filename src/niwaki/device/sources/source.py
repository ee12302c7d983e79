"""A source of frames: the frame, the interface, and how it reports a lost camera."""

from typing import NamedTuple, Optional

from ..errors import NO_CAMERA, DeviceError


class Frame(NamedTuple):
    """One picture: its pixels side by side, row after row, no padding; grey (luminance) or red, green and blue."""

    pixels: bytes
    number: int  # from 0; a live camera skips numbers of frames that came too fast
    time_s: float  # cameras: seconds of a monotonic clock; films: number / frames per second


class SourceLost(DeviceError):
    """A camera that disappeared, is not there yet, or gives no frames: it may come back."""

    def __init__(self, message: str) -> None:
        super().__init__(message, NO_CAMERA)


class Source:
    """Frames of one size. A camera is `live`: it gives the newest frame; anything else gives every frame.

    `name` is its name in messages. A source is closed once, by the code that opened it; closing again does nothing.
    """

    name = ""
    width = 0
    height = 0
    live = False

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The next frame; None at the end of a film.

        Waits `timeout_s` at most. A camera that gives nothing for that long, or has disappeared, raises `SourceLost`; a
        damaged film raises `DeviceError`. An exception from a signal handler ends the waiting at once.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release the device, the file or the child program."""

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
