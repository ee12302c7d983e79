"""Records what the camera saw and what became of it, to look at it and replay it.

A recording is a folder of parts, two files each. `part-000001.jsonl` starts with a line about the part, followed by a
line for each event, in order; `part-000001.frames` holds the frames, compressed by zlib, at the positions in those
lines. A part can be replayed by itself: its first line also says from which frames the empty scene was learned and what
the decision remembered. So the oldest parts can be removed when the limit is reached.

A line is written after its frame, in one piece, and both have checksums. However the recording ended, all complete
lines can be read.
"""

import contextlib
import io
import json
import os
import re
import time
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional

from .errors import NO_ROOM, DeviceError
from .outside import parse_json
from .pipeline import Pipeline, Step
from .sources import Frame

FORMAT = 1
LOOK, LEARN, FORGET, INTERRUPT = "look", "learn", "forget", "interrupt"
_SHARES = 4  # of the limit: a part ends when it holds one of them beyond its beginning
_NAME = re.compile(r"part-([0-9]{6})\.jsonl\Z")
MEGABYTE = 10**6
MOST_LEARNED = 256  # frames: the most that the search for a garment averages
_LEVEL = 1  # of zlib: a camera's noise does not get smaller, only slower


def _no_link(path: str, flags: int) -> int:
    """Opens the remaining file of a part, and never follows a link of that name."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def parts_of(folder: Path) -> List[Path]:
    """The `.jsonl` files of a recording, in order. Raises OSError."""
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name))


def frames_of(part: Path) -> Path:
    """The file with the frames of a part."""
    return part.with_suffix(".frames")


def described(step: Step) -> Dict[str, Any]:
    """The result of a frame, for JSON; the picture by its checksum."""
    finding, decision = step.finding, step.decision
    return {
        "finding": list(finding[:-1]),
        "picture": zlib.crc32(finding.picture),
        "scores": step.scores,
        "state": decision.state,
        "class": decision.class_index,
        "energy": decision.energy,
        "speak": decision.speak,
        "reason": decision.reason,
    }


def sealed(line: Dict[str, Any]) -> bytes:
    """A line of a part: JSON whose last entry, `crc`, is the CRC-32 of the text before it."""
    text = json.dumps(line, separators=(",", ":")).encode("ascii")[:-1]
    return text + b',"crc":%d}\n' % zlib.crc32(text)


def unsealed(text: bytes) -> Dict[str, Any]:
    """The line, if it is complete. Raises ValueError."""
    content, _, checksum = text.rpartition(b',"crc":')
    if checksum != b"%d}\n" % zlib.crc32(content):
        raise ValueError("its checksum does not match")
    line = parse_json(content + b"}")
    if not isinstance(line, dict):
        raise ValueError("no object")
    return line


class Recorder:
    """Writes a recording; if the folder has one already, it adds parts. Its limit is in bytes.

    It receives every event after the pipeline has handled it. Every method raises DeviceError (exit code 4) if it
    cannot write; what was written before stays complete.
    """

    def __init__(self, folder: Path, pipeline: Pipeline, limit: int, learned: int = 0) -> None:
        """`learned`: how many frames of the empty scene will be learned. Raises DeviceError for too small a limit."""
        _check_limit(limit, min(learned, MOST_LEARNED), pipeline)
        self._folder, self._pipeline, self._limit = folder, pipeline, limit
        self._part: Optional[_Part] = None
        self._learned: List[bytes] = []  # compressed
        self._decider = pipeline.decider.save()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sizes = {part: _size(part) + _size(frames_of(part)) for part in parts_of(folder)}
        except OSError as error:
            raise _cannot_write(folder, error) from error
        self._number = max(map(_number_of, self._sizes), default=0)

    def look(self, frame: Frame, step: Step) -> None:
        """A frame that was processed."""
        self._add({"do": LOOK, "number": frame.number, "time_s": frame.time_s, **described(step)}, _packed(frame))

    def learn(self, frame: Frame, anew: bool) -> None:
        """A frame of the empty scene."""
        blob = _packed(frame)
        self._add({"do": LEARN, "number": frame.number, "time_s": frame.time_s, "anew": anew}, blob)
        if anew:
            self._learned = []
        if len(self._learned) < MOST_LEARNED:
            self._learned = [*self._learned, blob]

    def forget(self) -> None:
        """The empty scene was forgotten."""
        self._add({"do": FORGET})
        self._learned = []

    def interrupt(self) -> None:
        """The camera was lost."""
        self._add({"do": INTERRUPT})

    def resize(self) -> None:
        """Frames have another size, and the empty scene was forgotten: that starts a part."""
        self.close()
        self._learned = []

    def close(self) -> None:
        """End the part; the next event starts another."""
        part, self._part = self._part, None
        self._decider = self._pipeline.decider.save()
        if part is not None:
            try:
                part.close()
            except OSError as error:
                raise _cannot_write(self._folder, error) from error

    def _add(self, line: Dict[str, Any], blob: Optional[bytes] = None) -> None:
        try:
            if self._part is None:
                self._number += 1
                self._part = _Part(self._folder / "part-{:06d}.jsonl".format(self._number), self._head(), self._learned)
            self._part.write(line, [] if blob is None else [blob])
            self._sizes[self._part.path] = self._part.size
            self._make_room()
        except OSError as error:
            if self._part is not None:
                self._part.abandon()
                self._part = None
            raise _cannot_write(self._folder, error) from error
        if self._part.size - self._part.head_size > self._limit // _SHARES:
            self.close()

    def _head(self) -> Dict[str, Any]:
        bundle, vision = self._pipeline.bundle, self._pipeline.vision
        return {
            "niwaki_recording": FORMAT, "niwaki": bundle.niwaki, "name": bundle.name,
            "model_sha256": bundle.model_sha256, "rule": bundle.rule._asdict(),
            "width": vision.width, "height": vision.height, "channels": bundle.input.channels,
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "decider": self._decider,
        }  # fmt: skip

    def _make_room(self) -> None:
        """Remove the oldest parts while the total exceeds the limit; never the open one."""
        for path in sorted(self._sizes)[:-1]:
            if sum(self._sizes.values()) <= self._limit:
                return
            _remove(path)
            del self._sizes[path]


class _Part:
    """The two files of a part, open for unbuffered writing: what was written is in the system's hands."""

    def __init__(self, path: Path, head: Dict[str, Any], learned: List[bytes]) -> None:
        self.path = path
        self._lines = path.open("xb", buffering=0)
        try:
            self._frames = open(str(frames_of(path)), "wb", buffering=0, opener=_no_link)  # noqa: SIM115
        except OSError:
            self._lines.close()
            _remove(path)
            raise
        self._whole = (0, 0)  # bytes of lines and frames that belong to complete records
        self._things = 0
        try:
            self.write(head, learned)
        except OSError:
            self.abandon()
            raise
        self.head_size = self.size  # of its beginning, with the frames that were learned before

    @property
    def size(self) -> int:
        """Bytes of both files."""
        return sum(self._whole)

    def write(self, line: Dict[str, Any], blobs: List[bytes]) -> None:
        """Write the frames of a line, then the line. Raises OSError."""
        at, places = self._whole[1], []
        for blob in blobs:
            _write_all(self._frames, blob)
            places.append([at, len(blob), zlib.crc32(blob)])
            at += len(blob)
        text = sealed(dict(line, frames=places))
        _write_all(self._lines, text)
        self._whole = (self._whole[0] + len(text), at)
        self._things += 1

    def close(self) -> None:
        """Close both files. Raises OSError."""
        try:
            self._frames.close()
        finally:
            self._lines.close()

    def abandon(self) -> None:
        """Cut off what is incomplete; a part without events is removed."""
        with contextlib.suppress(OSError):  # the first error is reported
            self._lines.truncate(self._whole[0])
            self._frames.truncate(self._whole[1])
        with contextlib.suppress(OSError):
            self.close()
        if self._things < 2:
            with contextlib.suppress(OSError):
                _remove(self.path)


def _check_limit(limit: int, learned: int, pipeline: Pipeline) -> None:
    """Every part starts with the learned frames: room for them and others, however badly they compress."""
    vision = pipeline.vision
    least = _SHARES * (learned + 1) * vision.width * vision.height * pipeline.bundle.input.channels
    if limit < least:
        why = "--record-limit {}: too little for frames of {} x {}, {} of them learned: give {} or more"
        raise DeviceError(why.format(limit // MEGABYTE, vision.width, vision.height, learned, -(-least // MEGABYTE)))


def _packed(frame: Frame) -> bytes:
    return zlib.compress(frame.pixels, _LEVEL)


def _number_of(part: Path) -> int:
    return int(part.stem[-6:])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _remove(part: Path) -> None:
    """Both files; after a power cut one may be missing."""
    for path in (part, frames_of(part)):
        if path.exists():
            path.unlink()


def _write_all(file: "io.FileIO", data: bytes) -> None:
    while data:
        data = data[file.write(data) or 0 :]


def _cannot_write(folder: Path, error: OSError) -> DeviceError:
    why = "--record {}: cannot be written: {}: make room or choose another folder; what was recorded is complete"
    return DeviceError(why.format(folder, error.strerror), NO_ROOM)
