"""What a network costs, from its shapes: parameters, multiply-accumulates, bytes of weights by data type."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from niwaki.measure.dry_forward import rehearsal
from niwaki.measure.uncounted import formulas, watching
from niwaki.tabular import Column, Tabular

ROOT = "(model)"  # the name of the model itself, where it owns weights or does MACs outside its layers


_COLUMNS: tuple[Column, ...] = (
    ("layer", "left"), ("kind", "left"), ("output", "left"), ("parameters", "right"), ("MACs", "right"),
    ("bytes", "right"), ("type", "left"),
)  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """One layer: what it alone owns and does, without the layers inside it."""

    name: str
    """Dotted name in the model, `(model)` for the model itself."""
    kind: str
    """Class name: `Conv2d`, `Linear`, ..."""
    output_shape: tuple[int, ...]
    """Of its first output in its first call, without the batch axis; empty if the layer never ran."""
    params: int
    macs: int
    """Of all its calls in one pass of one image."""
    dtype: str
    """Of its weights; of its output if it has none; empty if it has neither."""
    bytes: int
    """Of its parameters and buffers. What layers share is counted with the first of them."""

    @property
    def cells(self) -> tuple[str, ...]:
        """What a table says of it."""
        shape, sizes = "×".join(map(str, self.output_shape)), (self.params, self.macs, self.bytes)
        return self.name, self.kind, shape, *(f"{size:,}" for size in sizes), self.dtype


@dataclass(frozen=True)
class Cost:
    """The whole model at batch 1. The layers' params, MACs and bytes add up to the model's."""

    params: int
    macs: int
    macs_tp: int | None
    """torch-pruning's count (biases, pooling and activations included), None if it has none to give."""
    bytes: dict[str, int]
    """Parameters and buffers by data type: `{"float32": 246824}`."""
    layers: tuple[LayerCost, ...]
    """In order of their first call; those that never ran come last."""
    uncounted: tuple[str, ...] = ()
    """What works on the image and is in no MACs here, as `layer (Kind): operator`; then `macs` is too low."""

    def __repr__(self) -> str:
        return f"<Cost: {self.params:,} parameters, {self.macs:,} MACs, {sum(self.bytes.values()):,} bytes>"

    @property
    def remarks(self) -> tuple[str, ...]:
        """A line that says what the MACs are without; none if they are whole."""
        return (f"MACs are without {', '.join(self.uncounted)}: not counted",) if self.uncounted else ()

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self, caption: str = "", *, beside: str = "") -> Tabular:
        """The layers, with the sums below; `beside` is what else has bytes."""
        weights = ", ".join(f"{count:,} {name}" for name, count in self.bytes.items())
        macs_tp = f" (torch-pruning counts {self.macs_tp:,})" if self.macs_tp is not None else ""
        notes = (
            f"{self.params:,} parameters, {self.macs:,} MACs{macs_tp}",
            *(f"not counted in the MACs: {name}" for name in self.uncounted),
            f"bytes: {weights}{beside}",
        )
        return Tabular(_COLUMNS, tuple(layer.cells for layer in self.layers), caption, notes)

    def to_dict(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        return asdict(self)


def count(model: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """Count parameters, MACs and bytes of `model` for one image of `input_shape` (C, H, W).

    MACs are the multiply-accumulates of convolutions and matrix products without bias, also those inside recurrent
    layers, attention, einsum and bilinear layers (`in1 · in2 · out`): half of what `torch.utils.flop_counter` counts,
    with the formulas that it lacks. What else works with weights is named in `uncounted`. Shared weights count once,
    in `params` and in `bytes`; buffers (the running statistics of batch norm, its int64 step counter) are bytes, not
    params. The model is run on its own device and left exactly as it was.

    Raises ModelError if the model cannot run on that input or has modules of torch's own quantization.

    >>> from niwaki.models.lenet5 import LeNet5
    >>> count(LeNet5(), (1, 32, 32)).macs
    416520
    """
    with rehearsal(model, input_shape) as (twin, image):
        counter = FlopCounterMode(display=False, custom_mapping=formulas())
        with counter as flops, watching(twin) as uncounted, _observing(twin, flops) as observed:
            twin(image)
        macs_tp = _macs_of_torch_pruning(twin, image, observed)
    sizes: defaultdict[str, int] = defaultdict(int)
    for tensor in chain(twin.parameters(), twin.buffers()):
        sizes[_dtype(tensor)] += tensor.nbytes
    return Cost(
        params=sum(parameter.numel() for parameter in twin.parameters()),
        macs=flops.get_total_flops() // 2,
        macs_tp=macs_tp,
        bytes=dict(sizes),
        layers=_layers(twin, observed),
        uncounted=tuple(uncounted),
    )


@dataclass
class _Seen:
    """What hooks saw of one module: the FLOPs of it alone, the first tensor it returned."""

    flops: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""


@dataclass
class _Call:
    """A module that is running: the counter when it began, and the FLOPs of the modules inside it so far."""

    start: int
    inside: int = 0


@contextlib.contextmanager
def _observing(model: nn.Module, counter: FlopCounterMode) -> Iterator[dict[nn.Module, _Seen]]:
    """Yield a dict that hooks on every module of `model` fill as it runs, in order of first call."""
    seen: dict[nn.Module, _Seen] = {}
    running: list[_Call] = []

    def enter(module: nn.Module, _args: Any) -> None:
        seen.setdefault(module, _Seen())
        running.append(_Call(start=counter.get_total_flops()))

    def leave(module: nn.Module, _args: Any, output: Any) -> None:
        call = running.pop()
        whole = counter.get_total_flops() - call.start
        if running:
            running[-1].inside += whole
        seen[module].flops += whole - call.inside
        tensor = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), None)
        if tensor is not None and not seen[module].dtype:
            seen[module].shape, seen[module].dtype = tuple(tensor.shape[1:]), _dtype(tensor)

    hooks = [module.register_forward_pre_hook(enter) for module in model.modules()]
    hooks += [module.register_forward_hook(leave) for module in model.modules()]
    yield seen
    for hook in hooks:
        hook.remove()


def _layers(model: nn.Module, observed: dict[nn.Module, _Seen]) -> tuple[LayerCost, ...]:
    """A row for every module that has no modules inside it, owns weights, or does MACs of its own."""
    names = {module: name or ROOT for name, module in model.named_modules()}
    owner: dict[Tensor, nn.Module] = {}
    for module in names:
        for tensor in chain(module.parameters(recurse=False), module.buffers(recurse=False)):
            owner.setdefault(tensor, module)
    rows = []
    for module in dict.fromkeys(chain(observed, names)):
        seen = observed.get(module, _Seen())
        weights = list(chain(module.parameters(recurse=False), module.buffers(recurse=False)))
        own = [tensor for tensor in weights if owner[tensor] is module]
        if not (weights or seen.flops or not any(module.children())):
            continue
        rows.append(
            LayerCost(
                name=names[module],
                kind=type(module).__name__,
                output_shape=seen.shape,
                params=sum(tensor.numel() for tensor in own if isinstance(tensor, nn.Parameter)),
                macs=seen.flops // 2,
                dtype=_dtype(weights[0]) if weights else seen.dtype,
                bytes=sum(tensor.nbytes for tensor in own),
            )
        )
    return tuple(rows)


def _macs_of_torch_pruning(model: nn.Module, image: Tensor, observed: dict[nn.Module, _Seen]) -> int | None:
    """torch-pruning's own count; None if it fails, or if it sees less in a module than the MACs done there.

    It knows modules by their class and takes what it does not know (a convolution called as a function, a
    user's own layer) for free; its count would then be too low without a word.
    """
    from torch_pruning.utils import count_ops_and_params

    try:
        total, _params, operations, _ = count_ops_and_params(model, image, layer_wise=True)
    except Exception:  # it may fail in any way on a module that it was not written for
        return None
    for module, seen in observed.items():
        own = (operations.get(module) or 0) - sum(operations.get(child) or 0 for child in module.children())
        if own < seen.flops // 2:
            return None
    return int(total)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
