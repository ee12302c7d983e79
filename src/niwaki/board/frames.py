"""A film of whole frames: pictures shown to a camera that has luminance for each pixel and colour for each four."""

from __future__ import annotations

import numpy as np

from niwaki.vision.finding import OUTCOMES, Finding
from niwaki.vision.frame import How, box_of, shrink, to_grey, to_rgb

WIDTH, HEIGHT, FRAMES = 160, 120, 4


def film_of_frames(pictures: np.ndarray, how: How) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Frames with a picture in the middle of each, and what the network gets of them.

    `pictures` are uint8 (n, channels, height, width). Frames are uint8 (FRAMES, HEIGHT, WIDTH), or of colours
    (FRAMES, bytes): the planes of YCbCr 4:2:0 in limited range.
    """
    films, findings = [], []
    for number in range(FRAMES):
        samples = _samples(_shown(pictures[number % len(pictures)]))
        if len(samples) == 1:
            films.append(samples[0])
            frame = to_grey(samples[0])
        else:
            films.append(np.concatenate([plane.ravel() for plane in samples]))
            frame = to_rgb(samples[0], *(plane.repeat(2, 0).repeat(2, 1) for plane in samples[1:]))
        box = box_of(HEIGHT, WIDTH, how)
        findings.append(Finding(OUTCOMES[0], box, 0, 0, False, _plain(shrink(frame, how))))
    return np.stack(films), tuple(findings)


def _plain(picture: np.ndarray) -> np.ndarray:
    """Grey pictures have no channels."""
    return picture[0] if len(picture) == 1 else picture


def _shown(picture: np.ndarray) -> np.ndarray:
    """The picture, as high as the frame, on a table lit from one side: uint8 (HEIGHT, WIDTH, channels)."""
    table = 100 + np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) // 8
    frame = np.repeat(table[..., None], len(picture), axis=2)
    side = min(HEIGHT, WIDTH)
    rows, columns = (np.arange(side) * length // side for length in picture.shape[1:])
    left = (WIDTH - side) // 2
    frame[:, left : left + side] = picture[:, rows][:, :, columns].transpose(1, 2, 0)
    return frame


def _samples(frame: np.ndarray) -> tuple[np.ndarray, ...]:
    """Luminance, and the two of colour for each four pixels, in limited range (Rec. ITU-R BT.601)."""
    values = frame.astype(np.float64)
    if frame.shape[2] == 1:
        return (_byte(16 + values[..., 0] * 219 / 255),)
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    colour = [128 + (one - luma) * 112 / (255 * (1 - weight)) for one, weight in ((blue, 0.114), (red, 0.299))]
    halves = [plane.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3)) for plane in colour]
    return _byte(16 + luma * 219 / 255), *(_byte(half) for half in halves)


def _byte(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)
