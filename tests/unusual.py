"""Networks of 16×16 grey images in four classes, each with something that pruning must get right or leave alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

SHAPE = (1, 16, 16)


class Net(nn.Module):
    """A network of a few named layers whose forward is a function of them and the images."""

    def __init__(self, forward: Callable[[Net, torch.Tensor], torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.compute = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute(self, x)


def conv(inputs: int, outputs: int, stride: int = 1, **more) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, **more)


def between(middle: Callable[[torch.Tensor], torch.Tensor], first: int = 8, second: int = 8, **layers) -> Net:
    """Two convolutions and something in between, c1 → `middle` → c2 → mean → fc."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        return net.fc(F.relu(net.c2(middle(F.relu(net.c1(x))))).mean((2, 3)))

    return Net(forward, **{"c1": conv(1, first, 2), "c2": conv(second, 8), "fc": nn.Linear(8, 4), **layers})


def without_a_call() -> Net:
    """The weight of `by` is used through torch.nn.functional: the layer itself is never called."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(F.conv2d(F.relu(net.c1(x)), net.by.weight, net.by.bias))
        return net.fc(F.relu(net.c2(x)).mean((2, 3)))

    return Net(forward, c1=conv(1, 8, 2), by=conv(8, 8), c2=conv(8, 8), fc=nn.Linear(8, 4))


def shuffled(x: torch.Tensor, groups: int = 2) -> torch.Tensor:
    """The channels of both halves in turn."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def flattened(channels_last: bool = True) -> Net:
    """Channels last, as a network that was carried over from another framework flattens them."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.c2(F.relu(net.c1(x))))
        return net.fc((x.permute(0, 2, 3, 1) if channels_last else x).flatten(1))

    return Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8, 2), fc=nn.Linear(128, 4))


def flat_and_pooled() -> Net:
    """The flattened map and its means, side by side: 1,212 parameters."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.c2(F.relu(net.c1(x))))
        return net.fc(torch.cat([x.flatten(1), x.mean((2, 3))], 1))

    return Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8, 2), fc=nn.Linear(136, 4))


def bilinear_pooling() -> Net:
    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.c2(F.relu(net.c1(x)))).flatten(2)
        return net.fc((x @ x.transpose(1, 2)).flatten(1))

    return Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8, 2), fc=nn.Linear(64, 4))


def pad_shortcut() -> Net:
    """A residual network whose shortcut adds channels of zeros, as many as are missing."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.c1(x))
        y = net.c3(F.relu(net.c2(x)))
        missing = y.shape[1] - x.shape[1]
        zeros = (0, 0, 0, 0, missing // 2, missing - missing // 2)
        return net.fc(F.relu(y + F.pad(x[:, :, ::2, ::2], zeros)).mean((2, 3)))

    return Net(forward, c1=conv(1, 8, 2), c2=conv(8, 16, 2), c3=conv(16, 16), fc=nn.Linear(16, 4))


def linear_then_conv() -> Net:
    """A linear layer makes a map for a convolution."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.f1(x.flatten(1)))
        return net.fc(F.relu(net.c1(x.view(len(x), -1, 4, 4))).mean((2, 3)))

    return Net(forward, f1=nn.Linear(256, 128), c1=conv(8, 8), fc=nn.Linear(8, 4))


def layer_norm_over_a_map() -> Net:
    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        return net.fc(F.relu(net.c2(F.relu(net.norm(net.c1(x))))).mean((2, 3)))

    return Net(forward, c1=conv(1, 8, 2), norm=nn.LayerNorm([8, 8, 8]), c2=conv(8, 8), fc=nn.Linear(8, 4))


def lstm() -> Net:
    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        return net.fc(F.relu(net.f(net.r(x.squeeze(1))[0][:, -1])))

    rows = nn.LSTM(16, 24, batch_first=True)
    return Net(forward, r=rows, f=nn.Linear(24, 16), fc=nn.Linear(16, 4))


def transformer() -> Net:
    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = net.c1(x).flatten(2).transpose(1, 2)
        x = x + net.mixed(x, x, x)[0]
        return net.fc((x + net.b(F.gelu(net.a(x)))).mean(1))

    heads = nn.MultiheadAttention(8, 2, batch_first=True)
    return Net(forward, c1=conv(1, 8, 4), mixed=heads, a=nn.Linear(8, 16), b=nn.Linear(16, 8), fc=nn.Linear(8, 4))


def every_kind() -> Net:
    """Convolutions of one to three dimensions and a transposed one."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.space(x.unsqueeze(2))).squeeze(2)
        x = F.relu(net.up(F.relu(net.plane(x))))
        return net.fc(F.relu(net.line(x.flatten(2))).mean(2))

    return Net(
        forward, space=nn.Conv3d(1, 12, (1, 3, 3), stride=2), plane=nn.Conv2d(12, 10, 3),
        up=nn.ConvTranspose2d(10, 6, 2), line=nn.Conv1d(6, 8, 3), fc=nn.Linear(8, 4),
    )  # fmt: skip


def normed(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer)


def attention_by_hand() -> Net:
    """One layer makes queries, keys and values, and is as wide as another says."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = net.p(x).flatten(2).transpose(1, 2)
        n, t, c = x.shape
        q, k, v = net.qkv(x).view(n, t, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        x = x + net.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, c))
        return net.fc(F.relu(net.f(x.mean(1))))

    linear = {"qkv": nn.Linear(8, 24), "o": nn.Linear(8, 8), "f": nn.Linear(8, 8), "fc": nn.Linear(8, 4)}
    return Net(forward, p=nn.Conv2d(1, 8, 4, 4), **linear)


def divided_by_its_width() -> Net:
    """Its output is another with fewer channels, whichever they are."""

    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.c1(x))
        return net.fc(x.mean((2, 3))) / x.shape[1]

    return Net(forward, c1=conv(1, 8, 2), fc=nn.Linear(8, 4))


class Positions(nn.Module):
    """Adds a parameter to every place of the map: its channels are not those that pruning would cut."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.fc = conv(1, 8, 2), conv(8, 8), nn.Linear(8, 4)
        self.places = nn.Parameter(torch.ones(1, 8, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.relu(self.c2(F.relu(self.c1(x) + self.places))).mean((2, 3)))
