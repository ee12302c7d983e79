"""When a network that looks at whole frames should say nothing: thresholds on its own images and on pictures of none.

The rule is that of `rejection`: the energy that keeps false words under a target, and the margin that gains most.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from niwaki.board.decision import Calibration, Decision
from niwaki.board.rejection import TARGET, Logits, choose, measured, rates, words_for
from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, Setting
from niwaki.randomness import derive_seed
from niwaki.scenes.scene import bare_scene
from niwaki.scenes.seen import NONE
from niwaki.vision.frame import How, shrink

FEWEST = 20  # pictures to choose a threshold on
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".webp", ".tif", ".tiff", ".gif")


def calibrate_frames(logits: Logits, data: Dataset, none: np.ndarray, count: int, said: str) -> Decision:
    """The `decision` of a bundle: at most `count` images of the network's own, and what shows `none` of the classes.

    Own images are those of the validation split, which the network was not trained on, or of the training split if it
    is smaller than FEWEST. `none` is uint8 (n, channels, height, width), padded as they are; `said` tells what it is.
    """
    own, name = own_images(data, count)
    values = np.concatenate([logits(np.asarray(own.images)), logits(none)])
    labels = np.concatenate([own.labels, np.full(len(none), NONE)])
    found, both = np.ones((2, len(labels)), bool), np.stack([values, values])
    rule = choose(labels, found, both, TARGET)
    words = words_for(values, rule)
    figures = measured(rates(labels, words, values.argmax(1)))
    source = f"{len(own)} {name} images and {len(none)} {said}"
    calibration = Calibration(
        scenes=len(own), empty=len(none), seed=0, target=TARGET, source=source, **figures.model_dump()
    )
    return Decision.of(rule, calibration)


def own_images(data: Dataset, count: int) -> tuple[Split, str]:
    """Images of the network's own to choose on, and the name of their split."""
    name = "validation" if len(data.validation) >= FEWEST else "training"
    split = data.validation if name == "validation" else data.train
    places = np.sort(np.random.default_rng(derive_seed(0, "scenes", 0)).permutation(len(split))[:count])
    return Split(np.asarray(split.images[places]), split.labels[places]), name


def drawn_none(data: Dataset, how: How, count: int, pad: int) -> np.ndarray:
    """Drawn scenes without a thing of the classes: tables, cloth, hands, cups … in the colours of the network's images.

    uint8 (count, channels, height, width), padded.
    """
    channels = data.train.images.shape[1]
    rng = np.random.default_rng(derive_seed(0, "scenes", 1))
    found = []
    for number in range(count):
        grey = bare_scene(number, family="tuning").frame.astype(np.float64)
        frame = grey[..., None] if channels == 1 else _tinted(grey, data, rng)
        found.append(shrink(frame.round().clip(0, 255).astype(np.uint8), how))
    return _padded(np.stack(found), pad)


def _tinted(grey: np.ndarray, data: Dataset, rng: np.random.Generator) -> np.ndarray:
    """A scene from one colour to another, both of pixels of the images: (height, width, 3)."""
    image = np.asarray(data.train.images[int(rng.integers(len(data.train)))])
    pixels = image.reshape(3, -1)
    dark, bright = pixels[:, rng.integers(pixels.shape[1], size=2)].T.astype(np.float64)
    if dark.sum() > bright.sum():
        dark, bright = bright, dark
    share = grey[..., None] / 255
    tinted: np.ndarray = 0.5 * (dark + share * (bright - dark)) + 0.5 * grey[..., None]
    return tinted


def users_none(folder: Path, told: Preprocessing, how: How, count: int) -> np.ndarray:
    """The first pictures of a folder and those below it, as the board would see them: uint8 (n, channels, height,
    width).

    Raises DataError if there are too few, or one cannot be read.
    """
    given = Setting("others", f'"{folder}"')
    if not folder.is_dir():
        raise DataError(given, ": is no folder: give one with pictures that show none of the classes")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(files) < FEWEST:
        raise DataError(given, f": {len(files)} pictures: {FEWEST} or more that show none of the classes are needed")
    flat = Preprocessing(color=told.color)
    found = []
    for path in files[:count]:
        try:
            with Image.open(path) as picture:
                found.append(shrink(flat.decode(picture).transpose(1, 2, 0), how))
        except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(given, f": {path.name}: cannot be read: {error}") from error
    return _padded(np.stack(found), told.pad)


def _padded(pictures: np.ndarray, pad: int) -> np.ndarray:
    return np.pad(pictures, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
