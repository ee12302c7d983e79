"""Where numbers lie in memory while a network trains: it changes the time that training takes."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import torch
from torch import nn

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
"""PyTorch's memory formats, by their names in `TrainSettings.memory_format`."""

# mallopt(3), of the GNU C library. Its names are macros; these are their values.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT, _AT_ONCE, _LARGEST = 1 << 30, 64 << 20, 32 << 20  # bytes


@contextlib.contextmanager
def stored_as(memory_format: str, model: nn.Module) -> Iterator[None]:
    """Inside, the weights of `model` with four dimensions lie in memory in this format; afterwards as they did.

    Shapes and values stay, so what sums in another order is all that differs in the result.
    """
    usual = memory_format == "contiguous"
    weights = [] if usual else [parameter for parameter in model.parameters() if parameter.ndim == 4]
    try:
        _store(weights, memory_format)
        yield
    finally:
        _store(weights, "contiguous")


def laid_out(images: torch.Tensor, memory_format: str) -> torch.Tensor:
    """The same images (N, C, H, W) in this format."""
    return images if memory_format == "contiguous" else images.to(memory_format=FORMATS[memory_format])


def in_format_of(weight: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """`values` in the format of `weight`, from which they were computed: torch forgets it if there is one channel."""
    if weight.ndim != 4:
        return values
    _, channels, height, width = weight.shape
    last = weight.stride() == (channels * height * width, 1, channels * width, channels)
    return values.to(memory_format=torch.channels_last) if last else values


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to 1 GB, for what it allocates next.

    Each step of training frees tensors of megabytes and allocates the same again. glibc gives such blocks back to the
    system, which then clears every page anew: a tenth to a fifth of the time of a step. Does nothing elsewhere.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows takes no None
        return
    for option, size in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _AT_ONCE)):
        mallopt(option, size)


def _store(weights: list[nn.Parameter], memory_format: str) -> None:
    for weight in weights:
        weight.data = weight.data.clone(
            memory_format=FORMATS[memory_format]
        )  # `contiguous` keeps strides of one channel
