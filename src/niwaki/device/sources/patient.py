"""A camera that is lost or absent is waited for and taken up again."""

import time
from typing import Callable, Optional

from .open import open_source
from .source import Frame, Source, SourceLost

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 4.0

OnState = Callable[[str], None]


def _say_nothing(state: str) -> None:
    pass


class Patient(Source):
    """The source that `text` describes, opened again whenever it is lost.

    `on_state` hears one line when the camera is lost ("camera lost: …; waiting") and when it is back ("camera back").
    `pause(seconds)` is how it waits: anything that it raises ends the waiting. Frames are numbered through, and their
    size stays what it was at first.
    """

    def __init__(
        self, text: str, on_state: OnState = _say_nothing, pause: Callable[[float], None] = time.sleep,
        opener: Callable[[str], Source] = open_source,
    ) -> None:  # fmt: skip
        self.name = text
        self._on_state, self._pause, self._opener = on_state, pause, opener
        self._source: Optional[Source] = None
        source = self._open()
        self.width, self.height, self.live = source.width, source.height, source.live

    def _open(self) -> Source:
        wait_s, lost = FIRST_WAIT_S, False
        while self._source is None:
            try:
                self._source = self._opener(self.name)
            except SourceLost as error:
                if not lost:
                    self._on_state("camera lost: {}; waiting".format(error))
                lost = True
                self._pause(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        if lost:
            self._on_state("camera back")
        return self._source

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The next frame, however long the camera was away; None at the end of a film."""
        return self._open().read(timeout_s)

    def close(self) -> None:
        """Close the source, where one is open."""
        if self._source is not None:
            self._source.close()
            self._source = None


def patient(text: str, on_state: OnState = _say_nothing, once: bool = False) -> Source:
    """A `Patient` source; `once`: the plain source, which raises `SourceLost` where the other waits."""
    return open_source(text) if once else Patient(text, on_state)
