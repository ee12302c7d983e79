"""What a board must compute, to the bit: images with their scores, and a short film with the findings of vision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from niwaki.board.frames import HEIGHT, WIDTH, film_of_frames
from niwaki.board.look import SEARCHING, Look
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.data.dataset import Dataset
from niwaki.deploy.images import random_images
from niwaki.vision.finding import OUTCOMES, Finding
from niwaki.vision.reference import Reference

IMAGES, MOST_BYTES = 100, 1 << 20  # images, fewer if they are large
LEARNED = 2  # frames of the film that show the empty scene
_ENLARGED = 80  # pixels of a garment in it


@dataclass(frozen=True, eq=False)
class SelfTest:
    """Inputs and exact results: from the network's integer reference, and from the vision's."""

    images: np.ndarray
    """uint8 (n, height, width), or (n, 3, height, width) in colour: raw pixels, padded."""
    scores: np.ndarray
    """int8 (n, classes)."""
    film: np.ndarray
    """uint8 (frames, HEIGHT, WIDTH); in colour (frames, bytes), luminance and then colour for each four pixels."""
    findings: tuple[Finding, ...]
    """Findings of every frame after those that are learned."""
    learned: int = LEARNED
    """How many frames show the empty scene."""

    @property
    def numbers(self) -> list[dict[str, int]]:
        """The findings in the order of the C structure."""
        return [
            {
                "outcome": OUTCOMES.index(found.outcome),
                **dict(zip(("x", "y", "width", "height"), map(int, found.box), strict=True)),
                "polarity": int(found.polarity),
                "contrast": int(found.contrast),
                "used_scene": int(found.used_scene),
            }
            for found in self.findings
        ]

    @property
    def pictures(self) -> np.ndarray:
        """uint8 (findings, inner height, inner width), in colour (findings, 3, inner height, inner width)."""
        return np.stack([found.picture for found in self.findings])

    def files(self) -> Mapping[str, bytes]:
        """The files of `selftest/`."""
        said = {"format": 1, "width": WIDTH, "height": HEIGHT, "learn": self.learned, "findings": self.numbers}
        return {
            "selftest/images.bin": self.images.tobytes(),
            "selftest/scores.bin": self.scores.tobytes(),
            "selftest/frames.y4m": _y4m(self.film),
            "selftest/pictures.bin": self.pictures.tobytes(),
            "selftest/findings.json": json.dumps(said, indent=1).encode() + b"\n",
        }


def make_selftest(graph: Graph, data: Dataset | None, pad: int, look: Look = SEARCHING) -> SelfTest:
    """Images of the test split, drawn with a fixed seed (made-up ones if there are no data), and a film of them."""
    shape = graph.tensors[graph.input].shape
    count = max(1, min(IMAGES, MOST_BYTES // int(np.prod(shape))))
    images = random_images(shape, count) if data is None else _drawn(data, count)
    scores = reference.run(graph, reference.quantize_pixels(graph, images)).reshape(len(images), -1)
    height, width = shape[1] - 2 * pad, shape[2] - 2 * pad
    inner = images[:, :, pad : pad + height, pad : pad + width]
    if look.how is not None:
        film, findings = film_of_frames(inner, look.how)
        return SelfTest(images if shape[0] == 3 else images[:, 0], scores, film, findings, 0)
    film = draw_film(inner[:, 0])
    eyes = Reference(WIDTH, HEIGHT, inner=(height, width))
    for frame in film[:LEARNED]:
        eyes.learn(frame)
    return SelfTest(images[:, 0], scores, film, tuple(eyes.find(frame) for frame in film[LEARNED:]))


def _drawn(data: Dataset, count: int) -> np.ndarray:
    places = np.sort(np.random.default_rng(0).permutation(len(data.test))[:count])
    return np.asarray(data.test.images[places])


def draw_film(garments: np.ndarray) -> np.ndarray:
    """An empty table, lit from one side; then garments on it: bright, dark, none, too close. uint8 (6, 120, 160)."""
    rng = np.random.default_rng(0)
    table = 100 + np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) // 8
    frames = [table, table, *(_laid(table, garments[index], sign) for index, sign in ((0, 1), (1, -1))), table]
    near = table.copy()
    near[:, : WIDTH - 8] = 230
    noise = rng.integers(-2, 3, (len(frames) + 1, HEIGHT, WIDTH))
    film: np.ndarray = np.clip(np.stack([*frames, near]) + noise, 0, 255).astype(np.uint8)
    return film


def _laid(table: np.ndarray, garment: np.ndarray, sign: int) -> np.ndarray:
    """The scene with a garment in its middle, brighter or darker by up to 90 grey levels where the image is bright."""
    side = _ENLARGED
    rows, columns = (np.arange(side) * length // side for length in garment.shape)
    large = garment[np.ix_(rows, columns)].astype(np.int64)
    scene = table.copy()
    top, left = (HEIGHT - side) // 2, (WIDTH - side) // 2
    scene[top : top + side, left : left + side] += sign * np.where(large > 20, 40 + large * 50 // 255, 0)
    return scene


def _y4m(film: np.ndarray) -> bytes:
    colour = "mono" if film.ndim == 3 else "420jpeg"
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C{colour}\n".encode()
    return head + b"".join(b"FRAME\n" + frame.tobytes() for frame in film)
