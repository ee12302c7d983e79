"""The time that vision takes for a frame: find, cut out, draw; in C, and in the NumPy that the C must equal.

Frames are photographs that niwaki makes from training images. One thread; the builds in turn, every second round
backwards; a side's value in a round is its mean over all frames. Time is processor time, so that other programs on the
machine count for little. Each build is compared with the reference before it is timed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.pairs import Side, Spread, spread, take_turns
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset
from niwaki.errors import NiwakiError
from niwaki.scenes.scene import Scene, garment_scene
from niwaki.vision.finding import Finding
from niwaki.vision.library import Vision, compile_vision
from niwaki.vision.reference import Reference

COMMAND = "python -m benchmarks vision"
GOAL_MS, GOAL_SIZE = 3.0, (480, 640)
SIZES = ((240, 320), GOAL_SIZE, (720, 1280))
BUILDS = {"C -O2": ("-O2",), "C -O3 -march=native": ("-O3", "-march=native")}
NUMPY = "NumPy reference"
METHOD = (
    "{frames} photographs of garments; one call finds the garment and draws its 28×28; one thread, all forms in turn, "
    "every second round backwards; ms of processor time a frame, medians over {rounds} rounds (quartiles) of "
    "the mean over the frames."
)


def run(data: Dataset, *, quick: bool) -> Report:
    """All builds and sizes, with and without a learned scene."""
    frames, rounds = (3, 2) if quick else (16, 20)
    times: dict[tuple[str, str, tuple[int, int]], Spread] = {}
    with TemporaryDirectory(prefix="niwaki-benchmark-vision-") as work:
        libraries = {
            name: compile_vision(Path(work) / f"{number}.so", flags=flags)
            for number, (name, flags) in enumerate(BUILDS.items())
        }
        for size in SIZES:
            scenes = draw_scenes(data, frames, size)
            for learned in (False, True):
                sides = make_sides(libraries, scenes, learned=learned)
                way = "scene learned" if learned else "scene not learned"
                for name, seconds in take_turns(sides, rounds).items():
                    times[name, way, size] = spread([1000 * value for value in seconds])
    return report(times, METHOD.format(frames=frames, rounds=rounds))


def draw_scenes(data: Dataset, count: int, size: tuple[int, int]) -> list[Scene]:
    """Photographs of the first garments of the training split."""
    pad = data.preprocessing.pad
    inside = slice(pad, -pad if pad else None)
    images = np.asarray(data.train.images[:count])[:, 0, inside, inside]
    labels = data.train.labels[:count].tolist()
    return [
        garment_scene(image, label, number, family="tuning", size=size)
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def make_sides(libraries: dict[str, Path], scenes: Sequence[Scene], *, learned: bool) -> dict[str, Side]:
    """For each form, a function that processes all frames once. Raises NiwakiError if one differs from others."""
    height, width = scenes[0].frame.shape
    empty = [scene.learned(1)[0] for scene in scenes]
    eyes: dict[str, list[Vision] | list[Reference]] = {
        **{name: [Vision(library, width, height) for _ in scenes] for name, library in libraries.items()},
        NUMPY: [Reference(width, height) for _ in scenes],
    }
    for own in eyes.values():
        for eye, frame in zip(own, empty, strict=True):
            if learned:
                eye.learn(frame)
    expected = [eye.find(scene.frame) for eye, scene in zip(eyes[NUMPY], scenes, strict=True)]
    for name, own in eyes.items():
        check([eye.find(scene.frame) for eye, scene in zip(own, scenes, strict=True)], expected, name)
    return {name: timed(own, scenes) for name, own in eyes.items()}


def check(found: Sequence[Finding], expected: Sequence[Finding], name: str) -> None:
    """Raise NiwakiError if findings differ."""
    for one, other in zip(found, expected, strict=True):
        if (one.outcome, one.box) != (other.outcome, other.box) or not np.array_equal(one.picture, other.picture):
            raise NiwakiError(f"{name} finds {one.outcome} {one.box}: the reference finds {other.outcome} {other.box}")


def timed(eyes: Sequence[Vision] | Sequence[Reference], scenes: Sequence[Scene]) -> Side:
    """The mean seconds of one frame."""

    def look() -> float:
        begun = time.thread_time()
        for eye, scene in zip(eyes, scenes, strict=True):
            eye.find(scene.frame)
        return (time.thread_time() - begun) / len(scenes)

    return look


def report(times: dict[tuple[str, str, tuple[int, int]], Spread], method: str) -> Report:
    """One table, a row for each form and way, a column for each size."""
    rows = [
        (name, way, *(str(times[name, way, size]) for size in SIZES)) for name, way in {key[:2]: None for key in times}
    ]
    worst = max(times[name, way, GOAL_SIZE].median for name, way, _ in times if name != NUMPY)
    verdict = "met" if worst < GOAL_MS else "MISSED"
    return Report(
        "From a frame to the picture that the network sees",
        method,
        COMMAND,
        (Table("ms a frame", ("form", "way", *(f"{width}×{height}" for height, width in SIZES)), tuple(rows)),),
        (f"A frame of 640×480 takes at most {worst:.2f} ms; goal: under {GOAL_MS:g} ms ({verdict}).",),
        {f"{name}, {way}, {size[1]}x{size[0]}": asdict(value) for (name, way, size), value in times.items()},
    )
