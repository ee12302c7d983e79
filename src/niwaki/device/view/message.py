"""A snapshot as it is sent: four bytes, the length of a JSON text (little-endian); that text; the pixels of the frame
(a byte each, or three of a colour), then of what the network sees.

Large frames are thinned, not averaged: that costs a board next to nothing, and the view is to look at.
"""

import json
import struct
import threading
import time
from typing import Any, Dict, Optional, Tuple

from ..finding import interleaved
from .labels import Labels
from .latest import Entry

_LONGEST = 400  # pixels of the longer side as sent, at most


def thin(
    pixels: bytes, width: int, height: int, longest: int = _LONGEST, channels: int = 1
) -> Tuple[bytes, int]:  # fmt: skip
    """Every k-th pixel of every k-th row of a frame, and k: the smallest one that makes it small enough."""
    step = max(1, -(-max(width, height) // longest))
    if step == 1:
        return pixels, 1
    size = width * channels
    rows = (pixels[row * size : (row + 1) * size] for row in range(0, height, step))
    if channels == 1:
        return b"".join(row[::step] for row in rows), step
    thinned = ([row[channel :: channels * step] for channel in range(channels)] for row in rows)
    return b"".join(map(interleaved, thinned)), step


class Encoder:
    """Encodes an entry once, however many clients watch."""

    def __init__(self, labels: Labels) -> None:
        self._inner, self._channels = labels.inner, labels.channels
        self._lock = threading.Lock()
        self._done: Optional[Tuple[int, bytes]] = None

    def encode(self, entry: Entry) -> bytes:
        """The message of an entry."""
        with self._lock:
            if self._done is None or self._done[0] != entry.sequence:
                self._done = entry.sequence, self._encode(entry)
            return self._done[1]

    def _encode(self, entry: Entry) -> bytes:
        snapshot = entry.snapshot
        pixels, step = thin(snapshot.pixels, snapshot.width, snapshot.height, channels=self._channels)
        fields = describe(entry, time.monotonic())
        fields["sent"] = {"width": -(-snapshot.width // step), "height": -(-snapshot.height // step), "step": step}
        fields["inner"] = {"width": self._inner[0], "height": self._inner[1]}
        fields["channels"] = self._channels
        text = json.dumps(fields, ensure_ascii=False).encode("utf-8")
        return struct.pack("<I", len(text)) + text + pixels + self._side_by_side(snapshot.picture)

    def _side_by_side(self, picture: bytes) -> bytes:
        size = len(picture) // self._channels
        return interleaved([picture[at : at + size] for at in range(0, len(picture), size)])


def describe(entry: Entry, now_s: float) -> Dict[str, Any]:
    """What the page shows of an entry besides its pictures."""
    snapshot, finding, decision = entry.snapshot, entry.snapshot.finding, entry.snapshot.decision
    logits = decision.mean_logits if decision.mean_logits is not None else snapshot.logits
    return {
        "sequence": entry.sequence,
        "number": snapshot.number,
        "width": snapshot.width,
        "height": snapshot.height,
        "outcome": finding.outcome,
        "box": [finding.x, finding.y, finding.width, finding.height] if finding.width and finding.height else None,
        "scene": bool(finding.used_scene),
        "state": decision.state,
        "index": decision.class_index,
        "reason": decision.reason,
        "energy": None if decision.energy is None else round(decision.energy, 3),
        "logits": None if logits is None else [round(logit, 3) for logit in logits],
        "fps": round(snapshot.fps, 2),
        "inference_us": round(snapshot.inference_us, 1),
        "vision_us": round(snapshot.vision_us, 1),
        "language": snapshot.language,
        "source": snapshot.source_state,
        "words": [[word.class_index, word.language, round(max(0.0, now_s - word.time_s), 1)] for word in entry.words],
    }
