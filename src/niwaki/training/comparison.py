"""Whether a pruned network computes what the unpruned one computes without the removed channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from niwaki.errors import ModelError
from niwaki.models.examine import evaluating
from niwaki.models.structure import weighted_layers
from niwaki.training.absent import absent
from niwaki.training.cuts import Channels, Cut, Snapshot

_MOST_VALUES = 1 << 16  # fewer for large images
_ROUNDING = {torch.float64: 1e-5, torch.float32: 1e-3}  # of the largest value


@dataclass(frozen=True)
class Fault:
    """A cut that changes more than it removes: its number among the cuts, and why."""

    cut: int
    reason: str


@dataclass
class _Run:
    """What passed through the weighted layers, call by call. `absent` is None if it is not a set of whole channels."""

    absent: list[tuple[nn.Module, set[int] | None]] = field(default_factory=list)
    outputs: list[tuple[nn.Module, torch.Tensor]] = field(default_factory=list)  # the values that are present, flat
    finite: bool = True
    over: dict[str, None] = field(default_factory=dict)  # what normalizes over channels of which some are absent


class Comparison:
    """Compares a network that was pruned in place with its earlier state, on some images."""

    def __init__(self, model: nn.Module, before: Snapshot, images: torch.Tensor) -> None:
        device = next(model.parameters()).device
        count = max(1, _MOST_VALUES // images[0].numel())
        self._model, self._images = model, images[:count].to(device)
        self._names = {layer: name for name, layer in weighted_layers(model)}
        self._before = before
        self.normalized: tuple[str, ...] = ()  # by what normalizes over channels that lost some, as `changed` found

    def misplaced(self, cuts: Sequence[Cut]) -> list[Fault]:
        """Cuts, made or planned, whose channels reach other inputs of a layer than the ones that it loses."""
        with self._unpruned():
            if self._where_misplaced(self._without(cuts)[0], cuts) is None:
                return []
            found = [(i, self._where_misplaced(self._without([cut])[0], [cut])) for i, cut in enumerate(cuts)]
        return [Fault(index, _misplaced(name)) for index, name in found if name is not None]

    def changed(self, cuts: Sequence[Cut]) -> list[Fault]:
        """Cuts before the first layer whose output from the remaining channels has changed.

        Raises ModelError if no cut can be found before it among `possible` ones.
        """
        layer = self._first_changed(cuts)
        if layer is None:
            return []
        name = self._names.get(layer, "the network's output")
        reason = f"without some of its channels, {name} would compute different outputs from the others"
        for side in ("inputs", "outputs"):
            found = [Fault(index, reason) for index, cut in enumerate(cuts) if layer in getattr(cut, side)]
            if found:
                return found
        if not self.possible():
            return [Fault(0, reason)]
        raise ModelError(
            f"pruning changes what {name} computes from the remaining channels: leave the layers before it out of "
            "prune.scope, or write that part of forward with layers"
        )

    def possible(self) -> bool:
        """Whether the unpruned network gives the same finite output twice; otherwise there is nothing to compare."""
        with self._unpruned():
            runs = [self._run({}, torch.float32) for _ in range(2)]
        pairs = zip(runs[0].outputs, runs[1].outputs, strict=True)
        return all(run.finite for run in runs) and all(torch.equal(a, b) for (_, a), (_, b) in pairs)

    @contextmanager
    def _unpruned(self) -> Iterator[None]:
        after = Snapshot(self._model)
        self._before.restore()
        try:
            yield
        finally:
            after.restore()

    def _where_misplaced(self, run: _Run, cuts: Sequence[Cut]) -> str | None:
        """The first layer whose absent inputs are not the ones that the cuts take from it."""
        for layer, gone in run.absent:
            taken: set[int] = set().union(*(cut.inputs.get(layer, set()) for cut in cuts))
            if gone != taken:
                return self._names[layer]
        return None

    def _first_changed(self, cuts: Sequence[Cut]) -> nn.Module | None:
        with self._unpruned():
            expected, dtype = self._without(cuts)
        self.normalized = tuple(expected.over)
        found = self._run({}, dtype)
        scale = max(float(values.abs().max()) for _, values in expected.outputs if len(values))
        for (layer, values), (_, others) in zip(expected.outputs, found.outputs, strict=False):
            if not _equal(values, others, _ROUNDING[dtype], scale):
                return layer
        return None

    def _without(self, cuts: Sequence[Cut]) -> tuple[_Run, torch.dtype]:
        """The unpruned network with the outputs of the cuts absent, in the highest precision that it can run in."""
        gone: Channels = {}
        for cut in cuts:
            for layer, channels in cut.outputs.items():
                if layer in self._names:
                    gone.setdefault(layer, set()).update(channels)
        try:
            return self._run_absent(gone, torch.float64), torch.float64
        except Exception:  # some of its tensors are float32 whatever the input
            return self._run_absent(gone, torch.float32), torch.float32

    def _run_absent(self, gone: Mapping[nn.Module, set[int]], dtype: torch.dtype) -> _Run:
        over: dict[str, None] = {}
        with _trail(self._model) as trail, absent(lambda what: over.update(_normalizing(what, *trail[-1]))):
            run = self._run(gone, dtype)
        run.over = over
        return run

    def _run(self, gone: Mapping[nn.Module, set[int]], dtype: torch.dtype) -> _Run:
        run = _Run()
        state = {**dict(self._model.named_parameters()), **dict(self._model.named_buffers())}
        state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
        with evaluating(self._model), torch.no_grad(), self._watched(run, gone):
            scores = functional_call(self._model, state, (self._images.to(dtype),))
        run.outputs.append((self._model, _left(scores)))
        run.finite = run.finite and bool(scores.isfinite().all())
        return run

    @contextmanager
    def _watched(self, run: _Run, gone: Mapping[nn.Module, set[int]]) -> Iterator[None]:
        def enter(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor):
                run.absent.append((layer, _absent(inputs[0], _channel_dim(layer, inputs[0]))))

        def leave(layer: nn.Module, _: Any, output: Any) -> Any:
            if not isinstance(output, torch.Tensor):
                return None
            if layer in gone:
                index = torch.tensor(sorted(gone[layer]), dtype=torch.long, device=output.device)
                output = output.index_fill(_channel_dim(layer, output), index, torch.nan)
            run.outputs.append((layer, _left(output)))
            run.finite = run.finite and bool(output.isfinite().all())
            return output

        hooks = [layer.register_forward_pre_hook(enter) for layer in self._names]
        hooks += [layer.register_forward_hook(leave) for layer in self._names]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


@contextmanager
def _trail(model: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    """The modules whose forward is running, the innermost last."""
    trail = [("", model)]
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, here=(name, module): trail.append(here)))
        hooks.append(module.register_forward_hook(lambda *_: trail.pop() and None))
    try:
        yield trail
    finally:
        for hook in hooks:
            hook.remove()


def _normalizing(what: str, name: str, module: nn.Module) -> dict[str, None]:
    """The name for an operation over channels; empty for a mean or spread that normalizes nothing."""
    if name and not list(module.children()):
        known = "softmax" in what or "norm" in what or "Norm" in type(module).__name__
        return {name: None} if known else {}
    return {} if what == "mean" else {f"{what} in the forward of {name or 'the network'}": None}


def _misplaced(name: str) -> str:
    return (
        f"its channels do not reach exactly the inputs of {name} that pruning would remove with them: does the "
        "forward reorder them, view them in another shape or select them by number?"
    )


def _channel_dim(layer: nn.Module, x: torch.Tensor) -> int:
    """Where the channels are: before the places of a convolution's kernel, otherwise last."""
    return x.dim() - 1 - len(getattr(layer, "kernel_size", ()))


def _absent(x: torch.Tensor, dim: int) -> set[int] | None:
    """The channels that are absent everywhere; None if one is absent in some places only."""
    if not x.is_floating_point():
        return set()
    gone = x.isnan().movedim(dim, 0).flatten(1)
    wholly = gone.all(1)
    if not torch.equal(wholly, gone.any(1)):
        return None
    return set(wholly.nonzero().flatten().tolist())


def _left(x: torch.Tensor) -> torch.Tensor:
    return x[~x.isnan()]


def _equal(values: torch.Tensor, others: torch.Tensor, rounding: float, scale: float) -> bool:
    """Whether two outputs are equal up to rounding; `scale` is the largest value anywhere in the network."""
    if values.shape != others.shape:
        return False
    if not len(values):
        return True
    reach = max(float(values.abs().max()), 1e-6 * scale)
    return bool((values - others).abs().max() <= rounding * reach)
