"""A dataset from Python: arrays, a torch `Dataset` or `DataLoader`, or anything with a length and items.

Images are PIL images, or uint8 arrays and tensors, channels first or last. Float tensors in [0, 1], as torchvision's
`ToTensor` gives, are turned back into the bytes that they were. torch itself is not needed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from niwaki.data.dataset import Split
from niwaki.data.limits import BYTES, CLASSES, PIXELS
from niwaki.data.look import are_coloured, proposed_size, size_range
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Raw, Source
from niwaki.errors import DataError, kind_and_line

NEAR = 1e-3  # of a grey level: how far a float may be from a byte
KEYS = (("image", "img", "pixel_values"), ("label", "labels", "fine_label", "class"))  # of items that are dictionaries


@dataclass(frozen=True)
class Items:
    """One split as it was given: images as uint8 (H, W) or (H, W, 3) or PIL images, and their labels."""

    images: Sequence[Any] | np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] | None


def items_of(given: object, part: str) -> Items:
    """The images and labels of a split. Raises DataError, naming the item, for anything that is none."""
    if isinstance(given, tuple | list) and len(given) == 2 and len(_shape(given[0])) >= 3:
        return _pair(given[0], given[1], part)
    given = getattr(given, "dataset", given) if hasattr(given, "batch_size") else given  # a DataLoader
    if not hasattr(given, "__getitem__") and not hasattr(given, "__iter__"):
        raise DataError(
            f"{part} is of type {type(given).__name__}: expected (images, labels), a torch Dataset or a DataLoader"
        )
    images, labels, size = [], [], 0
    for number, item in enumerate(_each(given, part)):
        image, label = _parts(item, f"{part}[{number}]")
        images.append(_image(image, f"{part}[{number}]"))
        labels.append(_label(label, f"{part}[{number}]"))
        size += _bytes(images[-1])
        BYTES.check(size, f"{part}: its images up to number {number}")
    if not images:
        raise DataError(f"{part} is empty")
    _check_fixed(given, images[0], part)
    return Items(images, np.array(labels, dtype=np.int64), _names(given))


def source_of(
    parts: Mapping[str, Items], labels: Sequence[str] | None, preprocessing: Preprocessing | None, origin: str
) -> tuple[Source, Preprocessing]:
    """The dataset of these splits (`train`, perhaps `validation` and `test`), and the preprocessing that it takes.

    Without a preprocessing, colour and size follow from the images. Raises DataError if labels and names do not match.
    """
    train = parts["train"]
    how = preprocessing or _proposed(train.images)
    names = tuple(labels) if labels is not None else train.names or _numbers(train.labels)
    CLASSES.check(len(names), "labels")
    if len(names) < 2 or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
        raise DataError(f"labels = {list(names)}: expected at least two names, all different")
    for part, items in parts.items():
        wrong = np.flatnonzero((items.labels < 0) | (items.labels >= len(names)))
        if wrong.size:
            at = int(wrong[0])
            raise DataError(f"{part}[{at}] has the label {items.labels[at]}: expected 0 to {len(names) - 1}")
    untaught = sorted(set(range(len(names))) - set(train.labels.tolist()))
    if untaught:
        raise DataError(f"train has no image of class {names[untaught[0]]!r} (label {untaught[0]})")

    def decode(how: Preprocessing) -> Raw:
        splits = {part: Split(_arranged(items, how, part), items.labels) for part, items in parts.items()}
        called = {part: [f"{part}[{number}]" for number in range(len(split))] for part, split in splits.items()}
        notes = () if preprocessing is not None else _notes(how, train)
        return Raw(names, splits["train"], splits.get("validation"), splits.get("test"), called, None, notes)

    identity = _identity(parts, names)
    found = Source(
        "python", identity, origin, decode, train_images=len(train.labels), has_validation="validation" in parts,
        has_test="test" in parts,
    )  # fmt: skip
    return found, how


def _pair(images: Any, labels: Any, part: str) -> Items:
    stack = _array(images, part)
    if stack.ndim == 4 and stack.shape[1] in (1, 3) and stack.shape[3] not in (1, 3):
        stack = stack.transpose(0, 2, 3, 1)
    if stack.ndim not in (3, 4) or (stack.ndim == 4 and stack.shape[3] not in (1, 3)) or 0 in stack.shape:
        raise DataError(
            f"{part}: images are {stack.dtype} {stack.shape}: expected (N, H, W) with 1 or 3 channels or none"
        )
    stack = _pixels(stack, part)
    numbers = (
        np.asarray(labels).reshape(-1) if len(_shape(labels)) == 2 and _shape(labels)[1] == 1 else np.asarray(labels)
    )
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise DataError(f"{part}: labels are {numbers.dtype} {numbers.shape}: expected integers (N,), one per image")
    if len(stack) != len(numbers):
        raise DataError(f"{part}: {len(stack)} images, but {len(numbers)} labels")
    return Items(stack[..., 0] if stack.ndim == 4 and stack.shape[3] == 1 else stack, numbers.astype(np.int64), None)


def _each(given: Any, part: str) -> Iterator[Any]:
    """The items in order; a torch Dataset has a length and no end of its own."""
    try:
        if hasattr(given, "__len__") and hasattr(given, "__getitem__"):
            for number in range(len(given)):
                yield given[number]
        else:
            yield from given
    except DataError:
        raise
    except Exception as error:  # whatever a user's dataset raises
        raise DataError(f"{part} cannot be read: {kind_and_line(error)}") from error


def _parts(item: Any, where: str) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        found = [next((item[name] for name in names if name in item), None) for names in KEYS]
        if found[0] is None or found[1] is None:
            raise DataError(f"{where} has the keys {', '.join(map(str, item))}: expected image and label")
        return found[0], found[1]
    if isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1]
    raise DataError(f"{where} is of type {type(item).__name__}: expected (image, label)")


def _image(given: Any, where: str) -> Any:
    if isinstance(given, Image.Image):
        PIXELS.check(given.width * given.height, where)
        given.load()
        return given
    array = _array(given, where)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or 0 in array.shape:
        raise DataError(f"{where} is {array.dtype} {array.shape}: expected an image with 1 or 3 channels")
    return np.ascontiguousarray(_pixels(array, where))


def _pixels(array: np.ndarray, where: str) -> np.ndarray:
    """Bytes; floats are what `ToTensor` made of bytes."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        levels = array.astype(np.float64) * 255
        if np.abs(levels - np.rint(levels)).max() <= NEAR:
            return np.rint(levels).astype(np.uint8)
    span = f"from {array.min():.3g} to {array.max():.3g}" if array.size and array.dtype.kind in "fiu" else ""
    raise DataError(
        f"{where} is {array.dtype} {span}: expected bytes (uint8), or floats x/255 as ToTensor gives; "
        "leave out Normalize: preprocessing = niwaki.Preprocessing(mean=…, std=…) does it on every device"
    )


def _label(given: Any, where: str) -> int:
    value = given.item() if hasattr(given, "item") and not _shape(given) else given
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise DataError(f"{where} has the label {value!r}: expected a whole number")
    return int(value)


def _check_fixed(given: Any, first: Any, part: str) -> None:
    """Raise DataError if the first item is another one when it is read again: augmentation belongs into training."""
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        return
    again = [_image(_parts(given[0], part)[0], part) for _ in range(3)]
    if any(_contents(image) != _contents(first) for image in again):
        raise DataError(
            f"{part}[0] is another image each time it is read: give the dataset without random transforms, and pass "
            "these as transform=…, which training calls on every image"
        )


def _names(given: Any) -> tuple[str, ...] | None:
    """The names of classes, as torchvision's and Hugging Face's datasets have them."""
    features = getattr(given, "features", None)
    if isinstance(features, Mapping):
        said = next((getattr(features[name], "names", None) for name in KEYS[1] if name in features), None)
    else:
        said = getattr(given, "classes", None)
    return tuple(map(str, said)) if isinstance(said, list | tuple) and said else None


def _numbers(labels: np.ndarray) -> tuple[str, ...]:
    most = int(labels.max())
    CLASSES.check(most + 1, "labels")
    return tuple(str(number) for number in range(most + 1))


def _proposed(images: Sequence[Any] | np.ndarray) -> Preprocessing:
    some = [images[number * len(images) // 64] for number in range(min(64, len(images)))]
    sizes = [_size(image) for image in images]
    small = [np.asarray(_as_image(image).convert("RGB").resize((64, 64))) for image in some]
    size = proposed_size(sizes) if len(set(sizes)) > 1 else None
    return Preprocessing(color="rgb" if are_coloured(small) else "grey", size=size)


def _notes(how: Preprocessing, train: Items) -> tuple[str, ...]:
    sizes = [_size(image) for image in train.images]
    resized = f", resized to {how.size[0]}×{how.size[1]}" if how.size is not None else ""
    kind = "in colour" if how.color == "rgb" else "grey"
    return (f"images of {size_range(sizes)}, {kind}{resized} (preprocessing)",) if resized else ()


def _arranged(items: Items, how: Preprocessing, part: str) -> np.ndarray:
    if isinstance(items.images, np.ndarray):
        return how.arrange(items.images)
    decoded = []
    for number, image in enumerate(items.images):
        decoded.append(how.decode(_as_image(image)))
        if decoded[-1].shape != decoded[0].shape:
            raise DataError(
                f"{part}[{number}] is {_size(image)}, but {part}[0] is {_size(items.images[0])} (height, width): set "
                "size in preprocessing"
            )
    return np.stack(decoded)


def _identity(parts: Mapping[str, Items], names: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(names).encode())
    for part, items in parts.items():
        digest.update(part.encode() + np.ascontiguousarray(items.labels).tobytes())
        for image in items.images:
            digest.update(_contents(image))
    return digest.hexdigest()


def _contents(image: Any) -> bytes:
    if isinstance(image, Image.Image):
        return f"{image.mode}{image.size}".encode() + image.tobytes()
    return str(image.shape).encode() + np.ascontiguousarray(image).tobytes()


def _as_image(image: Any) -> Image.Image:
    return image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))


def _size(image: Any) -> tuple[int, int]:
    return (image.height, image.width) if isinstance(image, Image.Image) else (image.shape[0], image.shape[1])


def _bytes(image: Any) -> int:
    height, width = _size(image)
    return height * width * 3


def _array(given: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except Exception as error:
        raise DataError(f"{where}: not an array: {kind_and_line(error)}") from error


def _shape(given: Any) -> tuple[int, ...]:
    return tuple(getattr(given, "shape", ()))
