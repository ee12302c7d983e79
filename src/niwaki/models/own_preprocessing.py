"""The preprocessing that a network of timm states itself, in the configuration that came with its weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError


def stated_preprocessing(model: nn.Module, channels: int, size: tuple[int, int] | None = None) -> Preprocessing | None:
    """From `pretrained_cfg`: input size, share of the centre, interpolation, mean and std; None if there is none.

    `size` is another height and width, if the network is to take other images than those that it was trained on.
    """
    said = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    if not isinstance(said, Mapping) or "input_size" not in said:
        return None
    with contextlib.suppress(DataError, TypeError, ValueError):
        height, width = size or tuple(said["input_size"])[-2:]
        share = float(said.get("crop_pct") or 1)
        settings: dict[str, Any] = {
            "color": "rgb" if channels == 3 else "grey", "size": (height, width), "resize": "crop",
            "interpolation": str(said.get("interpolation") or "bilinear"),
        }  # fmt: skip
        shorter = math.floor(max(height, width) / share)
        settings |= {"shorter": shorter} if shorter > max(height, width) else {}
        if channels == 3:
            settings |= {name: tuple(map(float, said[name])) for name in ("mean", "std") if said.get(name)}
        return Preprocessing(**settings)
    return None


def completed(model: nn.Module, given: Mapping[str, Any] | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Settings as they were given, those that are missing as the network states them; and the names of the latter.

    A network that states nothing still tells colour from grey. Without given settings, that is not enough: {}.
    """
    given, channels = dict(given or {}), _channels(model)
    color = given.get("color", "rgb" if channels == 3 else "grey")
    size = None
    match given.get("size"):
        case [int(height), int(width)]:  # anything else is none, or refused when the settings are read
            size = (height, width)
    stated = stated_preprocessing(model, 3 if color == "rgb" else 1, size)
    if stated is None:
        return ({"color": color, **given} if given else {}), ()
    own = {name: value for name, value in stated.model_dump().items() if name not in (*given, "pad")}
    if given.get("resize", "crop") != "crop":
        own.pop("shorter", None)
    return own | given, tuple(own)


def _channels(model: nn.Module) -> int:
    """Of the images: as the first convolution takes them, since the first parameter may be a token or a position."""
    first = next((layer.in_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)), 0)
    said = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    if first not in (1, 3) and isinstance(said, Mapping) and "input_size" in said:
        return int(next(iter(said["input_size"])))
    return first
