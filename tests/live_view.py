"""A live view with made-up snapshots, and a client for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from niwaki.device.decision import Decision, Rule
from niwaki.device.finding import Finding
from niwaki.device.snapshot import Snapshot
from niwaki.device.view import Labels, Limits, LiveView, Place

TOKEN = "a-token-of-32-characters-exactly"
NAMES = {
    "T-shirt": "티셔츠", "trousers": "바지", "pullover": "스웨터", "dress": "원피스", "coat": "코트",
    "sandal": "샌들", "shirt": "셔츠", "sneaker": "운동화", "bag": "가방", "ankle boot": "앵클 부츠",
}  # fmt: skip
CLASSES = [{"id": english, "names": {"en": english, "ko": korean}} for english, korean in NAMES.items()]
LABELS = Labels(CLASSES, ("en", "ko"), Rule(energy=-6.0), "lenet5")
LOGITS = (1.0, 0.0, 2.5, 0.5, 9.0, -3.0, 6.0, -4.0, 0.0, -2.0)  # a coat: 94 %, a shirt: 5 %
COAT = Decision("named", 4, -9.05, LOGITS, None, "spoken")
BOX = Finding("found", 12, 6, 40, 36, -1, 80, True, b"")
NOTHING = Finding("nothing", 0, 0, 0, 0, 1, 0, False, b"")


def frame_of(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A frame of random grey levels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def snapshot(**changes: Any) -> Snapshot:
    """A coat, named, in a frame of 64×48."""
    frame = changes.pop("frame", frame_of(64, 48))
    usual = Snapshot(
        number=1, time_s=0.0, width=frame.shape[1], height=frame.shape[0], pixels=frame.tobytes(), finding=BOX,
        picture=frame_of(28, 28, 1).tobytes(), logits=LOGITS, decision=COAT, fps=29.97, inference_us=412.0,
        vision_us=1830.0, language="en", source_state="running",
    )  # fmt: skip
    return usual._replace(**changes)


class Buttons:
    """What was pressed."""

    def __init__(self) -> None:
        self.pressed: list[str] = []

    def learn(self) -> None:
        self.pressed.append("learn")

    def forget(self) -> None:
        self.pressed.append("forget")

    def language(self, code: str) -> None:
        self.pressed.append(code)


@contextlib.contextmanager
def serving(
    token: str | None = None, port: int = 0, host: str = "127.0.0.1", names: tuple[str, ...] = (), **options: Any
) -> Iterator[LiveView]:
    """A view that serves; `view.buttons` tells what was pressed."""
    buttons = Buttons()
    place = Place(host, port, token, names)
    view = LiveView(place, options.pop("controls", buttons), options.pop("labels", LABELS), **options)
    view.buttons = buttons  # type: ignore[attr-defined]
    view.start()
    try:
        yield view
    finally:
        view.stop()


def ask(
    view: LiveView, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    """One request of the page's own kind, the answer read: `answer.body`. A header given as "" is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", view.port, timeout=20)
    fields = {"X-Niwaki": "1"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {name: value for name, value in fields.items() if value})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def read_message(body: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The fields of a frame's message, the picture that was sent and what the network sees."""
    (length,) = struct.unpack("<I", body[:4])
    fields = json.loads(body[4 : 4 + length])
    sent, inner = ((fields[name]["height"], fields[name]["width"]) for name in ("sent", "inner"))
    pixels = np.frombuffer(body, np.uint8, offset=4 + length)
    area = sent[0] * sent[1]
    return fields, pixels[:area].reshape(sent), pixels[area:].reshape(inner)


def client_threads() -> list[str]:
    """Threads that serve a connection."""
    return [thread.name for thread in threading.enumerate() if thread.name == "live view client"]


def eventually(happened: Any, patience_s: float = 20.0) -> bool:
    """Whether something came true, given time."""
    end = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


LIMITS = Limits(request_s=0.3, send_s=0.5, wait_s=0.2, seat_s=0.4)  # so that tests need not wait long
