"""One forward pass of a copy of a model, on one blank image: everything counted from shapes is observed here."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from niwaki.errors import ModelError, first_line
from niwaki.models.examine import check_module
from niwaki.models.generators import seeded

QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


@contextlib.contextmanager
def rehearsal(model: nn.Module, input_shape: tuple[int, int, int]) -> Iterator[tuple[nn.Module, Tensor]]:
    """Yield a copy of `model` in eval mode and a blank image (1, C, H, W) on the model's device, to be run inside.

    The model is left unchanged, whatever its forward does: weights, buffers, gradients, modes, attributes. So are the
    random generators. Inside the block, attention runs as plain matrix products, because its fused kernels are single
    operations whose MACs and memory cannot be seen.

    Raises ModelError if the arguments are not a model and a shape, if the model cannot be copied or fails on that
    input, or if it has modules of torch's own quantization, which hide their weights and MACs.
    """
    check_module(model)
    if not isinstance(input_shape, tuple | list):
        raise ModelError(f"the input shape is {input_shape!r}: expected (channels, height, width), as (1, 28, 28)")
    _refuse_quantized(model)
    try:
        with seeded(0), _plain_attention(), torch.no_grad():
            yield copy.deepcopy(model).eval(), _blank_image(model, input_shape)
    except Exception as error:  # the forward is the user's code and may fail in any way
        raise ModelError(
            f"{type(model).__name__}: cannot run on one image of shape {tuple(input_shape)}: {first_line(error)}; "
            "check the input shape (channels, height, width)"
        ) from error


def _refuse_quantized(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if type(module).__module__.startswith(QUANTIZED):
            raise ModelError(
                f"{name or type(model).__name__}: a module of torch's quantization ({type(module).__name__}) hides its "
                "weights and MACs: give the float model, or the int8 ONNX"
            )


def _blank_image(model: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    weights = chain(model.parameters(), model.buffers())
    first = next((weight for weight in weights if weight.is_floating_point()), torch.empty(0))
    return torch.zeros((1, *input_shape), dtype=first.dtype, device=first.device)


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
