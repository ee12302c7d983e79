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

ROOT = "(model)"  # the name of the model itself, if it owns weights or does MACs outside its layers


_COLUMNS: tuple[Column, ...] = (
    ("layer", "left"), ("kind", "left"), ("output", "left"), ("parameters", "right"), ("MACs", "right"),
    ("bytes", "right"), ("type", "left"),
)  # fmt: skip


@dataclass(frozen=True)
class LayerCost:
    """One layer: only what it owns and does itself, without the layers inside it."""

    name: str
    """Dotted name in the model, `(model)` for the model itself."""
    kind: str
    """Class name: `Conv2d`, `Linear`, ..."""
    output_shape: tuple[int, ...]
    """Shape of its first output in its first call, without the batch axis; empty if the layer never ran."""
    params: int
    macs: int
    """MACs of all its calls in one pass of one image."""
    dtype: str
    """Data type of its weights, or of its output if it has none; empty if it has neither."""
    bytes: int
    """Bytes of its parameters and buffers. The first of several layers that share a tensor counts it."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row in a table."""
        shape, sizes = "×".join(map(str, self.output_shape)), (self.params, self.macs, self.bytes)
        return self.name, self.kind, shape, *(f"{size:,}" for size in sizes), self.dtype


@dataclass(frozen=True)
class Cost:
    """The whole model at batch 1. The layers' params, MACs and bytes add up to the model's."""

    params: int
    macs: int
    macs_tp: int | None
    """torch-pruning's count (biases, pooling and activations included), None if it has none."""
    bytes: dict[str, int]
    """Parameters and buffers by data type: `{"float32": 246824}`."""
    layers: tuple[LayerCost, ...]
    """In order of their first call; those that never ran come last."""
    uncounted: tuple[str, ...] = ()
    """Operators that process the image but are not in the MACs, as `layer (Kind): operator`; then `macs` is too low."""

    def __repr__(self) -> str:
        return f"<Cost: {self.params:,} parameters, {self.macs:,} MACs, {sum(self.bytes.values()):,} bytes>"

    @property
    def remarks(self) -> tuple[str, ...]:
        """A line that says what the MACs leave out; none if they are complete."""
        return (f"the MACs leave out {', '.join(self.uncounted)}, which niwaki cannot count",) if self.uncounted else ()

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self, caption: str = "", *, beside: str = "") -> Tabular:
        """The layers, with the sums below; `beside` lists what else has bytes."""
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
    with the formulas that it lacks. Other operators with weights are named in `uncounted`. Shared weights count once,
    in `params` and in `bytes`; buffers (the running statistics of batch norm, its int64 step counter) are bytes, not
    params. The model runs on its own device and is left unchanged.

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
    """What hooks saw of one module: its own FLOPs, the first tensor that it returned."""

    flops: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""


@dataclass
class _Call:
    """A running module: the counter when it started, and the FLOPs of the modules inside it so far."""

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
    """A row for every module that contains no modules, owns weights, or does MACs of its own, and is no `Identity`."""
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
        idle = isinstance(module, nn.Identity) or any(module.children())
        if idle and not (weights or seen.flops):
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
    """torch-pruning's own count; None if it fails, or if it sees fewer MACs in a module than are done there.

    It knows modules by their class and counts everything else (a convolution called as a function, a user's own layer)
    as zero, without a warning.
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
