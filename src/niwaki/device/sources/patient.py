"""Wait for a camera that is lost or absent, and open it again."""

import time
from typing import Callable, Optional

from ..errors import NO_CAMERA, DeviceError
from .open import open_source
from .source import Frame, Source, SourceLost

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 4.0
FIRST_FRAME_S = 10.0

OnState = Callable[[str], None]


def _say_nothing(state: str) -> None:
    """For callers that do not need messages."""


class Patient(Source):
    """The source that `text` describes, opened again whenever it is lost, until it gives a frame.

    `on_state` receives one line when the camera is lost ("camera lost: …; waiting") and when it is back ("camera
    back"). `pause(seconds)` waits between attempts: whatever it raises, and whatever a signal handler raises, ends the
    waiting. Frame numbers continue; `width` and `height` are those of the last frame, since another camera may come
    back.

    At first it waits only for what may come by itself (`SourceLost`): a wrong option, or a camera that this user may
    not use, is an error at once. It waits for a camera that has been there whatever error opening it gives.
    """

    def __init__(
        self, text: str, on_state: OnState = _say_nothing, pause: Callable[[float], None] = time.sleep,
        opener: Callable[[str], Source] = open_source,
    ) -> None:  # fmt: skip
        self.name = text
        self._on_state, self._pause, self._opener = on_state, pause, opener
        self._source: Optional[Source] = None
        self._waited_s = 0.0  # the length of the last pause; 0 while all is well
        self._first_number = self._next_number = 0
        self._first_pending = True
        try:
            self._first = self._next(FIRST_FRAME_S)
        except BaseException:
            self.close()
            raise

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The next frame, however long the camera was away; None at the end of a film."""
        if self._first_pending:
            self._first_pending = False
            return self._first
        return self._next(timeout_s)

    def _next(self, timeout_s: float) -> Optional[Frame]:
        while True:
            try:
                frame = self._opened().read(timeout_s)
            except SourceLost as error:
                self._wait(error)
                continue
            if self._waited_s:
                self._waited_s = 0.0
                self._on_state("camera back")
            if frame is None:
                return None
            self._next_number = self._first_number + frame.number + 1
            return frame._replace(number=self._next_number - 1)

    def _opened(self) -> Source:
        if self._source is None:
            try:
                source = self._opener(self.name)
            except DeviceError as error:
                if self.width and error.exit_code == NO_CAMERA:
                    raise SourceLost(str(error)) from error
                raise
            self._source, self._first_number = source, self._next_number
            self.width, self.height, self.live = source.width, source.height, source.live
        return self._source

    def _wait(self, error: SourceLost) -> None:
        self.close()
        if not self._waited_s:
            self._on_state("camera lost: {}; waiting".format(error))
        self._waited_s = min(2 * self._waited_s, LONGEST_WAIT_S) or FIRST_WAIT_S
        self._pause(self._waited_s)

    def close(self) -> None:
        """Close the source, if one is open."""
        source, self._source = self._source, None
        if source is not None:
            source.close()


def patient(text: str, on_state: OnState = _say_nothing, once: bool = False) -> Source:
    """A `Patient` source; with `once` the plain source, which raises `SourceLost` instead of waiting."""
    return open_source(text) if once else Patient(text, on_state)
