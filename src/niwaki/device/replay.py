"""Goes through a recording again, as fast as it goes, and finds out whether every decision is the same."""

import json
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple

from .errors import DeviceError
from .network import Network
from .pipeline import Pipeline, Step
from .record import FORGET, FORMAT, INTERRUPT, LEARN, LOOK, described, frames_of, parts_of
from .sources import Frame

_FRAMES = {LOOK: 1, LEARN: 1, FORGET: 0, INTERRUPT: 0}  # of a line
_ROUNDING = 1e-9  # relative: log and exp may differ in the last bit between C libraries


class Replayed:
    """How far a replay came, and the first decision that was another one, in words; None where none was."""

    def __init__(self) -> None:
        self.parts = 0
        self.frames = 0
        self.difference: Optional[str] = None


Spoken = Callable[[Frame, Step], None]


def replay(folder: Path, network: Network, *, on_step: Spoken, notify: Callable[[str], None]) -> Replayed:
    """Replay all parts of a recording, until a difference.

    `on_step` sees every frame and what came of it, `notify` hears where a part is damaged at its end (by a power cut):
    what comes before is replayed. Raises DeviceError where there is no recording, or it is of another model.
    """
    parts = _parts(folder)
    done = Replayed()
    for path in parts:
        with _Reader(path) as reader:
            pipeline = _prepared(reader, network)
            for line, frames in reader:
                done.difference = _again(pipeline, line, frames, on_step)
                done.frames += line["do"] == LOOK
                if done.difference is not None:
                    done.difference = "{}: {}".format(path, done.difference)
                    return done
            if reader.damage:
                notify("{}: {}: the rest of this part is left out".format(path, reader.damage))
        done.parts += 1
    return done


def _parts(folder: Path) -> List[Path]:
    try:
        parts = parts_of(folder)
    except OSError as error:
        raise DeviceError("--replay {}: {}".format(folder, error.strerror)) from error
    if not parts:
        raise DeviceError("--replay {}: there is no recording in it (part-000001.jsonl)".format(folder))
    return parts


def _prepared(reader: "_Reader", network: Network) -> Pipeline:
    """A pipeline that is where the recorded one was when the part began."""
    head, bundle = reader.head, network.bundle
    if head["model_sha256"] != bundle.model_sha256:
        models = head["name"], head["model_sha256"][:12], bundle.name, bundle.model_sha256[:12]
        what = "{}: was recorded with model {} ({}), this bundle has {} ({}): replay it with that bundle"
        raise DeviceError(what.format(reader.path, *models))
    pipeline = Pipeline(network, head["width"], head["height"])
    for number, grey in enumerate(reader.learned):
        pipeline.learn(grey, number == 0)
    try:
        pipeline.decider.restore(head["decider"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(reader.path, error) from error
    return pipeline


def _again(pipeline: Pipeline, line: Dict[str, Any], frames: List[bytes], on_step: Spoken) -> Optional[str]:
    """Do what a line says was done; what differs, in words."""
    if line["do"] == LEARN:
        pipeline.learn(frames[0], line["anew"])
    elif line["do"] == FORGET:
        pipeline.forget()
    elif line["do"] == INTERRUPT:
        pipeline.decider.interrupt()
    else:
        frame = Frame(frames[0], line["number"], line["time_s"])
        step = pipeline.look(frame.grey, frame.time_s)
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


def _unreadable(path: Path, error: Exception) -> DeviceError:
    return DeviceError("{}: is no recording that can be read: {!r}".format(path, error))


class _Reader:
    """The lines of a part with their frames, as far as it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: Optional[str] = None
        try:
            self._lines = path.open("rb")
            self._frames: BinaryIO = frames_of(path).open("rb")
        except OSError as error:
            raise DeviceError("{}: {}".format(error.filename, error.strerror)) from error
        try:
            self.head, self.learned = self._next(self._lines.readline())
            if self.head["niwaki_recording"] != FORMAT:
                raise ValueError("format {}, this runner reads {}".format(self.head["niwaki_recording"], FORMAT))
            self._size = int(self.head["width"]) * int(self.head["height"])
            str(self.head["model_sha256"] + self.head["name"])
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

    def __iter__(self) -> Iterator[Tuple[Dict[str, Any], List[bytes]]]:
        for number, text in enumerate(self._lines, 2):
            try:
                line, frames = self._next(text)
                if [len(grey) for grey in frames] != [self._size] * _FRAMES[line["do"]]:
                    raise ValueError("a frame of another size")
            except (ValueError, KeyError, TypeError, zlib.error) as error:
                self.damage = "line {} is damaged ({})".format(number, error)
                return
            yield line, frames

    def _next(self, text: bytes) -> Tuple[Dict[str, Any], List[bytes]]:
        if not text.endswith(b"\n"):
            raise ValueError("cut off")
        line = json.loads(text.decode("ascii"))
        return line, [self._frame(*place) for place in line["frames"]]

    def _frame(self, at: int, size: int, checksum: int) -> bytes:
        self._frames.seek(at)
        blob = self._frames.read(size)
        if len(blob) != size or zlib.crc32(blob) != checksum:
            raise ValueError("its frame is not whole")
        return zlib.decompress(blob)
