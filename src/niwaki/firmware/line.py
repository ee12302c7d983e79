"""Our end of the serial line: a board that runs the `Serial` example computes images."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from niwaki.errors import ModelError, NiwakiError, Setting, ToolMissing
from niwaki.firmware.frames import (
    BROKEN,
    DATA,
    GIVE,
    HELLO,
    MOST,
    OUT_OF_RANGE,
    REFUSED,
    RUN,
    UNKNOWN,
    VERSION,
    WRONG_IMAGE,
    Frame,
    Receiver,
    crc16,
)  # fmt: skip

BAUD = 115_200
GREETED_S = 5.0
"""How long a board has to say hello: opening its port resets an Arduino Uno, whose boot loader then waits."""
ANSWERED_S, RAN_S = 1.0, 60.0
TRIES = 8
_POLL_S = 0.02
_HASH = 8
_PLACED = MOST - 4
_GREETING = 255
"""The number of a request for a hello: what a board says by itself when it starts has number 0."""
_SAID = 40  # strange bytes that a message shows


class Line(Protocol):
    """What is needed of a port."""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, after at most the port's time-out."""
        ...

    def write(self, data: bytes) -> int | None:
        """Send bytes."""
        ...


@dataclass(frozen=True)
class Greeting:
    """What a board tells about itself."""

    hash: bytes
    """The first 8 bytes of the SHA-256 of its model's int8 ONNX."""
    input_bytes: int
    output_bytes: int
    ticks_per_second: int


class Board:
    """A board at a port. `name` is the port's in errors."""

    def __init__(self, line: Line, name: str) -> None:
        self._line, self._name = line, name
        self._receiver, self._number = Receiver(), 0
        self.repeated = 0
        """How many requests had to be sent again."""

    def greet(self, *, patience: float = GREETED_S) -> Greeting:
        """Wait for the board's hello. Raises NiwakiError if there is none in time, or another protocol answers."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            self._send(Frame(HELLO.upper(), _GREETING))
            for frame in self._frames(0.3):
                if frame.letter == HELLO:
                    for _ in self._frames(0.3):  # the answers to what was asked before it listened
                        pass
                    return self._greeting(frame.content)
        if strange := bytes(self._receiver.strange[:_SAID]):
            raise NiwakiError(
                f"{self._name}: sends {strange!r}, which is not what the Serial example sends: upload that example, "
                f"and give its baud rate (PORT:BAUD, usually {BAUD})"
            )
        raise NiwakiError(
            f"{self._name}: no answer within {patience:g} seconds: upload the Serial example, and close every serial "
            "monitor"
        )

    def _greeting(self, content: bytes) -> Greeting:
        if not content or content[0] != VERSION or len(content) != 19:
            spoken = content[0] if content else 0
            raise NiwakiError(
                f"{self._name}: the board speaks version {spoken} of the protocol, this niwaki {VERSION}: export again "
                "and upload"
            )
        numbers = (int.from_bytes(content[start:end], "little") for start, end in ((9, 13), (13, 15), (15, 19)))
        return Greeting(content[1:9], *numbers)

    def run(self, image: bytes, outputs: int) -> tuple[np.ndarray, int]:
        """The scores of an image, int8 (outputs,), and the ticks that it took. Raises NiwakiError if the line fails."""
        for _ in range(TRIES):
            for start in range(0, len(image), _PLACED):
                self._ask(DATA, start.to_bytes(4, "little") + image[start : start + _PLACED])
            answer = self._ask(RUN, crc16(image).to_bytes(2, "little"), longest=RAN_S)
            if answer.letter == RUN and len(answer.content) == 4:
                break
        else:
            raise NiwakiError(f"{self._name}: an image came wrong {TRIES} times: is the cable noisy?")
        ticks = int.from_bytes(answer.content, "little")
        scores = b""
        while len(scores) < outputs:
            part = self._ask(GIVE, len(scores).to_bytes(2, "little")).content
            if not part:
                raise NiwakiError(f"{self._name}: the board gave no score")
            scores += part
        return np.frombuffer(scores[:outputs], np.int8), ticks

    def _ask(self, letter: str, content: bytes, *, longest: float = ANSWERED_S) -> Frame:
        """The answer to a request, which is sent again until it comes, after twice the time up to `longest` seconds.

        A wrong image is an answer too. A board that runs takes a repeated request later, and does not run again.
        """
        self._number = self._number % 254 + 1
        request = Frame(letter.upper(), self._number, content)
        for attempt in range(TRIES):
            self.repeated += attempt > 0
            self._send(request)
            for frame in self._frames(min(ANSWERED_S * 2**attempt, longest)):
                if frame.letter == HELLO and frame.number != _GREETING:
                    raise NiwakiError(f"{self._name}: the board started again: is its supply steady?")
                if frame.letter == REFUSED and frame.content[:1] == bytes([BROKEN]):
                    break
                if frame.number != self._number:
                    continue  # to a request that was sent twice
                if frame.letter == letter or frame.content[:1] == bytes([WRONG_IMAGE]):
                    return frame
                if frame.letter == REFUSED and frame.content[:1] in (bytes([UNKNOWN]), bytes([OUT_OF_RANGE])):
                    raise NiwakiError(f"{self._name}: the board refused a request: export again and upload")
        raise NiwakiError(f"{self._name}: no answer to a request sent {TRIES} times: is the cable in, and not noisy?")

    def _send(self, frame: Frame) -> None:
        with self._unplugged():
            self._line.write(frame.to_bytes())

    def _frames(self, patience: float) -> Iterator[Frame]:
        """The frames that come within `patience` seconds."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            with self._unplugged():
                data = self._line.read(MOST)
            yield from self._receiver.take(data)

    @contextmanager
    def _unplugged(self) -> Iterator[None]:
        """An error of the port, in words: pyserial's are OSErrors."""
        try:
            yield
        except OSError as error:
            raise NiwakiError(f"{self._name}: the board is gone: is the cable in? ({error})") from error


def check_model(greeting: Greeting, sha256: str, sizes: tuple[int, int], name: str, folder: str) -> None:
    """Raise ModelError if a board runs another model than the folder's."""
    if greeting.hash != bytes.fromhex(sha256)[:_HASH]:
        raise ModelError(
            f"{name}: the board runs another model ({greeting.hash.hex()}) than {folder} ({sha256[: 2 * _HASH]}): "
            "upload the project that was exported with it"
        )
    if (greeting.input_bytes, greeting.output_bytes) != sizes:
        raise ModelError(
            f"{name}: the board takes {greeting.input_bytes} bytes, the model {sizes[0]}: export again and upload"
        )


@contextmanager
def open_port(where: str) -> Iterator[tuple[Board, str]]:
    """A board at PORT or PORT:BAUD, and the port's name.

    Raises ToolMissing if pyserial is missing, NiwakiError if the port cannot be opened or the rate is out of range.
    """
    try:
        import serial
    except ImportError as error:
        raise ToolMissing("no pyserial, which serial ports need: pip install 'niwaki[serial]'") from error
    port, baud = _port_of(where)
    try:
        line = serial.Serial(port, baud, timeout=_POLL_S, write_timeout=5)
    except (OSError, ValueError) as error:
        causes = (getattr(error, "errno", None), *getattr(error.__context__, "args", ())[:1])
        number = next((cause for cause in causes if isinstance(cause, int)), None)  # pyserial's text is for programmers
        raise NiwakiError(
            f"{port}: cannot be opened ({os.strerror(number) if number else error}): is the board plugged in, and no "
            "other program at the port?"
        ) from error
    with line:
        yield Board(line, port), port


def _port_of(where: str) -> tuple[str, int]:
    """Port and rate: /dev/ttyACM0, COM3, /dev/ttyUSB0:9600."""
    port, colon, rate = where.rpartition(":")
    if not colon or not rate.isdigit():
        port, rate = where, str(BAUD)
    if not port or not 300 <= int(rate) <= 4_000_000:
        raise NiwakiError(Setting("serial", f'"{where}"'), f": expected PORT or PORT:BAUD, as in /dev/ttyACM0:{BAUD}")
    return port, int(rate)
