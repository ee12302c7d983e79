"""The one definition of how an image becomes a network's input: grey or colour, resize, pad, scale."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image, ImageOps
from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from niwaki.data.limits import PIXELS
from niwaki.errors import DataError, explain

LATER = ("shorter", "interpolation", "antialias")
Interpolation = Literal["bilinear", "nearest", "box", "hamming", "bicubic", "lanczos"]
Side = Annotated[int, Field(ge=1, le=4096, strict=True)]
EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


class _OneLine(type(BaseModel)):  # type: ignore[misc]
    """Makes a settings class raise one clear line if it is called with wrong values."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise DataError("niwaki.Preprocessing: ", explain(error, cls, arguments=True)) from error
        except TypeError:
            allowed = ", ".join(cls.model_fields)
            raise DataError(f"niwaki.Preprocessing takes settings by name: {allowed}") from None


def check_depth(image: Image.Image) -> None:
    """Raise DataError if the pixels of an image are of no kind that can become 8 bits."""
    if image.mode not in (*EIGHT_BIT_MODES, *SIXTEEN_BIT_MODES):
        raise DataError(
            f"pixels of mode {image.mode} are not 8 or 16 bits deep: save the image with 8 bits per channel"
        )


class Preprocessing(BaseModel, frozen=True, extra="forbid", metaclass=_OneLine):
    """From an image to a network's input, in the order of the fields. The model file stores it as JSON.

    Up to `pad` everything is uint8 geometry, done once when a dataset is decoded; `mean` and `std` are the scale,
    applied to each batch through `table`.

    >>> Preprocessing(pad=2).input_shape((28, 28))
    (1, 32, 32)
    """

    color: Literal["grey", "rgb"] = Field(
        "grey", description="grey: luma of ITU-R BT.601, (299 R + 587 G + 114 B)/1000"
    )
    size: tuple[Side, Side] | None = Field(
        None, description="height and width after resizing, before padding; none: all images have one size"
    )
    resize: Literal["stretch", "fit", "crop"] = Field(
        "fit", description="fit: the whole image with zero borders; crop: its centre; stretch: both sides to size"
    )
    shorter: Side | None = Field(
        None,
        description="crop only: the shorter side after resizing, before the centre of `size` is cut out (256 for 224)",
    )
    interpolation: Interpolation = Field("bilinear", description="how pixels are resized: Pillow's filter of that name")
    antialias: StrictBool = Field(
        True, description="whether a filter covers all pixels that become one; false: only the nearest ones"
    )
    pad: StrictInt = Field(0, ge=0, le=4096, description="zero pixels to add on each side; 2 for the built-in datasets")
    mean: tuple[StrictFloat, ...] = Field((0.0,), description="subtracted from x/255: one value, or one per channel")
    std: tuple[StrictFloat, ...] = Field((1.0,), description="then divided by: one value, or one per channel; above 0")

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Settings that are newer than the first model files are written only if they are used."""
        written: dict[str, object] = handler(self)
        defaults = {name: type(self).model_fields[name].default for name in LATER}
        return {name: value for name, value in written.items() if name not in LATER or value != defaults[name]}

    @field_validator("mean", "std")
    @classmethod
    def _finite(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(map(math.isfinite, value)):
            raise ValueError("every value must be a finite number")
        return value

    @field_validator("std")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value, default=1.0) <= 0:
            raise ValueError("every value must be above 0, since pixels are divided by it")
        return value

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> Preprocessing:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                allowed = "1" if self.channels == 1 else f"1 or {self.channels}"
                raise ValueError(f"{name} has {len(values)} values, but color {self.color!r} takes {allowed}")
        return self

    @model_validator(mode="after")
    def _resizing_fits_together(self) -> Preprocessing:
        if self.shorter is not None:
            if self.resize != "crop" or self.size is None:
                raise ValueError('shorter applies to resize = "crop" with a size: set both')
            if self.shorter < max(self.size):
                raise ValueError(f"shorter = {self.shorter} is less than size, {list(self.size)}: nothing to cut out")
        if not self.antialias and self.interpolation not in ("bilinear", "bicubic", "nearest"):
            raise ValueError(f"antialias = false applies to nearest, bilinear and bicubic, not to {self.interpolation}")
        return self

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour (red, green, blue)."""
        return 1 if self.color == "grey" else 3

    @property
    def is_plain(self) -> bool:
        """Whether a pixel becomes x/255, and nothing else."""
        return not any(self.mean) and all(one == 1 for one in self.std)

    def input_shape(self, size: tuple[int, int] | None = None) -> tuple[int, int, int]:
        """(channels, height, width) of a network's input. `size` is the raw images' size, used if `self.size` is not
        set.

        Raises DataError if neither is known.
        """
        known = self.size or size
        if known is None:
            raise DataError("preprocessing.size is not set, so the input shape is unknown: set size = [height, width]")
        return self.channels, known[0] + 2 * self.pad, known[1] + 2 * self.pad

    def decode(self, image: Image.Image) -> np.ndarray:
        """One image as uint8 (C, H, W): turned as its EXIF says, transparency on black, resized, padded.

        Grey of 16 bits becomes 8 bits: v/257, rounded. Raises DataError for pixels of other depths.
        """
        flat = self._flatten(image)
        resized = flat if self.size is None else _RESIZE[self.resize](flat, self)
        stack = self._padded(self._channels_first(np.asarray(resized)[None]))
        return stack.reshape(stack.shape[1:])

    def arrange(self, images: np.ndarray) -> np.ndarray:
        """A stack of raw images, uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), as uint8 (N, C, H, W).

        Each image equals what `decode` returns. Raises DataError for another dtype or shape.
        """
        if (
            images.dtype != np.uint8
            or images.ndim not in (3, 4)
            or (images.ndim == 4 and images.shape[3] not in (1, 3))
        ):
            raise DataError(
                f"images are {images.dtype} {images.shape}: expected uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
            )
        if 0 in images.shape:
            raise DataError(f"images have the shape {images.shape}: they are empty")
        if images.ndim == 4 and images.shape[3] == 1:
            images = images[..., 0]
        if self.size is not None and (self.size != images.shape[1:3] or self.shorter not in (None, min(self.size))):
            return np.stack([self.decode(Image.fromarray(image)) for image in images])
        if images.ndim == 4 and self.color == "grey":
            count, height, width = images.shape[:3]
            tall = Image.fromarray(images.reshape(count * height, width, 3))  # pixel by pixel: one call for the stack
            images = np.asarray(tall.convert("L")).reshape(count, height, width)
        return self._padded(self._channels_first(images))

    def table(self) -> np.ndarray:
        """The value of each raw pixel x, float32 (C, 256): (x/255 − mean)/std in float64, rounded once."""
        mean, std = (np.broadcast_to(np.array(values), self.channels)[:, None] for values in (self.mean, self.std))
        values: np.ndarray = (np.arange(256) / 255 - mean) / std
        return values.astype(np.float32)

    def scale(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (N, C, H, W) as the float32 (N, C, H, W) that the network sees.

        Raises DataError for another dtype or number of channels.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != self.channels:
            raise DataError(f"pixels are {pixels.dtype} {pixels.shape}: expected uint8 (N, {self.channels}, H, W)")
        table = self.table()
        return np.stack([table[channel][pixels[:, channel]] for channel in range(self.channels)], axis=1)

    def _flatten(self, image: Image.Image) -> Image.Image:
        check_depth(image)
        if image.mode in SIXTEEN_BIT_MODES:
            image = _eight_bits(image)
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
            upright = Image.alpha_composite(black, upright).convert("RGB")
        return upright.convert("L" if self.color == "grey" else "RGB")

    def _channels_first(self, images: np.ndarray) -> np.ndarray:
        if images.ndim == 4:
            return images.transpose(0, 3, 1, 2)
        return np.repeat(images[:, None], self.channels, axis=1)

    def _padded(self, images: np.ndarray) -> np.ndarray:
        sides = (self.pad, self.pad)
        return np.ascontiguousarray(np.pad(images, ((0, 0), (0, 0), sides, sides)))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits in 8: 65535/255 = 257 levels become one."""
    deep = np.asarray(image).astype(np.uint32)
    shallow = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    shallow.info = {"exif": image.info["exif"]} if "exif" in image.info else {}
    return shallow


def _to(image: Image.Image, height: int, width: int, how: Preprocessing) -> Image.Image:
    """The whole image in another size, by Pillow: `resize`, or without antialiasing `transform`."""
    if image.size == (width, height):
        return image
    method = Image.Resampling[how.interpolation.upper()]
    if how.antialias:
        return image.resize((width, height), method)
    whole = (0, 0, image.width, image.height)
    return image.transform((width, height), Image.Transform.EXTENT, whole, method)


def _stretch(image: Image.Image, how: Preprocessing) -> Image.Image:
    assert how.size is not None  # else there is nothing to resize to
    return _to(image, *how.size, how)


def _fit(image: Image.Image, how: Preprocessing) -> Image.Image:
    assert how.size is not None
    height, width = how.size
    factor = min(height / image.height, width / image.width)
    inner = _to(image, max(1, round(image.height * factor)), max(1, round(image.width * factor)), how)
    whole = Image.new(image.mode, (width, height))
    whole.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return whole


def _crop(image: Image.Image, how: Preprocessing) -> Image.Image:
    assert how.size is not None
    height, width = how.size
    if how.shorter is None:
        factor = max(height / image.height, width / image.width)
        tall, wide = max(height, round(image.height * factor)), max(width, round(image.width * factor))
    else:  # as torchvision's Resize: the longer side is cut off to a whole number
        least = min(image.width, image.height)
        tall, wide = (int(how.shorter * side / least) for side in (image.height, image.width))
    PIXELS.check(tall * wide, f'{image.width}×{image.height}, too narrow to crop (resize = "fit" does)')
    outer = _to(image, tall, wide, how)
    left, top = (outer.width - width) // 2, (outer.height - height) // 2
    if how.shorter is not None:  # as torchvision's CenterCrop: half pixels are rounded to even
        left, top = round((outer.width - width) / 2), round((outer.height - height) / 2)
    return outer.crop((left, top, left + width, top + height))


_RESIZE = {"stretch": _stretch, "fit": _fit, "crop": _crop}
