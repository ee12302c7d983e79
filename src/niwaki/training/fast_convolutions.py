"""Convolutions over few channels, trained faster on the CPU: the same mathematics with other kernels.

oneDNN's kernels are made for tens of channels. The gradient with respect to the input takes as long for few input
channels as for many, and a first layer with few output channels is all overhead. Strongly pruned networks consist of
such layers; two alternatives save a fifth of a training step there:

- the gradient with respect to the input is itself a convolution (of the padded output gradient with the
  mirrored, transposed kernel), and oneDNN's forward kernel does that one faster;
- a first layer, which needs no such gradient, is one matrix product over the unfolded image.

Values differ from torch's own only through the order of summation.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

# Where the alternatives pay: measured with 5×5 kernels at batch 32 (python -m benchmarks convolutions).
FEW_INPUTS = 4
FEW_OUTPUTS = 3
SMALL_PATCH = 64


@contextlib.contextmanager
def fast_narrow_convolutions(model: nn.Module) -> Iterator[None]:
    """Inside, use the faster kernels for the convolutions of `model` that suit them; afterwards restore them."""
    fitting = [module for module in model.modules() if isinstance(module, nn.Conv2d) and _fits(module)]
    for module in fitting:
        module.forward = functools.partial(_forward, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in fitting:
            del module.forward


def _fits(module: nn.Conv2d) -> bool:
    """Whether it is a plain convolution on the CPU; the forward of a subclass may differ."""
    return (
        type(module) is nn.Conv2d
        and "forward" not in vars(module)
        and module.in_channels <= FEW_INPUTS
        and (module.stride, module.dilation, module.groups) == ((1, 1), (1, 1), 1)
        and not isinstance(module.padding, str)
        and all(pad < side for pad, side in zip(module.padding, module.kernel_size, strict=True))
        and module.padding_mode == "zeros"
        and module.bias is not None
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
    )


def _forward(module: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    weight, bias = module.weight, module.bias
    if x.requires_grad:
        return _GradientByConvolution.apply(x, weight, bias, module.padding)  # type: ignore[no-any-return, no-untyped-call]
    if len(weight) <= FEW_OUTPUTS and weight[0].numel() <= SMALL_PATCH and module.padding == (0, 0):
        return _ByMatrixProduct.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return nn.Conv2d.forward(module, x)


class _GradientByConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: tuple[int, int]
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return torch.conv2d(x, weight, bias, 1, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        g = gradients[0].contiguous()
        rows, columns = weight.shape[2] - 1 - ctx.padding[0], weight.shape[3] - 1 - ctx.padding[1]
        dx = torch.conv2d(g, weight.flip(2, 3).transpose(0, 1), None, 1, (rows, columns))
        _, dweight, dbias = torch.ops.aten.convolution_backward(
            g, x, weight, [weight.shape[0]], [1, 1], ctx.padding, [1, 1], False, [0, 0], 1, [False, True, True]
        )
        return dx, dweight, dbias, None


class _ByMatrixProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        outputs, _, height, width = weight.shape
        patches = x.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, rows, columns, height, width)
        batch, _, rows, columns = patches.shape[:4]
        patches = patches.permute(1, 4, 5, 0, 2, 3).reshape(weight[0].numel(), -1)
        ctx.save_for_backward(patches, weight)
        y = torch.addmm(bias[:, None], weight.reshape(outputs, -1), patches)
        return y.view(outputs, batch, rows, columns).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        patches, weight = ctx.saved_tensors
        g = gradients[0].transpose(0, 1).reshape(len(weight), -1)
        return None, (g @ patches.t()).view_as(weight), g.sum(1)
