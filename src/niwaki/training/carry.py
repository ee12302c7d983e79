"""Optimizers across pruning, which replaces parameters: carried along, or told when they train what is gone."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from niwaki.errors import SpecError

Named = Mapping[str, nn.Parameter]


def named(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters by name, as they are now."""
    return dict(model.named_parameters())


def check_optimizer(optimizer: object, model: nn.Module) -> None:
    """Raise SpecError unless every parameter of `optimizer` is one of the network's."""
    if not isinstance(optimizer, Optimizer):
        raise SpecError(f"optimizer is of type {type(optimizer).__name__}: expected a torch optimizer")
    own = {id(parameter) for parameter in model.parameters()}
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    strangers = sum(id(parameter) not in own for parameter in held)
    if strangers:
        raise SpecError(f"optimizer: {strangers} of its {len(held)} tensors are not of this network: make it anew")


def carry(optimizer: Optimizer, before: Named, model: nn.Module) -> None:
    """Give the optimizer the parameters that took the place of those in `before`, group by group.

    A tensor that kept its shape keeps its state (the moments of Adam, the momentum of SGD); one that lost channels
    starts without.
    """
    now = named(model)
    place = {id(parameter): now[name] for name, parameter in before.items() if name in now}
    for group in optimizer.param_groups:
        group["params"] = [place.get(id(parameter), parameter) for parameter in group["params"]]
    for name, old in before.items():
        new = now.get(name, old)
        state = optimizer.state.pop(old, None) if new is not old else None
        if state is not None and _fits(state, new):
            optimizer.state[new] = state


class Following:
    """A network's parameters through pruning, and the optimizer that the user passed on, if any."""

    def __init__(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        if optimizer is not None:
            check_optimizer(optimizer, model)
        self._model, self._optimizer = model, optimizer
        self._first = self._last = named(model)

    def step(self) -> None:
        """Give the optimizer the parameters that a pruning step left."""
        if self._optimizer is not None:
            carry(self._optimizer, self._last, self._model)
        self._last = named(self._model)

    def end(self) -> None:
        """Watch for optimizers that were left behind."""
        watch(self._first, self._model)


def watch(before: Named, model: nn.Module) -> None:
    """Warn when an optimizer that was made with the parameters in `before` takes a step in spite of pruning."""
    now = named(model)
    gone = {id(old) for name, old in before.items() if now.get(name) is not old}
    for optimizer in [found for found in gc.get_objects() if issubclass(type(found), Optimizer)]:
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        stale = sum(id(parameter) in gone for parameter in held)
        if stale:
            _Warning(optimizer, stale, len(held))


class _Warning:
    """Warns at the first step of an optimizer; it keeps alive what the optimizer itself keeps alive, and no more."""

    def __init__(self, optimizer: Optimizer, stale: int, held: int) -> None:
        self._said = (
            f"this optimizer was made before niwaki.prune: {stale} of its {held} tensors are no longer the network's, "
            "which it therefore does not train: pass it on (niwaki.prune(…, optimizer=opt)), or make it again after "
            "pruning"
        )
        self._handle = optimizer.register_step_pre_hook(self)

    def __call__(self, *_: Any) -> None:
        self._handle.remove()
        warnings.warn(self._said, stacklevel=4)


def _fits(state: Mapping[str, Any], parameter: nn.Parameter) -> bool:
    shapes = {value.shape for value in state.values() if isinstance(value, torch.Tensor) and value.dim()}
    return shapes <= {parameter.shape}
