"""Does everything that the runner needs work on this board? One screen, and an exit code."""

import os
import textwrap
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import board
from .bundle import Bundle
from .decision import OUTCOMES
from .errors import DONE, SELFTEST_FAILED, DeviceError
from .finding import Finding
from .network import Network
from .outside import parse_json
from .pipeline import Times
from .sources import Frame, Source, open_source
from .sources.y4m import Y4mFilm
from .speech import LONGEST_WORD_S, Speaker
from .stopping import Stopping
from .text import json_line, printable

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"
_COLUMNS = 80
_RUNS = 20  # of a stage, timed
_ENLARGED = 4  # the stored frames of 160 x 120 become 640 x 480
_CAMERA_FRAMES, _CAMERA_S = 30, 3.0
_FIRST_FRAME_S = 10.0


class Skipped(Exception):
    """A check that was not requested, or cannot be made here."""


class Result(NamedTuple):
    """The result of one check."""

    name: str
    outcome: str
    text: str
    """What was found, or why not."""
    facts: Dict[str, Any]


_Found = Tuple[str, Dict[str, Any]]


class Selftest:
    """The checks, in order. `source` none and `quiet` leave out camera and sound.

    A signal ends them between two checks, and while they wait for camera or loudspeaker.
    """

    def __init__(
        self, bundle: Bundle, stopping: Stopping,
        *, source: str, language: str, device: Optional[str], quiet: bool,
    ) -> None:  # fmt: skip
        self._stopping = stopping
        self._bundle, self._source, self._language = bundle, source, language
        self._device, self._quiet = device, quiet
        self._network: Optional[Network] = None

    def run(self) -> List[Result]:
        """Every check, even after one that failed."""
        checks: List[Tuple[str, Callable[[], _Found]]] = [
            ("board", self._board), ("files", self._files), ("library", self._library), ("images", self._images),
            ("vision", self._vision), ("camera", self._camera), ("sound", self._sound), ("memory", self._memory),
        ]  # fmt: skip
        return [self._result(name, check) for name, check in checks]

    def _result(self, name: str, check: Callable[[], _Found]) -> Result:
        self._stopping.pause(0.0)
        try:
            text, facts = check()
        except Skipped as reason:
            return Result(name, SKIPPED, str(reason), {})
        except DeviceError as error:
            return Result(name, FAILED, str(error).replace("{}{}".format(self._bundle.folder, os.sep), ""), {})
        return Result(name, OK, text, facts)

    def _board(self) -> _Found:
        model, system = board.model(), board.system()
        return "{}; {}".format(model, system), {"model": model, "system": system}

    def _files(self) -> _Found:
        count = self._bundle.check_all()
        return "{} files are as they were built".format(count), {"files": count}

    def _library(self) -> _Found:
        self._network = Network(self._bundle)
        return "loaded; {} classes".format(len(self._bundle.classes)), {}

    def _images(self) -> _Found:
        network = self._loaded()
        inputs, expected = self._bundle.read("selftest/images.bin"), self._bundle.read("selftest/scores.bin")
        size, classes = self._bundle.input.pixels, len(self._bundle.classes)
        images = [inputs[at : at + size] for at in range(0, len(inputs), size)]
        times, equal = Times(), 0
        for number, image in enumerate(images):
            start = time.perf_counter()
            scores = network.scores(image)
            times.add(time.perf_counter() - start)
            equal += bytes(score & 0xFF for score in scores) == expected[number * classes : (number + 1) * classes]
        facts = {"images": len(images), "equal": equal, "inference_us": times.median_us}
        text = "{equal} of {images} equal to the bit; one takes {inference_us:,.0f} us".format(**facts)
        return _all_equal(equal, len(images), text), facts

    def _vision(self) -> _Found:
        network, said = self._loaded(), parse_json(self._bundle.read("selftest/findings.json"))
        film = Y4mFilm(str(self._bundle.path("selftest/frames.y4m")), network.wants)
        with film:
            frames = [frame.pixels for frame in iter(lambda: film.read(1.0), None)]
        pictures, inner = self._bundle.read("selftest/pictures.bin"), self._bundle.input
        size, learned = inner.inner_pixels, said["learn"]
        vision = network.vision(film.width, film.height)
        for grey in frames[:learned]:
            vision.learn(grey)
        expected = [
            _finding(numbers, pictures[at * size : (at + 1) * size]) for at, numbers in enumerate(said["findings"])
        ]
        equal = sum(vision.find(grey) == right for grey, right in zip(frames[learned:], expected))
        text, facts = self._time_vision(network, frames, learned, film.width)
        text = "{} of {} frames equal to the bit; {}".format(equal, len(expected), text)
        return _all_equal(equal, len(expected), text), dict(facts, frames=len(expected), equal=equal)

    def _time_vision(self, network: Network, frames: List[bytes], learned: int, width: int) -> _Found:
        """Vision on frames of the size that a camera gives."""
        channels = self._bundle.input.channels
        large = [_enlarged(pixels, width, channels) for pixels in frames[: learned + 1]]
        size = (_ENLARGED * width, _ENLARGED * len(frames[0]) // (width * channels))
        vision, times = network.vision(*size), Times()
        for grey in large[:learned]:
            vision.learn(grey)
        for _ in range(_RUNS):
            start = time.perf_counter()
            vision.find(large[-1])
            times.add(time.perf_counter() - start)
        text = "{}x{} takes {:,.0f} us".format(size[0], size[1], times.median_us)
        return text, {"vision_us": times.median_us, "vision_size": list(size)}

    def _camera(self) -> _Found:
        if self._source == "none":
            raise Skipped("--source none")
        wants = self._loaded().wants
        with self._stopping.waiting(), open_source(self._source, wants) as source:
            times = [frame.time_s for frame in _frames(source)]
        if not times:
            raise DeviceError("{}: gives no frames".format(self._source))
        rate = (len(times) - 1) / (times[-1] - times[0]) if times[-1] > times[0] else 0.0
        facts: Dict[str, Any] = {"source": self._source, "width": source.width, "height": source.height, "fps": rate}
        return "{source}: {width}x{height}, {fps:.1f} frames/s".format(**facts), facts

    def _sound(self) -> _Found:
        if self._quiet:
            raise Skipped("--quiet")
        self._bundle.check_sounds()
        complaints: List[str] = []
        speaker = Speaker(self._bundle, self._language, complaints.append, self._device)
        try:
            speaker.say(0)
            ended = speaker.finish(self._stopping.pause)
        finally:
            speaker.close()
        if complaints:
            raise DeviceError(complaints[0]) if self._bundle.sound else Skipped(complaints[0])
        if not ended:
            hung = "{} did not end in {:.0f} s: choose a device of aplay -L with --audio-device"
            raise DeviceError(hung.format(speaker.program, LONGEST_WORD_S))
        word = self._bundle.word(0, self._language)
        return "played {!r}: did you hear it?".format(word), {"word": word}

    def _memory(self) -> _Found:
        kib = board.memory()
        if not kib:
            raise Skipped("this system does not report it")
        text = "{:.1f} MiB, at most {:.1f} MiB".format(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)
        return text, {"rss_kib": kib["VmRSS"], "peak_kib": kib["VmHWM"]}

    def _loaded(self) -> Network:
        if self._network is None:
            raise Skipped("the library is not loaded")
        return self._network


def show(bundle: Bundle, results: List[Result]) -> List[str]:
    """One screen: 80 columns and at most 24 lines."""
    lines = [printable("niwaki {}: {} for {}".format(bundle.niwaki, bundle.name, bundle.target))[:_COLUMNS]]
    for result in results:
        head = "{:<8} {:<8} ".format(result.name, result.outcome)
        room = _COLUMNS - len(head)
        wrapped = textwrap.wrap(printable(result.text), room, max_lines=2, placeholder=" ...") or [""]
        lines += [(head if number == 0 else " " * len(head)) + text for number, text in enumerate(wrapped)]
    failed = [result.name for result in results if result.outcome == FAILED]
    lines.append("FAILED: {}".format(", ".join(failed)) if failed else "all well")
    return lines


def as_json(bundle: Bundle, results: List[Result]) -> List[str]:
    """The same as one JSON object, which is one line."""
    checks = {r.name: dict(r.facts, outcome=r.outcome.lower(), text=r.text) for r in results}
    described = {"niwaki": bundle.niwaki, "name": bundle.name, "target": bundle.target}
    return [json_line(dict(described, ok=exit_code(results) == DONE, checks=checks))]


def exit_code(results: List[Result]) -> int:
    """1 if a check failed; a skipped one did not."""
    return SELFTEST_FAILED if any(result.outcome == FAILED for result in results) else DONE


def _frames(source: Source) -> Iterator[Frame]:
    """The first frames; a camera that has just started takes a while to give one."""
    timeout, ends = _FIRST_FRAME_S, time.monotonic() + _FIRST_FRAME_S
    for _ in range(_CAMERA_FRAMES):
        frame = source.read(timeout)
        if frame is None or time.monotonic() > ends:
            return
        if timeout == _FIRST_FRAME_S:
            timeout, ends = _CAMERA_S, time.monotonic() + _CAMERA_S
        yield frame


def _all_equal(equal: int, count: int, text: str) -> str:
    if equal != count or count == 0:
        raise DeviceError(text)
    return text


def _finding(numbers: Dict[str, int], picture: bytes) -> Finding:
    return Finding(
        OUTCOMES[numbers["outcome"]], numbers["x"], numbers["y"], numbers["width"], numbers["height"],
        numbers["polarity"], numbers["contrast"], bool(numbers["used_scene"]), picture,
    )  # fmt: skip


def _enlarged(pixels: bytes, width: int, channels: int) -> bytes:
    """Every pixel enlarged to a square of pixels."""
    size = width * channels
    rows = (pixels[at : at + size] for at in range(0, len(pixels), size))
    return b"".join(
        b"".join(row[at : at + channels] * _ENLARGED for at in range(0, size, channels)) * _ENLARGED for row in rows
    )
