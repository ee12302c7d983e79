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
