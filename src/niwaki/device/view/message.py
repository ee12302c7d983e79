"""A snapshot as it is sent: four bytes, the length of a JSON text (little-endian); that text; grey bytes of the frame,
then of what the network sees.

Large frames are thinned, not averaged: that costs a board next to nothing, and the view is to look at.
"""

import json
import struct
import threading
import time
from typing import Any, Dict, Optional, Tuple

from .labels import Labels
from .latest import Entry

_LONGEST = 400  # pixels of the longer side as sent, at most


def thin(grey: bytes, width: int, height: int, longest: int = _LONGEST) -> Tuple[bytes, int]:
    """Every k-th pixel of every k-th row of a frame, and k: the smallest one that makes it small enough."""
    step = max(1, -(-max(width, height) // longest))
    if step == 1:
        return grey, 1
    rows = (grey[row * width : (row + 1) * width : step] for row in range(0, height, step))
    return b"".join(rows), step


class Encoder:
    """Encodes an entry once, however many clients watch."""

    def __init__(self, labels: Labels) -> None:
        self._inner = labels.inner
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
        grey, step = thin(snapshot.grey, snapshot.width, snapshot.height)
        fields = describe(entry, time.monotonic())
        fields["sent"] = {"width": -(-snapshot.width // step), "height": -(-snapshot.height // step), "step": step}
        fields["inner"] = {"width": self._inner[0], "height": self._inner[1]}
        text = json.dumps(fields, ensure_ascii=False).encode("utf-8")
        return struct.pack("<I", len(text)) + text + grey + snapshot.picture


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
