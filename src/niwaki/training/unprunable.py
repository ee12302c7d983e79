"""Modules that cannot lose channels as they stand, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrize


def unprunable(model: nn.Module) -> dict[nn.Module, str]:
    """The modules of a network that can lose neither outputs nor inputs, each with the reason."""
    names = {module: name or "the network itself" for name, module in model.named_modules()}
    return {**dict(_of_another_kind(names)), **dict(_computed(names))}


def _of_another_kind(names: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, str]]:
    for module, name in names.items():
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            yield module, f"it is tied to {name}, and layers of the kind {type(module).__name__} are not pruned"


def _computed(names: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, str]]:
    """Modules whose weight is computed from other parameters whenever it is used."""
    for module, name in names.items():
        if parametrize.is_parametrized(module):
            tensors = ", ".join(module.parametrizations)  # type: ignore[arg-type]
            yield (
                module,
                (
                    f"the {tensors} of {name} is parametrized (weight norm or the like): take that off first, with "
                    "torch.nn.utils.parametrize.remove_parametrizations"
                ),
            )
        elif "weight_orig" in module._parameters:
            yield module, f"{name} is masked or normed: make that permanent first, with prune.remove or the like"
        elif "weight_g" in module._parameters:
            yield module, f"{name} has weight norm: take that off first, with torch.nn.utils.remove_weight_norm"
