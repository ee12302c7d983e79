"""An operation with absent channels gives the same result as on the present channels alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from niwaki.training.absent import absent

GONE = [1, 2, 5]  # of eight channels
LEFT = [0, 3, 4, 6, 7]
X = torch.rand(2, 8, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
W = torch.rand(3, 8, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

# What is done with the map, and with the map that has those channels only (the same where not given).
SAME = {
    "relu": F.relu, "sigmoid": torch.sigmoid, "hardsigmoid": F.hardsigmoid, "hardswish": F.hardswish, "elu": F.elu,
    "relu6": F.relu6, "softplus": F.softplus, "max pool": lambda x: F.max_pool2d(x, 2), "gelu": F.gelu,
    "average pool": lambda x: F.avg_pool2d(x, 2), "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, 2),
    "mean of channels": lambda x: x.mean(1), "mean of places": lambda x: x.mean((2, 3)), "mean": lambda x: x.mean(),
    "sum": lambda x: x.sum(1, keepdim=True), "sum of all": lambda x: x.sum(), "amax": lambda x: x.amax(1),
    "amin": lambda x: x.amin((2, 3)), "max": lambda x: x.max(1)[0], "min": lambda x: x.min(1, keepdim=True)[0],
    "maximum": lambda x: torch.max(x, -x), "softmax": lambda x: x.softmax(1), "log softmax": lambda x: x.log_softmax(1),
    "var": lambda x: x.var(1), "std": lambda x: x.std(1, correction=0),
    "norm": lambda x: torch.linalg.vector_norm(x, 2, 1),
    "normalize": lambda x: F.normalize(x, dim=1), "layer norm": lambda x: F.layer_norm(x.movedim(1, -1), (x.shape[1],)),
    "gram": lambda x: x.flatten(2).transpose(1, 2) @ x.flatten(2), "concatenated": lambda x: torch.cat([x, 2 * x], 1),
    "attention": lambda x: F.scaled_dot_product_attention(*3 * [x.flatten(2).transpose(1, 2)[:, None].contiguous()]),
    "instance norm": F.instance_norm,
}  # fmt: skip
WITH_WEIGHTS = {
    "convolution": lambda x, at: F.conv2d(x, W[:, at], padding=1),
    "depthwise": lambda x, at: F.conv2d(x, W[0][at][:, None], padding=1, groups=len(at)),
    "transposed": lambda x, at: F.conv_transpose2d(x, W.transpose(0, 1)[at]),
    "linear": lambda x, at: F.linear(x.mean((2, 3)), W[:, at, 0, 0], torch.ones(3, dtype=torch.float64)),
    "product": lambda x, at: x.mean((2, 3)) @ W[:, at, 0, 0].T,
    "scaled": lambda x, at: torch.addmm(W[0, :2, :3, 0], x.mean((2, 3)), W[:, at, 0, 0].T, beta=2.0),
    "norm with weights": lambda x, at: F.layer_norm(x.movedim(1, -1), (len(at),), W[0][at][:, 0, 0], W[1][at][:, 0, 0]),
    "batch norm": lambda x, at: F.batch_norm(x, W[0][at][:, 0, 0], W[1][at][:, 0, 0], W[2][at][:, 0, 0]),
}


def compared(whole: Callable[[torch.Tensor], torch.Tensor], part: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with absent():
        lacking = whole(X.index_fill(1, torch.tensor(GONE), math.nan))
    expected = part(X[:, LEFT])
    found = lacking[~lacking.isnan()]
    assert found.shape == expected.flatten().shape
    assert found.allclose(expected.flatten(), atol=1e-12)


@pytest.mark.parametrize("name", SAME)
def test_operations(name: str) -> None:
    compared(SAME[name], SAME[name])


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_operations_with_weights(name: str) -> None:
    compared(lambda x: WITH_WEIGHTS[name](x, list(range(8))), lambda x: WITH_WEIGHTS[name](x, LEFT))


def test_group_norm_has_the_same_gone_from_each_group() -> None:
    lost, left = torch.tensor([1, 5]), [0, 2, 3, 4, 6, 7]
    weights = torch.arange(8.0, dtype=torch.float64), torch.ones(8, dtype=torch.float64)
    with absent():
        found = F.group_norm(X.index_fill(1, lost, math.nan), 2, *weights)
    expected = F.group_norm(X[:, left], 2, weights[0][left], weights[1][left])
    assert found[:, left].allclose(expected, atol=1e-12)
    assert found[:, lost].isnan().all()


def test_padding_alone_is_something() -> None:
    """An output that sees nothing but padding is the bias, not absent."""
    with absent():
        found = F.conv2d(X, W[:1], torch.ones(1, dtype=torch.float64), padding=4)
    assert float(found[0, 0, 0, 0]) == 1.0


def test_without_absence_nothing_changes() -> None:
    with absent():
        found = F.conv2d(X, W).softmax(1)
    assert torch.equal(found, F.conv2d(X, W).softmax(1))
