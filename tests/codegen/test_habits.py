"""Small torch networks, with every operator and habit: no node stays float, and their C has the reference's bits."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bundled import need_tool
from random_graphs import compile_together, run_c
from whole_way import Way, seeded, whole_way

RGB = (3, 1, 1)


ACTIVATIONS: tuple[nn.Module, ...] = (
    nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.GELU("tanh"), nn.ELU(), nn.SELU(), nn.LeakyReLU(0.1), nn.Tanh(),
    nn.Sigmoid(), nn.Softplus(), nn.Hardsigmoid(), nn.CELU(), nn.Softsign(), nn.LogSigmoid(), nn.Tanhshrink(),
    nn.Threshold(0.1, 0.0), nn.PReLU(),
)  # fmt: skip


class Activated(nn.Module):
    """Every activation behind a convolution of its own, all joined: exporting one network takes a second or more."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 4, 3, stride=2) for _ in ACTIVATIONS)
        self.activations = nn.ModuleList(ACTIVATIONS)
        self.last = nn.Linear(4 * len(ACTIVATIONS), 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = zip(self.activations, self.layers, strict=True)
        joined = torch.cat([activation(layer(x) * 4) for activation, layer in pairs], 1)
        return self.last(joined.mean((2, 3)))


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, gate: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.first, self.gate, self.activation = nn.Conv2d(3, 8, 3), gate, activation
        self.squeeze, self.excite, self.last = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.first(x))
        gate = self.gate(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.last((x * gate).mean((2, 3)))


class Scaled(nn.Module):
    """Normalizes its own input, scales a branch per channel, and normalizes where no layer absorbs it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.slopes, self.last = nn.PReLU(8), nn.Linear(8, 10)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_var.uniform_(0.5, 2)
        self.scale = nn.Parameter(torch.linspace(-0.5, 1, 8).view(8, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - torch.tensor([0.485, 0.456, 0.406]).view(RGB)) / torch.tensor([0.229, 0.224, 0.225]).view(RGB)
        x = self.slopes(self.first(x))
        branch = F.relu(self.grouped(x))
        x = x + self.scale * branch
        return self.last((torch.maximum(x, branch) - self.norm(x)).mean((2, 3)))


class Shuffled(nn.Module):
    """ShuffleNet's block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.pointwise, self.last = nn.Conv2d(4, 4, 1), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = F.relu(self.first(x)).chunk(2, 1)
        x = torch.cat([left, F.relu(self.pointwise(self.depthwise(right)))], 1)
        count, channels, height, width = x.shape
        x = x.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(count, channels, height, width)
        return self.last(F.max_pool2d(x, 2).mean((2, 3)))


class Next(nn.Module):
    """ConvNeXt's block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.depthwise = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)
        self.scale, self.end, self.last = nn.Parameter(torch.rand(8)), nn.LayerNorm(8), nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        x = x + (self.scale * self.down(F.gelu(self.up(y)))).permute(0, 3, 1, 2)
        return self.last(self.end(x.mean((2, 3))))


class Mixer(nn.Module):
    """MLP-Mixer's block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.end = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), nn.LayerNorm(8)
        self.tokens, self.channels = (
            nn.Sequential(nn.Linear(size, 20), nn.GELU(), nn.Linear(20, size)) for size in (16, 8)
        )
        self.last = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return self.last((x + self.channels(self.end(x))).mean(1))


class Attention(nn.Module):
    """A vision transformer of one block; `fused`: torch's own attention."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.first, self.joint = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 48)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 17, 16) / 3)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(3))
        self.out, self.last = nn.Linear(16, 16), nn.Linear(16, 10)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        count, length, width = x.shape
        joint = self.joint(self.norms[0](x)).reshape(count, length, 3, 2, width // 2)
        query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.transpose(-2, -1) * (width // 2) ** -0.5).softmax(-1) @ value
        x = x + self.out(mixed.transpose(1, 2).reshape(count, length, width))
        x = x + self.down(F.gelu(self.up(self.norms[1](x))))
        return self.last(self.norms[2](x)[:, 0])


class Odd(nn.Module):
    """A mirrored border, group and instance norm, pixels to channels, both ways to resize, a flip, one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.groups, self.each = nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True)
        self.signal, self.last = nn.Conv1d(8, 8, 3, stride=2, padding=1), nn.Linear(8 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.silu(self.groups(self.first(x)))
        x = F.interpolate(self.each(F.pixel_unshuffle(x[:, :2], 2)), scale_factor=(2, 1)).flip(3)
        x = F.interpolate(x, scale_factor=(1, 2), mode="bilinear")
        return self.last(F.avg_pool1d(F.max_pool1d(self.signal(x.flatten(2)), 4), 8).flatten(1))


class Upward(nn.Module):
    """Transposed convolutions, a mean over channels and columns, one activation divided by another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.up, self.each = nn.ConvTranspose2d(12, 8, 4, 2, 1), nn.ConvTranspose2d(8, 8, 3, 2, 1, groups=8)
        self.last = nn.Linear(15 + 8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        x = F.relu(self.up(F.gelu(self.down(x)))) + x
        x = self.each(x / (1 + x.mean((2, 3), keepdim=True)))
        return self.last(torch.cat([x.mean((1, 3)), x.mean((2, 3))], 1))


class Normed(nn.Module):
    """Vectors of length 1 over the channels of each pixel; a classifier by the cosine; other reductions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.each, self.last = nn.Parameter(torch.randn(10, 16)), nn.Linear(4 * 16 + 10, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.second(F.normalize(self.first(x), dim=1)))
        flat = x.flatten(2)
        mean = flat.mean(2)
        cosine = F.linear(mean / mean.norm(dim=1, keepdim=True), F.normalize(self.each))
        others = flat.amin(2), flat.logsumexp(2), flat.abs().sum(2) / 16, F.normalize(mean, p=1)
        return self.last(torch.cat([*others, cosine], 1))


class Products(nn.Module):
    """Einsum as networks have it: attention, a matrix along one axis, channels mixed, a dot product, an outer one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix = nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.Parameter(torch.randn(8, 8) / 3)
        self.along, self.last = nn.Parameter(torch.randn(4, 4) / 2), nn.Linear(8 + 8 + 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        y = torch.einsum("bchw,oc->bohw", torch.einsum("nchw,vw->nchv", x, self.along), self.mix)
        heads = x.reshape(-1, 2, 4, 16).transpose(2, 3)
        weights = torch.einsum("bhid,bhjd->bhij", heads, y.reshape(-1, 2, 4, 16).transpose(2, 3)).softmax(3)
        seen = torch.einsum("bhij,bhjd->bhid", weights, heads).mean((2,)).flatten(1)
        dots = torch.einsum("bchw,bchw->bc", x, y) / 4
        outer = torch.einsum("bi,bj->bij", seen[:, :4], dots[:, :4])
        return self.last(torch.cat([seen, dots, torch.einsum("bij->bi", outer)], 1))


HABITS: dict[str, nn.Module] = {
    "activated": seeded(Activated),
    "excitation": seeded(Excited, nn.Sigmoid(), nn.SiLU()),
    "scaled": seeded(Scaled),
    "ConvNeXt": seeded(Next),
    "vision transformer": seeded(Attention, False),
    "odd": seeded(Odd),
    "upward": seeded(Upward),
    "normed": seeded(Normed),
    "products": seeded(Products),
}
MORE: dict[str, nn.Module] = {
    "hard excitation": seeded(Excited, nn.Hardsigmoid(), nn.Hardswish()),
    "ShuffleNet": seeded(Shuffled),
    "MLP-Mixer": seeded(Mixer),
    "fused attention": seeded(Attention, True),
}
KINDS = {
    "activated": [*["Conv"] * 17, *["Lookup"] * 17, "Concat", "AveragePool", "Reshape", "Dense"],
}


def check(habits: dict[str, nn.Module]) -> dict[str, Way]:
    """No node stays float, integers are near the float network, the C has their bits: all compiled together."""
    need_tool("cc", "gcc libc6-dev")
    ways = {name: whole_way(network) for name, network in habits.items()}
    for name, way in ways.items():
        assert way.floats == (), name
        assert way.from_int8 < 1, name
        assert way.noise > 15, (name, way.noise)
        assert len(np.unique(way.integers)) > 20, name
    with tempfile.TemporaryDirectory() as folder:
        library = compile_together([way.graph for way in ways.values()], Path(folder), ("-O1", "-march=native"))
        for index, (name, way) in enumerate(ways.items()):
            np.testing.assert_array_equal(run_c(library, index, way.graph, way.inputs), way.integers, err_msg=name)
    return ways


def test_habits_become_integers_and_c() -> None:
    ways = check(HABITS)
    for name, kinds in KINDS.items():
        assert sorted(ways[name].kinds) == sorted(kinds), name


@pytest.mark.soak
def test_more_habits_become_integers_and_c() -> None:
    check(MORE)
