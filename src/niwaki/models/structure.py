"""What pruning changes in a module, as data: read it, apply it to a fresh module, measure widths with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from niwaki.errors import ModelError

# The attributes that torch-pruning rewrites when it removes channels. Only these are ever set from a file.
SIZE_ATTRIBUTES = (
    "in_channels", "out_channels", "groups", "in_features", "out_features", "num_features",
    "num_channels", "num_groups", "num_parameters", "normalized_shape", "embed_dim",
)  # fmt: skip

Sizes = dict[str, dict[str, int | list[int]]]


def sizes(model: nn.Module) -> Sizes:
    """The size attributes of every module that has any: `{"conv1": {"in_channels": 1, "out_channels": 6}}`."""
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
        module = model.get_submodule(name)
        differing = {k: v for k, v in attributes.items() if old.get(k) != v and not _follows(module, k)}
        if differing:
            changed[name] = differing
    return changed


def resize(model: nn.Module, changed: Sizes, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a fresh module the sizes and tensors of another one from the same factory, in place.

    `tensors` holds exactly the entries of the state dict, in their (pruned) shapes. Parameters that two modules share
    stay shared. Raises ModelError if names or sizes do not match, or if two tensors differ that are one in the module.
    """
    expected, given = set(model.state_dict()), set(tensors)
    if expected != given:
        odd = sorted(expected ^ given)[0]
        side = "lacks" if odd in expected else "has, but the factory's module lacks,"
        raise ModelError(f"weights and factory do not match: the file {side} {odd!r}")
    _set_sizes(model, changed)
    # By id; the old parameters stay alive, so their ids stay theirs.
    replaced: dict[int, tuple[nn.Parameter, nn.Parameter, str]] = {}
    for name, tensor in tensors.items():
        owner, leaf = _owner(model, name)
        old = getattr(owner, leaf)
        if leaf in owner._buffers:
            owner._buffers[leaf] = tensor.clone()
        elif isinstance(old, nn.Parameter):
            if id(old) not in replaced:
                replaced[id(old)] = (old, nn.Parameter(tensor.clone(), requires_grad=old.requires_grad), name)
            elif not _equal(tensor, replaced[id(old)][1]):
                raise ModelError(_torn(replaced[id(old)][2], name))
            owner._parameters[leaf] = replaced[id(old)][1]
    _check_sizes(model)


def ties(model: nn.Module) -> list[tuple[str, ...]]:
    """The names of parameters that are one tensor, a tuple for each such tensor."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return [tuple(group) for group in names.values() if len(group) > 1]


def tie_again(model: nn.Module, groups: Iterable[tuple[str, ...]]) -> None:
    """Make parameters one tensor again that were one (`ties`) before each was cut.

    Raises ModelError, naming them, if they were cut in different ways.
    """
    for first, *others in groups:
        one = model.get_parameter(first)
        for name in others:
            owner, leaf = _owner(model, name)
            if not _equal(one, getattr(owner, leaf)):
                raise ModelError(_torn(first, name))
            owner._parameters[leaf] = one


def weighted_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers that produce channels with weights of their own, with their names, in the order of registration.

    Convolutions of one to three dimensions, transposed ones, linear, bilinear and recurrent layers, embeddings.
    """
    for name, module in model.named_modules():
        if any(isinstance(module, kind) for kind in _WIDTHS):
            yield name, module


def out_width(layer: nn.Module) -> int:
    """Output channels of a convolution, output features of a linear layer, features per step of a recurrent layer.

    Raises KeyError for a module that is none of `weighted_layers`.
    """
    for kind, width in _WIDTHS.items():
        if isinstance(layer, kind):
            return int(width(layer))
    raise KeyError(type(layer).__name__)


# What the width of a layer is, by type; the only place that lists the types.
_WIDTHS: dict[type[nn.Module], Callable[[Any], int]] = {
    _ConvNd: lambda layer: layer.out_channels,
    nn.Linear: lambda layer: layer.out_features,
    nn.Bilinear: lambda layer: layer.out_features,
    nn.RNNBase: lambda layer: (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1),
    nn.Embedding: lambda layer: layer.embedding_dim,
}


def _set_sizes(model: nn.Module, changed: Sizes) -> None:
    modules = dict(model.named_modules())
    for name, attributes in changed.items():
        if name not in modules:
            raise ModelError(f"weights and factory do not match: the factory's module has no {name!r}")
        for key, value in attributes.items():
            if key not in SIZE_ATTRIBUTES or not hasattr(modules[name], key):
                raise ModelError(f"module {name!r}: {key!r} is not a size that a model file may set")
            setattr(modules[name], key, tuple(value) if isinstance(value, list) else value)


def _check_sizes(model: nn.Module) -> None:
    for name, layer in weighted_layers(model):
        if isinstance(layer, _ConvNd):
            pair = (layer.out_channels, layer.in_channels)
            first, second = pair[::-1] if layer.transposed else pair
            stated = (first, second // layer.groups)
        elif isinstance(layer, nn.Linear):
            stated = (layer.out_features, layer.in_features)
        else:
            continue  # pruning changes none of these
        real = tuple(layer.weight.shape[:2])
        if real != stated:
            raise ModelError(f"module {name!r}: its weight is {real}, its sizes say {stated}: the file is inconsistent")


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf


def _follows(module: nn.Module, key: str) -> bool:
    """Whether a size is a property that only reads other modules: it cannot and need not be set."""
    stated = getattr(type(module), key, None)
    return isinstance(stated, property) and stated.fset is None


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """NaN equals NaN here: a diverged network is still complete."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


def _torn(one: str, other: str) -> str:
    return (
        f"{one!r} and {other!r} are one shared tensor, but were cut into two different ones (pruning cuts every layer "
        "on its own): give each layer a weight of its own, or share the whole module"
    )
