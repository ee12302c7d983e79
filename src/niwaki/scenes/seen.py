"""The results of vision on many scenes, with and without learning the empty background first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from niwaki.scenes.backgrounds import Family
from niwaki.scenes.fields import Size
from niwaki.scenes.scene import QVGA, Scene, bare_scene, garment_scene
from niwaki.vision.finding import Finding

NONE = -1  # the label of a scene without a garment
LEARNED = 4  # frames of the empty background


class Eye(Protocol):
    """Vision: `library.Vision` (C) or `reference.Reference` (NumPy)."""

    def learn(self, frame: np.ndarray) -> int:
        """Learn one frame of the empty scene."""

    def forget(self) -> None:
        """Forget the scene."""

    def find(self, frame: np.ndarray) -> Finding:
        """The garment in the frame, or why there is none."""


@dataclass(frozen=True, eq=False)
class Seen:
    """n scenes, each seen once without and once with its empty background learned: arrays have the shape (2, n, …)."""

    scenes: tuple[Scene, ...]  # without their frames' pixels
    labels: np.ndarray  # int64 (n,): of the garment, NONE if there is none
    findings: tuple[tuple[Finding, ...], tuple[Finding, ...]]
    pictures: np.ndarray  # uint8 (2, n, height, width): zeros where no garment was found
    found: np.ndarray  # bool (2, n)

    @property
    def garment(self) -> np.ndarray:
        """Which scenes have a garment in them, bool (n,)."""
        garment: np.ndarray = self.labels != NONE
        return garment

    def and_then(self, other: Seen) -> Seen:
        """These scenes followed by others."""
        return Seen(
            scenes=self.scenes + other.scenes,
            labels=np.concatenate([self.labels, other.labels]),
            findings=(self.findings[0] + other.findings[0], self.findings[1] + other.findings[1]),
            pictures=np.concatenate([self.pictures, other.pictures], axis=1),
            found=np.concatenate([self.found, other.found], axis=1),
        )


def garment_scenes(
    images: np.ndarray, labels: np.ndarray, *, family: Family, seed: int = 0, size: Size = QVGA
) -> Iterator[Scene]:
    """One scene for each garment, uint8 (n, H, W), bright on black, without padding."""
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        yield garment_scene(pixels, int(label), number, family=family, seed=seed, size=size)


def bare_scenes(count: int, *, family: Family, seed: int = 0, size: Size = QVGA) -> Iterator[Scene]:
    """Scenes without a garment: empty or cluttered."""
    for number in range(count):
        yield bare_scene(number, family=family, seed=seed, size=size)


def see(scenes: Iterable[Scene], vision: Eye) -> Seen:
    """Show scenes to vision, each one both ways. Anything that vision had learned before is forgotten."""
    kept: list[Scene] = []
    findings: tuple[list[Finding], list[Finding]] = ([], [])
    for scene in scenes:
        vision.forget()
        findings[0].append(vision.find(scene.frame))
        for frame in scene.learned(LEARNED):
            vision.learn(frame)
        findings[1].append(vision.find(scene.frame))
        kept.append(scene.without_pixels())
    vision.forget()
    return Seen(
        scenes=tuple(kept),
        labels=np.array([NONE if scene.label is None else scene.label for scene in kept], dtype=np.int64),
        findings=(tuple(findings[0]), tuple(findings[1])),
        pictures=np.array([[finding.picture for finding in way] for way in findings], dtype=np.uint8),
        found=np.array([[finding.found for finding in way] for way in findings], dtype=bool),
    )
