"""What pruning changes in a module, as data: read it, put it onto a fresh module, measure widths by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from niwaki.errors import ModelError

# The attributes that torch-pruning rewrites when it takes channels away. Only these are ever set from a file.
SIZE_ATTRIBUTES = (
    "in_channels", "out_channels", "groups", "in_features", "out_features", "num_features",
    "num_channels", "num_groups", "num_parameters", "normalized_shape", "embed_dim",
)  # fmt: skip

Sizes = dict[str, dict[str, int | list[int]]]


def sizes(model: nn.Module) -> Sizes:
    """The size attributes of every module that has some: `{"conv1": {"in_channels": 1, "out_channels": 6}}`."""
    found: Sizes = {}
    for name, module in model.named_modules():
        attributes: dict[str, int | list[int]] = {}
        for key in SIZE_ATTRIBUTES:
            value = getattr(module, key, None)
            if isinstance(value, tuple) and all(isinstance(part, int) for part in value):
                attributes[key] = list(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                attributes[key] = value
        if attributes:
            found[name] = attributes
    return found


def changed_sizes(model: nn.Module, fresh: nn.Module) -> Sizes:
    """The part of `sizes(model)` in which it differs from a fresh module of the same factory."""
    before = sizes(fresh)
    changed: Sizes = {}
    for name, attributes in sizes(model).items():
        old = before.get(name, {})
        differing = {key: value for key, value in attributes.items() if old.get(key) != value}
        if differing:
            changed[name] = differing
    return changed


def resize(model: nn.Module, changed: Mapping[str, Mapping[str, Any]], tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a fresh module the sizes and tensors of another one of its factory, in place.

    `tensors` holds exactly the entries of the state dict, in their (pruned) shapes. Parameters that two
    modules share stay shared. Raises ModelError where names or sizes do not fit together.
    """
    expected, given = set(model.state_dict()), set(tensors)
    if expected != given:
        odd = sorted(expected ^ given)[0]
        side = "lacks" if odd in expected else "has, but the factory's module has not,"
        raise ModelError(f"weights and factory do not belong together: the file {side} {odd!r}")
    _set_sizes(model, changed)
    replaced: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}  # the old ones too: alive, their ids stay theirs
    for name, tensor in tensors.items():
        owner, leaf = _owner(model, name)
        old = getattr(owner, leaf)
        if leaf in owner._buffers:
            owner._buffers[leaf] = tensor.clone()
        elif isinstance(old, nn.Parameter):
            if id(old) not in replaced:
                replaced[id(old)] = (old, nn.Parameter(tensor.clone(), requires_grad=old.requires_grad))
            owner._parameters[leaf] = replaced[id(old)][1]
    _check_sizes(model)


def weighted_layers(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """The convolutions and linear layers with their names, in the order of registration."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module


def out_width(layer: nn.Module) -> int:
    """Output channels of a convolution, output features of a linear layer."""
    return layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features  # type: ignore[return-value]


def _set_sizes(model: nn.Module, changed: Mapping[str, Mapping[str, Any]]) -> None:
    modules = dict(model.named_modules())
    for name, attributes in changed.items():
        if name not in modules:
            raise ModelError(f"weights and factory do not belong together: the factory's module has no {name!r}")
        for key, value in attributes.items():
            if key not in SIZE_ATTRIBUTES or not hasattr(modules[name], key):
                raise ModelError(f"module {name!r}: {key!r} is not a size that a model file may set")
            setattr(modules[name], key, tuple(value) if isinstance(value, list) else value)


def _check_sizes(model: nn.Module) -> None:
    for name, layer in weighted_layers(model):
        if isinstance(layer, nn.Conv2d):
            stated: tuple[int, ...] = (layer.out_channels, layer.in_channels // layer.groups)
        else:
            stated = (layer.out_features, layer.in_features)
        real = tuple(layer.weight.shape[:2])
        if real != stated:
            raise ModelError(f"module {name!r}: its weight is {real}, its sizes say {stated}: the file is inconsistent")


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf
