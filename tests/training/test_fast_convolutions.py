from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from niwaki.models.lenet5 import LeNet5
from niwaki.training.fast_convolutions import fast_narrow_convolutions


def gradients(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor | None]:
    x = x.detach().requires_grad_(x.requires_grad)
    y = model(x)
    y.square().sum().backward()
    return y.detach(), [p.grad for p in model.parameters()], x.grad


@settings(max_examples=80, deadline=None)
@given(
    inputs=st.integers(1, 5), outputs=st.integers(1, 5), kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    padding=st.integers(0, 3), size=st.integers(5, 9), first=st.booleans(), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_values_and_gradients_are_torchs(inputs, outputs, kernel, padding, size, first, seed) -> None:
    torch.manual_seed(seed)
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding)
    other = copy.deepcopy(layer)
    x = torch.randn(3, inputs, size, size + 1, requires_grad=not first)
    with fast_narrow_convolutions(layer):
        ours = gradients(layer, x)
    theirs = gradients(other, x)
    assert torch.allclose(ours[0], theirs[0], atol=1e-5)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-3) for a, b in zip(ours[1], theirs[1], strict=True))
    if not first:
        assert torch.allclose(ours[2], theirs[2], rtol=1e-4, atol=1e-4)


def test_the_detours_are_taken_where_they_fit_and_only_inside() -> None:
    model = LeNet5(widths=(2, 6, 48, 33))
    x = torch.rand(2, 1, 32, 32)
    with fast_narrow_convolutions(model):
        first = model.conv1(x)
        assert type(first.grad_fn).__name__ == "_ByMatrixProductBackward"
        assert type(model.conv2(first).grad_fn).__name__ == "_GradientByConvolutionBackward"
    assert type(model.conv1(x).grad_fn).__name__ == "ConvolutionBackward0"
    assert not any("forward" in vars(module) for module in model.modules())


class Own(nn.Conv2d):
    pass


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 2, 3), nn.Conv2d(2, 2, 3, stride=2), nn.Conv2d(2, 2, 3, dilation=2), nn.Conv2d(2, 2, 3, groups=2),
        nn.Conv2d(2, 2, 3, bias=False), nn.Conv2d(2, 2, 3, padding="same"), nn.Conv2d(2, 2, 3, padding=4),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.Conv2d(2, 2, 3).double(), Own(2, 2, 3),
        nn.Conv2d(1, 16, 3),
    ],
)  # fmt: skip
def test_everything_else_is_left_to_torch(layer: nn.Conv2d) -> None:
    x = torch.rand(1, layer.in_channels, 8, 8, dtype=layer.weight.dtype, requires_grad=layer.out_channels != 16)
    with fast_narrow_convolutions(layer):
        y = layer(x)
    assert type(y.grad_fn).__name__ in ("ConvolutionBackward0", "MkldnnConvolutionBackward0")
    assert torch.equal(y, type(layer).forward(layer, x))


def test_hooks_still_run_and_errors_restore() -> None:
    layer = nn.Conv2d(1, 2, 3)
    seen = []
    layer.register_forward_hook(lambda *_: seen.append(1))
    with fast_narrow_convolutions(layer):
        layer(torch.rand(1, 1, 8, 8))
    with pytest.raises(RuntimeError), fast_narrow_convolutions(layer):
        layer(torch.rand(1, 1, 2, 2))
    assert seen == [1]
    assert "forward" not in vars(layer)
