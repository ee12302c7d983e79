"""Replay a recording at full speed, and check whether every decision is the same."""

import json
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple

from .errors import DeviceError
from .network import Network
from .outside import JSON_LIMIT
from .pipeline import Pipeline, Step
from .record import FORGET, FORMAT, INTERRUPT, LEARN, LOOK, MOST_LEARNED, described, frames_of, parts_of, unsealed
from .sources import Frame
from .sources.spec import LARGEST_SIDE

_FRAMES = {LOOK: 1, LEARN: 1, FORGET: 0, INTERRUPT: 0}  # of a line
LARGEST_FRAME = 3 * LARGEST_SIDE * LARGEST_SIDE + (1 << 16)  # bytes of one that zlib could not make smaller
_ROUNDING = 1e-9  # relative: log and exp may differ in the last bit between C libraries


class Replayed:
    """How far a replay got, and the first decision that differed, in words; None if none did."""

    def __init__(self) -> None:
        self.parts = 0
        self.frames = 0
        self.difference: Optional[str] = None


Spoken = Callable[[Frame, Step], None]


class Unreadable(DeviceError):
    """A part without a complete beginning."""


def replay(folder: Path, network: Network, *, on_step: Spoken, notify: Callable[[str], None]) -> Replayed:
    """Replay all parts of a recording, up to the first difference.

    `on_step` receives every frame and its result, `notify` a line for what is damaged (by a power cut) and skipped: the
    end of a part, or all of it. Raises DeviceError if no part can be read, or it was recorded with another model.
    """
    done = Replayed()
    unreadable: Optional[Unreadable] = None
    for path in _parts(folder):
        try:
            _replay_part(path, network, done, on_step, notify)
        except Unreadable as error:
            unreadable = unreadable or error
            notify("{}: left out".format(error))
        if done.difference is not None:
            return done
    if done.parts == 0 and unreadable is not None:
        raise unreadable
    return done


def _replay_part(
    path: Path, network: Network, done: Replayed, on_step: Spoken, notify: Callable[[str], None]
) -> None:  # fmt: skip
    with _Reader(path) as reader:
        pipeline = _prepared(reader, network)
        done.parts += 1
        for line, frames in reader:
            difference = _again(pipeline, line, frames, on_step)
            done.frames += line["do"] == LOOK
            if difference is not None:
                done.difference = "{}: {}".format(path, difference)
                return
        if reader.damage:
            notify("{}: {}: the rest of this part is left out".format(path, reader.damage))


def _parts(folder: Path) -> List[Path]:
    try:
        parts = parts_of(folder)
    except OSError as error:
        raise DeviceError("--replay {}: {}".format(folder, error.strerror)) from error
    if not parts:
        raise DeviceError("--replay {}: there is no recording in it (part-000001.jsonl)".format(folder))
    return parts


def _prepared(reader: "_Reader", network: Network) -> Pipeline:
    """A pipeline in the state of the recorded one when the part began."""
    head, bundle = reader.head, network.bundle
    if head["model_sha256"] != bundle.model_sha256:
        models = head["name"], head["model_sha256"][:12], bundle.name, bundle.model_sha256[:12]
        what = "{}: was recorded with model {} ({}), this bundle has {} ({}): replay it with that bundle"
        raise DeviceError(what.format(reader.path, *models))
    pipeline = Pipeline(network, head["width"], head["height"])
    for number, grey in enumerate(reader.learned()):
        pipeline.learn(grey, number == 0)
    try:
        pipeline.decider.restore(head["decider"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(reader.path, error) from error
    return pipeline


def _again(pipeline: Pipeline, line: Dict[str, Any], frames: List[bytes], on_step: Spoken) -> Optional[str]:
    """Do what a line says was done; returns what differs, in words."""
    if line["do"] == LEARN:
        pipeline.learn(frames[0], line["anew"])
    elif line["do"] == FORGET:
        pipeline.forget()
    elif line["do"] == INTERRUPT:
        pipeline.decider.interrupt()
    else:
        frame = Frame(frames[0], line["number"], line["time_s"])
        step = pipeline.look(frame.pixels, frame.time_s)
        on_step(frame, step)
        return _difference(line, json.loads(json.dumps(described(step))))
    return None


def _difference(recorded: Dict[str, Any], now: Dict[str, Any]) -> Optional[str]:
    for name, value in now.items():
        before = recorded.get(name)
        if before != value and not (name == "energy" and _alike(before, value)):
            return "frame {number} at {time_s:.3f} s: {name} was {before}, is {value}".format(
                name=name, before=json.dumps(before), value=json.dumps(value), **recorded
            )
    return None


def _alike(before: Any, now: Any) -> bool:
    return before is not None and now is not None and abs(before - now) <= _ROUNDING * abs(now)


def _unreadable(path: Path, error: Exception) -> Unreadable:
    return Unreadable("{}: is not a readable recording: {!r}".format(path, error))


class _Reader:
    """The lines of a part with their frames, as far as it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: Optional[str] = None
        for file in (path, frames_of(path)):
            if os.path.islink(str(file)) or (os.path.exists(str(file)) and not os.path.isfile(str(file))):  # noqa: PTH110, PTH113, PTH114
                raise Unreadable("{}: is a link or no file: copy the recording itself".format(file))
        try:
            self._lines = path.open("rb")
            self._frames: BinaryIO = frames_of(path).open("rb")
        except OSError as error:
            raise Unreadable("{}: {}".format(error.filename, error.strerror)) from error
        try:
            self.head = unsealed(self._lines.readline(JSON_LIMIT))
            if self.head["niwaki_recording"] != FORMAT:
                raise ValueError("format {}, this runner reads {}".format(self.head["niwaki_recording"], FORMAT))
            self._size = _side(self.head, "width") * _side(self.head, "height") * _channels(self.head)
            str(self.head["model_sha256"] + self.head["name"])
            self._learned = _places(self.head, MOST_LEARNED)
            for _ in self.learned():  # whole, before any is used
                pass
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            self.close()
            raise _unreadable(path, error) from error

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._frames.close()

    def learned(self) -> Iterator[bytes]:
        """The frames from which the empty scene was learned before, one at a time."""
        return (self._frame(*place) for place in self._learned)

    def __iter__(self) -> Iterator[Tuple[Dict[str, Any], List[bytes]]]:
        for number, text in enumerate(iter(lambda: self._lines.readline(JSON_LIMIT), b""), 2):
            try:
                line = unsealed(text)
                _check_line(line)
                frames = [self._frame(*place) for place in _places(line, 1)]
                if len(frames) != _FRAMES[line["do"]]:
                    raise ValueError("{} frames".format(len(frames)))
            except (ValueError, KeyError, TypeError, zlib.error) as error:
                self.damage = "line {} is damaged ({})".format(number, error)
                return
            yield line, frames

    def _frame(self, at: int, size: int, checksum: int) -> bytes:
        """A frame of the part's size: however small its compressed form, it becomes no larger than that."""
        self._frames.seek(at)
        blob = self._frames.read(size)
        if len(blob) != size or zlib.crc32(blob) != checksum:
            raise ValueError("its frame is incomplete")
        grey = zlib.decompressobj().decompress(blob, self._size + 1)
        if len(grey) != self._size:
            raise ValueError("a frame of another size")
        return grey


def _side(head: Dict[str, Any], name: str) -> int:
    side = head[name]
    if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
        raise ValueError("{} {!r}".format(name, side))
    return side


def _channels(head: Dict[str, Any]) -> int:
    channels = head.get("channels", 1)
    if type(channels) is not int or channels not in (1, 3):
        raise ValueError("channels {!r}".format(channels))
    return channels


def _places(line: Dict[str, Any], most: int) -> List[Tuple[int, int, int]]:
    """The position of a line's frames: first byte, bytes, checksum of each."""
    places = line["frames"]
    if not isinstance(places, list) or len(places) > most:
        raise ValueError("more than {} frames".format(most))
    for place in places:
        if not (isinstance(place, list) and len(place) == 3 and all(type(number) is int for number in place)):
            raise ValueError("a frame without a position")
        if not (0 <= place[0] < 1 << 62 and 0 <= place[1] <= LARGEST_FRAME):
            raise ValueError("a frame of {} bytes at {}".format(place[1], place[0]))
    return [(at, size, checksum) for at, size, checksum in places]


def _check_line(line: Dict[str, Any]) -> None:
    """Check that a line's values have the right types. Raises ValueError, KeyError."""
    if line["do"] == LEARN and not isinstance(line["anew"], bool):
        raise ValueError("anew is {!r}".format(line["anew"]))
    if line["do"] == LOOK and (type(line["number"]) is not int or type(line["time_s"]) not in (int, float)):
        raise ValueError("number {!r}, time_s {!r}".format(line["number"], line["time_s"]))
