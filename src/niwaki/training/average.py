"""The mean of the weights over many steps of training, which is often a better network than the last step.

`ema`: an exponential moving average (Polyak and Juditsky, 1992; as in Tarvainen and Valpola, "Mean teachers", 2017).
`swa`: the mean of the last epochs (Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from niwaki.training.settings import TrainSettings

Norm = nn.modules.batchnorm._NormBase


class Average:
    """The running mean of a model in training, as `settings.average` says; an epoch has so many `batches`."""

    def __init__(self, model: nn.Module, settings: TrainSettings, batches: int) -> None:
        self._settings, self._batches = settings, batches
        self._mean = AveragedModel(model, avg_fn=self._moving if settings.average == "ema" else None)
        self._seen = 0
        self.begun = False

    def after_step(self, model: nn.Module) -> None:
        """Add the weights after one step."""
        self._seen += 1
        first = (self._settings.epochs - self._settings.swa_epochs) * self._batches  # swa: no step before this one
        if self._settings.average == "ema" or self._seen > first:
            self._mean.update_parameters(model)
            self.begun = True

    @property
    def model(self) -> nn.Module:
        """The averaged network. Its batch norm statistics are still those of the network in training."""
        network: nn.Module = self._mean.module
        return network

    def _moving(self, mean: torch.Tensor, now: torch.Tensor, seen: torch.Tensor | int) -> torch.Tensor:
        """Early steps weigh more, so the worthless beginning is soon forgotten."""
        decay = min(self._settings.ema_decay, (1 + int(seen)) / (10 + int(seen)))
        return torch.lerp(now, mean, decay)


def estimate_norms(model: nn.Module, batches: Iterable[torch.Tensor], resting: Iterable[nn.Module] = ()) -> None:
    """Measure mean and variance of every batch norm of `model` again on `batches`, float32 (N, C, H, W), in place.

    Averaged weights need it: the statistics belong to other weights. Norms that are `resting` stay. The model ends in
    eval mode.
    """
    still = set(resting)
    norms = [
        module
        for module in model.modules()
        if isinstance(module, Norm) and module.track_running_stats and module not in still
    ]
    model.eval()
    if not norms:
        return
    with _measuring(norms), torch.no_grad():
        for images in batches:
            if len(images) > 1:
                model(images)


@contextlib.contextmanager
def _measuring(norms: list[Norm]) -> Iterator[None]:
    """Only the norms in training mode, each with the plain mean of all batches."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
