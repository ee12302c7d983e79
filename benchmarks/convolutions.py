"""The faster kernels for convolutions over few channels, on and off: time of a training step, gradient difference.

Blocks of training steps (batch, forward, backward, fused Adam) on random batches of 32 true images, with one
thread; on and off in turn, the ratio taken within each round.
"""

from __future__ import annotations

import contextlib
import time

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.loops import BATCH, LR
from benchmarks.pairs import ratios, spread, take_turns
from benchmarks.report import Report, Table
from niwaki.data.dataset import Dataset
from niwaki.models.lenet5 import LeNet5
from niwaki.study.structure import one_thread
from niwaki.training.fast_convolutions import fast_narrow_convolutions

WIDTHS = {
    "base": (6, 16, 120, 84),
    "50 %": (3, 8, 60, 42),
    "60 %": (2, 6, 48, 33),
    "70 %": (1, 4, 36, 25),
    "80 %": (1, 3, 23, 16),
    "90 %": (1, 1, 11, 8),
}
WARM_UP = 20
METHOD = (
    "{steps} training steps (forward, backward, fused Adam) on random batches of 32 images with one thread, detours on "
    "and off in turn; medians of the ratios within each of {rounds} rounds (quartiles). Gradients: the largest "
    "difference in any parameter's gradient, by the largest value of that gradient."
)


def run(data: Dataset, *, quick: bool) -> Report:
    """On and off for the networks of the source study."""
    steps, rounds = (5, 3) if quick else (60, 25)
    images, labels = torch.from_numpy(data.train.images.copy()), torch.from_numpy(data.train.labels.copy())
    x, y = images[:BATCH].to(torch.float32).div(255), labels[:BATCH]
    rows, figures = [], {}
    with one_thread():
        for name, widths in WIDTHS.items():
            seconds = take_turns(
                {
                    "off": lambda widths=widths: _steps(widths, images, labels, steps, fast=False),
                    "on": lambda widths=widths: _steps(widths, images, labels, steps, fast=True),
                },
                rounds,
            )
            off, on = (1e6 * spread(seconds[side]).median / steps for side in ("off", "on"))
            ratio, difference = ratios(seconds["off"], seconds["on"]), gradient_difference(LeNet5(widths), x, y)
            rows.append((name, str(widths), f"{off:.0f}", f"{on:.0f}", str(ratio), f"{difference:.1e}"))
            figures[name] = {"off_us": off, "on_us": on, "off/on": vars(ratio), "gradient_difference": difference}
    table = Table(
        "Microseconds of a training step",
        ("network", "widths", "off", "on", "off/on", "gradients differ by"),
        tuple(rows),
    )
    return Report(
        "Convolutions over few channels",
        METHOD.format(steps=steps, rounds=rounds),
        "python -m benchmarks convolutions",
        (table,),
        ("Above 1 the detours save time; they differ from torch's own kernels in the order of summation only.",),
        figures,
    )


def gradient_difference(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """The largest |difference| / largest |value| over the gradients of all parameters, with the kernels on and off."""
    fast, plain = _gradients(model, x, y, fast=True), _gradients(model, x, y, fast=False)
    return max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(fast, plain, strict=True) if b.abs().max() > 0
    )


def _gradients(model: nn.Module, x: torch.Tensor, y: torch.Tensor, *, fast: bool) -> list[torch.Tensor]:
    model.zero_grad()
    with _detours(model, fast):
        F.cross_entropy(model(x), y).backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def _steps(widths: tuple[int, ...], images: torch.Tensor, labels: torch.Tensor, steps: int, *, fast: bool) -> float:
    """Seconds of `steps` training steps on random batches, after a few untimed ones; the same on both sides."""
    torch.manual_seed(0)
    model = LeNet5(widths)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    begun = 0.0
    with _detours(model, fast):
        for step in range(WARM_UP + steps):
            if step == WARM_UP:
                begun = time.perf_counter()
            chosen = torch.randint(0, len(labels), (BATCH,))
            pixels = images.index_select(0, chosen).to(torch.float32).div_(255)
            loss = F.cross_entropy(model(pixels), labels.index_select(0, chosen))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - begun


def _detours(model: nn.Module, fast: bool) -> contextlib.AbstractContextManager[None]:
    return fast_narrow_convolutions(model) if fast else contextlib.nullcontext()
