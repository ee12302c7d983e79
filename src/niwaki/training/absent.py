"""Run a network as if some of its channels did not exist: NaN marks what is absent.

Most operations pass NaN on by themselves, to exactly what depends on it (activations, poolings, views, concatenations,
normalisation with running statistics). Sums over channels must skip it instead: a convolution or matrix product adds up
what is present, and gives NaN only if nothing is; a mean is over what is present. This is what a network computes after
these channels were cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
Rule = Callable[..., Any]
_RULES: dict[Any, Rule] = {}


class Absent(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, operations on tensors with NaN compute as if those elements did not exist.

    `meet` is called for each softmax, mean, spread or norm over elements of which some are absent.
    """

    def __init__(self, meet: Callable[[str], None] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._meet = meet

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = _RULES.get(func.overloadpacket)
        if rule is not None and any(isinstance(arg, torch.Tensor) and _lacks(arg) for arg in args):
            together = _TOGETHER.get(func.overloadpacket)
            if self._meet and together and _in_part(together(*args, **(kwargs or {}))):
                self._meet(str(func.overloadpacket.__name__).removeprefix("_"))
            return rule(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _lacks(x: torch.Tensor) -> bool:
    return x.is_floating_point() and bool(x.isnan().any())


def _rule(*operations: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operations, rule))
        return rule

    return register


def _present(x: torch.Tensor) -> torch.Tensor:
    """1 if there is something, otherwise 0."""
    return (~x.isnan()).to(x.dtype)


def _filled(x: torch.Tensor, value: float = 0.0) -> torch.Tensor:
    return x.masked_fill(x.isnan(), value)


@_rule(aten.mm, aten.bmm)
def _product(func: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    seen: torch.Tensor = func(_present(a), _present(b))
    out: torch.Tensor = func(_filled(a), _filled(b))
    return out.masked_fill(seen < 0.5, math.nan)


@_rule(aten.addmm, aten.baddbmm)
def _product_and_sum(func: Any, bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor, **scales: Any) -> torch.Tensor:
    out: torch.Tensor = func(bias, _filled(a), _filled(b), **scales)
    return out.masked_fill(_present(a) @ _present(b) < 0.5, math.nan)


@_rule(aten.convolution)
def _convolution(func: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, *how: Any) -> Any:
    ones = torch.ones_like(weight)
    seen, lost = func(_present(x), ones, None, *how), func(1 - _present(x), ones, None, *how)
    return func(_filled(x), weight, bias, *how).masked_fill((seen < 0.5) & (lost > 0.5), math.nan)


@_rule(aten.mean)
def _mean(_func: Any, x: torch.Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> torch.Tensor:
    return torch.nanmean(x, _dims(x, dim), keepdim)


@_rule(aten.sum)
def _sum(_func: Any, x: torch.Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> torch.Tensor:
    none_left = x.isnan().all(_dims(x, dim), keepdim)
    return torch.nansum(x, _dims(x, dim), keepdim).masked_fill(none_left, math.nan)


@_rule(aten.amax, aten.max)
def _largest(func: Any, x: torch.Tensor, *where: Any, **more: Any) -> Any:
    return _extreme(func, x, -math.inf, where, more)


@_rule(aten.amin, aten.min)
def _smallest(func: Any, x: torch.Tensor, *where: Any, **more: Any) -> Any:
    return _extreme(func, x, math.inf, where, more)


def _extreme(func: Any, x: torch.Tensor, neutral: float, where: Sequence[Any], more: dict[str, Any]) -> Any:
    if where and isinstance(where[0], torch.Tensor):  # of two tensors, element by element
        return func(x, *where)
    found = func(_filled(x, neutral), *where, **more)
    if isinstance(found, torch.Tensor):
        return found.masked_fill(found == neutral, math.nan)
    return (found[0].masked_fill(found[0] == neutral, math.nan), found[1])


@_rule(aten._softmax, aten._log_softmax, aten._safe_softmax)
def _softmax(func: Any, x: torch.Tensor, *how: Any, **more: Any) -> torch.Tensor:
    out: torch.Tensor = func(_filled(x, -math.inf), *how, **more)
    return out.masked_fill(x.isnan(), math.nan)


@_rule(aten.var, aten.std)
def _spread(
    func: Any, x: torch.Tensor, dim: Any = None, *, correction: float | None = 1, keepdim: bool = False
) -> torch.Tensor:
    dims = _dims(x, dim)
    degrees = (~x.isnan()).sum(dims, keepdim) - (1 if correction is None else correction)
    variance = torch.nansum((x - torch.nanmean(x, dims, True)) ** 2, dims, keepdim) / degrees
    return variance.sqrt() if func.overloadpacket is aten.std else variance


@_rule(aten.linalg_vector_norm)
def _norm(func: Any, x: torch.Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> torch.Tensor:
    none_left = x.isnan().all(_dims(x, dim), keepdim)
    found: torch.Tensor = func(_filled(x), ord, dim, keepdim)
    return found.masked_fill(none_left, math.nan)


@_rule(aten.native_layer_norm)
def _layer_norm(
    _func: Any, x: torch.Tensor, shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    y, mean, rstd = _normalized(x, list(range(-len(shape), 0)), eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, rstd


@_rule(aten.native_group_norm)
def _group_norm(
    _func: Any, x: torch.Tensor, weight: Any, bias: Any, *how: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    n, c, _area, groups, eps = how
    y, mean, rstd = _normalized(x.reshape(n, groups, -1), [-1], eps)
    y = y.reshape(x.shape)
    per_channel = (1, c, *[1] * (x.dim() - 2))
    y = y if weight is None else y * weight.reshape(per_channel)
    return (y if bias is None else y + bias.reshape(per_channel)), mean.squeeze(-1), rstd.squeeze(-1)


def _normalized(x: torch.Tensor, dims: list[int], eps: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mean = torch.nanmean(x, dims, True)
    rstd = (torch.nanmean((x - mean) ** 2, dims, True) + eps).rsqrt()
    return (x - mean) * rstd, mean, rstd


@_rule(aten._scaled_dot_product_flash_attention_for_cpu)
def _attention(
    func: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *how: Any, scale: float | None = None, **more: Any
) -> Any:
    """PyTorch's default scale follows the width of a head: the part of it that is present."""
    left = int((~q.isnan()).flatten(0, -2).any(0).sum())
    scale = (left or 1) ** -0.5 if scale is None else scale
    out, rest = func(_filled(q), _filled(k), _filled(v), *how, scale=scale, **more)
    return out.masked_fill(v.isnan().all(-2, keepdim=True), math.nan), rest


def _dims(x: torch.Tensor, dim: Any) -> list[int]:
    if dim is None or dim == []:
        return list(range(x.dim()))
    return [dim] if isinstance(dim, int) else list(dim)


def _together(x: torch.Tensor, dims: Sequence[int]) -> torch.Tensor:
    places = sorted(dim % x.dim() for dim in dims)
    return x.movedim(places, list(range(-len(places), 0))).flatten(-len(places))


def _in_part(x: torch.Tensor) -> bool:
    gone = x.isnan()
    return bool((gone.any(-1) & ~gone.all(-1)).any())


def _along(x: torch.Tensor, dim: Any = None, *_: Any, **__: Any) -> torch.Tensor:
    return _together(x, _dims(x, dim))


# What an operation combines, in the last dimension, for operations whose result depends on how much is present.
_TOGETHER: dict[Any, Rule] = {
    **dict.fromkeys((aten._softmax, aten._log_softmax, aten._safe_softmax, aten.var, aten.std, aten.mean), _along),
    aten.linalg_vector_norm: lambda x, _order=2, dim=None, *_, **__: _along(x, dim),
    aten.native_layer_norm: lambda x, shape, *_: _together(x, range(-len(shape), 0)),
    aten.native_group_norm: lambda x, _w, _b, n, _c, _area, groups, _eps: x.reshape(n, groups, -1),
}


def absent(meet: Callable[[str], None] | None = None) -> Absent:
    """The context in which NaN marks absent elements; `meet` as for `Absent`."""
    return Absent(meet)
