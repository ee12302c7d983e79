"""Modules that cannot lose channels in their present form, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrize


def unprunable(model: nn.Module) -> dict[nn.Module, str]:
    """The modules of a network that can lose neither outputs nor inputs, with reasons."""
    names = {module: name or "the network itself" for name, module in model.named_modules()}
    return {**dict(_of_another_kind(names)), **dict(_computed(names))}


def _of_another_kind(names: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, str]]:
    for module, name in names.items():
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            yield module, f"it is tied to {name}, and niwaki does not prune {type(module).__name__} layers"


def _computed(names: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, str]]:
    """Modules whose weight is computed from other parameters at every use."""
    for module, name in names.items():
        if parametrize.is_parametrized(module):
            tensors = ", ".join(module.parametrizations)  # type: ignore[arg-type]
            yield (
                module,
                (
                    f"the {tensors} of {name} is parametrized (weight norm or similar): remove that first, with "
                    "torch.nn.utils.parametrize.remove_parametrizations"
                ),
            )
        elif "weight_orig" in module._parameters:
            yield module, f"{name} has a mask or a norm: make it permanent first, for example with prune.remove"
        elif "weight_g" in module._parameters:
            yield module, f"{name} has weight norm: remove it first, with torch.nn.utils.remove_weight_norm"
