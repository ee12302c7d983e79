"""What changes the weights: the optimizer, its weight decay, and its learning rate schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR, SequentialLR

from niwaki.errors import ModelError
from niwaki.training.settings import TrainSettings


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """PyTorch's optimizer for the parameters of `model` that are not frozen.

    With `decay = "weights"` only those with two or more dimensions shrink: no bias, no norm. What a model names
    `undecayed` never shrinks. Raises ModelError if all are frozen.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(
            f"every parameter of {type(model).__name__} is frozen: there is nothing to train; unfreeze what should "
            "learn, for example with model.requires_grad_(True)"
        )
    spared = {id(parameter) for parameter in getattr(model, "undecayed", ())}
    plain = settings.decay == "all" and not spared
    groups: Any = list(_trained(model)) if plain else list(_groups(model, settings, spared))
    if settings.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay, fused=True
        )
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def make_scheduler(optimizer: torch.optim.Optimizer, settings: TrainSettings, batches: int) -> LRScheduler | None:
    """How the learning rate changes over `settings.epochs` of `batches` each; None if it stays as it is.

    A warm-up raises it from 0 in equal steps; the schedule takes the remaining batches.
    """
    steps, rising = settings.epochs * batches, round(settings.warmup * batches)
    if steps == 0:
        return None
    if settings.schedule == "one-cycle":
        # One step more than training takes: the scheduler takes its first when it is created.
        return OneCycleLR(optimizer, max_lr=settings.lr, total_steps=steps + 1)
    if rising == 0:
        return CosineAnnealingLR(optimizer, T_max=steps) if settings.schedule == "cosine" else None
    rise = LambdaLR(optimizer, lambda step: (step + 1) / (rising + 1))
    rest: LRScheduler = (
        CosineAnnealingLR(optimizer, T_max=max(1, steps - rising))
        if settings.schedule == "cosine"
        else LambdaLR(optimizer, lambda _: 1.0)
    )
    return SequentialLR(optimizer, [rise, rest], milestones=[rising])


def _trained(model: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in model.parameters() if parameter.requires_grad)


def _groups(model: nn.Module, settings: TrainSettings, spared: set[int]) -> Iterator[dict[str, Any]]:
    least = 2 if settings.decay == "weights" else 0
    for decay, shrinks in ((settings.weight_decay, True), (0.0, False)):
        parameters = [p for p in _trained(model) if (p.ndim >= least and id(p) not in spared) == shrinks]
        if parameters:
            yield {"params": parameters, "weight_decay": decay}
