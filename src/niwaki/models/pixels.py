"""From raw pixels to a network's input, on torch tensors: the scale of the preprocessing, nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def pixel_scale(table: np.ndarray, device: str | torch.device = "cpu") -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from uint8 (N, C, H, W) on `device` to float32 that `Preprocessing.table` defines, bit for bit.

    `table` is float32 (C, 256): the value of each raw pixel in each channel.
    """
    plain = (np.arange(256) / 255).astype(np.float32)
    if np.array_equal(table, np.broadcast_to(plain, table.shape)):
        return lambda pixels: pixels.to(torch.float32).div_(255)  # the same values, several times faster
    values = torch.from_numpy(np.ascontiguousarray(table, dtype=np.float32)).to(device)
    channels, offset = values.shape[0], torch.arange(values.shape[0], device=device)[None, :, None, None] * 256

    def look_up(pixels: torch.Tensor) -> torch.Tensor:
        if channels != pixels.shape[1]:
            raise ValueError(f"{pixels.shape[1]} channels, but the preprocessing has {channels}")
        return values.view(-1)[pixels.to(torch.int64) + offset]

    return look_up
