"""Augmentation of whole batches of raw pixels: mirrored, moved. Moved-in pixels are raw zeros."""

from __future__ import annotations

import torch


def augment(images: torch.Tensor, *, flip: bool, shift: int, generator: torch.Generator) -> torch.Tensor:
    """A batch of uint8 (N, C, H, W) with half of it mirrored and each image moved by up to `shift` pixels.

    The draws come from `generator` (on the CPU) alone.
    """
    count, _, height, width = images.shape
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(-1), images)
    if shift:
        moves = torch.randint(0, 2 * shift + 1, (2, count), generator=generator).to(images.device)
        padded = torch.nn.functional.pad(images, (shift, shift, shift, shift))
        rows = (moves[0][:, None] + torch.arange(height, device=images.device))[:, None, :, None]
        columns = (moves[1][:, None] + torch.arange(width, device=images.device))[:, None, None, :]
        index = torch.arange(count, device=images.device)[:, None, None, None]
        channel = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        images = padded[index, channel, rows, columns]
    return images
