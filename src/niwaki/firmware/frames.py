"""Frames of the serial line, as `templates/common/serial.h.in` says: at most 60 bytes, each answered by one."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
START = 0xA5
MOST = 54
"""Bytes that one frame carries."""
HELLO, DATA, RUN, GIVE, REFUSED = "h", "d", "r", "g", "e"
"""The letters of answers; a request has the same in capitals."""
BROKEN, UNKNOWN, OUT_OF_RANGE, WRONG_IMAGE = 1, 2, 3, 4
"""Why a request was refused."""
_HEAD, _CHECK = 4, 2


@dataclass(frozen=True)
class Frame:
    """What was sent: a letter, a number by which the answer is known, and bytes."""

    letter: str
    number: int
    content: bytes = b""

    def to_bytes(self) -> bytes:
        """As it goes over the line."""
        body = bytes([ord(self.letter), self.number, len(self.content)]) + self.content
        return bytes([START]) + body + crc16(body).to_bytes(2, "little")


def crc16(data: bytes, crc: int = 0xFFFF) -> int:
    """CRC-16 (CCITT): polynomial 0x1021, the highest bit first."""
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class Receiver:
    """Finds frames in the bytes that come; what belongs to none is left out."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.strange = bytearray()
        """The bytes that belonged to no frame."""

    def take(self, data: bytes) -> list[Frame]:
        """The frames that are whole with these bytes."""
        self._bytes += data
        found = []
        while self._bytes:
            size = _HEAD + self._bytes[3] + _CHECK if len(self._bytes) >= _HEAD else 0
            if self._bytes[0] != START or size > _HEAD + MOST + _CHECK:
                self.strange.append(self._bytes.pop(0))
            elif size == 0 or len(self._bytes) < size:
                break
            elif crc16(bytes(self._bytes[1 : size - 2])) == int.from_bytes(self._bytes[size - 2 : size], "little"):
                found.append(Frame(chr(self._bytes[1]), self._bytes[2], bytes(self._bytes[4 : size - 2])))
                del self._bytes[:size]
            else:  # a frame may begin within what seemed to be one
                self.strange.append(self._bytes.pop(0))
        return found
