"""Operators that multiply and accumulate: formulas for those that torch does not count; the rest are named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

Shape = tuple[int, ...]

# Uncounted work without weights, by the beginning of the operator's name.
_WORK = ("_cdist", "cdist", "_fft_", "linalg_", "matrix_exp", "_linalg", "cross", "triangular_solve", "cholesky")
# Operators with weights but without multiply-accumulates as `measure.cost` defines them: norms, and data movement.
_NO_WORK = (
    "native_batch_norm", "_native_batch_norm", "_batch_norm", "batch_norm", "cudnn_batch_norm", "miopen_batch_norm",
    "native_layer_norm", "native_group_norm", "_fused_rms_norm", "rms_norm", "instance_norm", "_prelu_kernel", "cat",
    "stack", "copy_", "index_put", "slice_scatter", "select_scatter", "where", "bucketize", "searchsorted", "lerp",
    "_fake_quantize", "fake_quantize", "embedding", "index", "gather", "scatter", "take", "grid_sampler", "upsample",
)  # fmt: skip
_SUMS = ("sum", "mean", "nansum")
_COPIES = ("clone", "_to_copy", "neg")


def _of_rnn(image: Shape, *weights: Shape, **_: Any) -> int:
    """Every matrix once at every step: `image` is (steps, batch, features) or (batch, steps, features)."""
    return 2 * prod(image[:2]) * sum(prod(weight) for weight in weights if len(weight) == 2)


def _mkldnn_rnn(image: Shape, w_in: Shape, w_hidden: Shape, *_: Any, **__: Any) -> int:
    return _of_rnn(image, w_in, w_hidden)


def _cudnn_rnn(image: Shape, weights: list[Shape], *_: Any, **__: Any) -> int:
    return _of_rnn(image, *weights)


def _trilinear(a: Shape, b: Shape, c: Shape, expand_a: Any, expand_b: Any, expand_c: Any, *_: Any, **__: Any) -> int:
    """One for every element of the product of the three before summing: `in1 · in2 · out` for a Bilinear layer."""

    def spread(shape: Shape, places: list[int]) -> Shape:
        whole = list(shape)
        for place in sorted(places):
            whole.insert(place, 1)
        return tuple(whole)

    shapes = (spread(a, expand_a), spread(b, expand_b), spread(c, expand_c))
    return 2 * prod(max(sizes) for sizes in zip(*shapes, strict=True))


def _mv(matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(matrix)


def _addmv(_start: Shape, matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(matrix)


def _addbmm(_start: Shape, one: Shape, other: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(one) * other[-1]


def _addr(_start: Shape, one: Shape, other: Shape, *_: Any, **__: Any) -> int:
    return 2 * prod(one) * prod(other)


def formulas() -> dict[Any, Callable[..., int]]:
    """FLOPs (two per multiply-accumulate) from shapes, for operators that `torch.utils.flop_counter` lacks."""
    aten = torch.ops.aten
    return {
        aten.mkldnn_rnn_layer: _mkldnn_rnn,
        aten._cudnn_rnn: _cudnn_rnn,
        aten._trilinear: _trilinear,
        aten.mv: _mv,
        aten.dot: _mv,
        aten.vdot: _mv,
        aten.addmv: _addmv,
        aten.addbmm: _addbmm,
        aten.addr: _addr,
    }


@contextlib.contextmanager
def watching(model: nn.Module) -> Iterator[list[str]]:
    """Yield a list that fills, as `model` runs inside, with operators that process the image but are not counted.

    Each entry is `layer (Kind): operator`, once, in order of appearance: an operator that takes weights (or does known
    work without any) and has no formula, one that is not torch's own, and a sum of products with weights written
    element by element.
    """
    watch = _Watch(model)
    hooks = [module.register_forward_pre_hook(watch.enter) for module in model.modules()]
    hooks += [module.register_forward_hook(watch.leave) for module in model.modules()]
    with watch:
        yield watch.found
    for hook in hooks:
        hook.remove()


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Follows weights and image through every operation below autograd, by the storages of tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []
        self._names = {module: name or "(model)" for name, module in model.named_modules()}
        self._running: list[nn.Module] = []
        weights = [tensor.untyped_storage() for tensor in chain(model.parameters(), model.buffers())]
        # By address; held, so that no address is reused.
        self._weights = {storage._cdata: storage for storage in weights}
        self._images: dict[int, torch.UntypedStorage] = {}
        self._products: dict[int, Tensor] = {}  # a weight times the image, element by element: which weight is where
        self._known = {key.__name__ for key in chain(flop_registry, formulas()) if hasattr(key, "__name__")}

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """A module starts; the input of the first one is the image."""
        if not self._running:
            self._note(tree_leaves(inputs), self._images)
        self._running.append(module)

    def leave(self, *_: Any) -> None:
        """The module has run."""
        self._running.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        weights = [tensor for tensor in inputs if tensor.untyped_storage()._cdata in self._weights]
        images = [tensor for tensor in inputs if tensor.untyped_storage()._cdata in self._images]
        namespace, _, name = func._schema.name.partition("::")
        if images and self._is_work(func, namespace, name, weights):
            self._tell(name if namespace == "aten" else f"{namespace}::{name}")
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if images:
            self._note(outputs, self._images)
            for tensor in outputs:  # a tensor made of weights alone stops being one when it is written to
                self._weights.pop(tensor.untyped_storage()._cdata, None)
            self._follow(name, inputs, weights, outputs)
        elif weights:
            self._note(outputs, self._weights)
        if name in _SUMS and images:
            self._judge_sum(inputs[0], args[1] if len(args) > 1 else None)
        return result

    def _is_work(self, func: Any, namespace: str, name: str, weights: list[Tensor]) -> bool:
        if namespace not in ("aten", "prim", "prims"):
            return True
        if name in self._known or func.is_view:
            return False
        if name.startswith(_WORK):
            return True
        return bool(weights) and torch.Tag.pointwise not in func.tags and not name.startswith(_NO_WORK)

    def _follow(self, name: str, inputs: list[Tensor], weights: list[Tensor], outputs: list[Tensor]) -> None:
        """Remember an element-wise product of a weight and the image, and copies of it."""
        if name in ("mul", "mul_") and len(inputs) == 2 and len(weights) == 1 and weights[0].numel() > 1:
            self._remember(outputs[0], _places(weights[0]))
        elif name in _COPIES and (known := self._read(inputs[0])) is not None:
            self._remember(outputs[0], known)

    def _remember(self, product: Tensor, places: Tensor) -> None:
        storage = torch.full((product.untyped_storage().nbytes() // product.element_size(),), -1)
        _view(storage, product).copy_(places.expand(product.shape))
        self._products[product.untyped_storage()._cdata] = storage

    def _read(self, tensor: Tensor) -> Tensor | None:
        storage = self._products.get(tensor.untyped_storage()._cdata)
        return None if storage is None else _view(storage, tensor)

    def _judge_sum(self, summed: Tensor, dims: Any) -> None:
        """A sum over places with different weights is a convolution or a matrix product written differently."""
        places = self._read(summed)
        if places is None:
            return
        over = list(range(places.dim())) if dims is None else [dims] if isinstance(dims, int) else list(dims)
        if not over or any(bool((places.amax(dim) != places.amin(dim)).any()) for dim in over):
            self._tell("mul and sum")

    def _note(self, tensors: list[Any], among: dict[int, torch.UntypedStorage]) -> None:
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                among.setdefault(storage._cdata, storage)

    def _tell(self, operator: str) -> None:
        module = self._running[-1] if self._running else None
        layer = f"{self._names[module]} ({type(module).__name__})" if module is not None else "(model)"
        if f"{layer}: {operator}" not in self.found:
            self.found.append(f"{layer}: {operator}")


def _places(weight: Tensor) -> Tensor:
    """A number for each element of `weight`, in its shape."""
    return torch.arange(weight.numel()).reshape(weight.shape)


def _view(storage: Tensor, like: Tensor) -> Tensor:
    return storage.as_strided(like.shape, like.stride(), like.storage_offset())
