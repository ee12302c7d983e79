"""The memory that activations need at batch 1, planned from the lifetimes of tensors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from niwaki.measure.dry_forward import rehearsal

INPUT = "input"


@dataclass(frozen=True)
class PlannedTensor:
    """One block of memory and the steps during which it must be kept."""

    name: str
    """The step that produces it: a module's name and the operation (`conv1.convolution`), or `input`."""
    bytes: int
    first: int
    """Number of the step that produces it; the input exists at step 0."""
    last: int
    """Number of the step that reads it last."""


@dataclass(frozen=True)
class MemoryPlan:
    """How much memory the activations need at once, where, and what is alive when."""

    peak_bytes: int
    at: str
    """Name of the first step at which the peak is reached."""
    steps: tuple[str, ...]
    """Names of all steps in order; step 0 is the input."""
    tensors: tuple[PlannedTensor, ...]


def peak_activation_bytes(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Bytes that the activations of `model` need at once for one image (C, H, W): `plan(...).peak_bytes`."""
    return plan(model, input_shape).peak_bytes


def plan(model: nn.Module, input_shape: tuple[int, int, int]) -> MemoryPlan:
    """Plan the memory of activations for one image of `input_shape` (C, H, W), as torch runs `model` in eval mode.

    The rule, operation by operation in the order of execution:

    - an output is alive from the operation that makes it to the last one that reads it, both included;
    - the input is alive from the start to its last reader, the model's outputs to the end;
    - views and in-place operations share the memory of what they were made from and need none of their own;
      a ReLU that is not in place has an output of its own;
    - an output that nothing reads (the indices of a max-pooling) needs no memory;
    - weights, buffers and other tensors that the model keeps, and workspace inside an operation, are not counted.

    The peak is the largest sum of bytes alive at one operation: what a perfect arena would need, without
    fragmentation. Raises ModelError as `niwaki.measure.cost.count` does.
    """
    with rehearsal(model, input_shape) as (twin, image):
        weights = [tensor.untyped_storage() for tensor in chain(twin.parameters(), twin.buffers())]
        recorder = _Recorder(weights, image)
        _track_modules(twin, recorder)
        with recorder:
            output = twin(image)
        recorder.keep_to_the_end(output)
    tensors = tuple(tensor for tensor in recorder.tensors() if tensor.bytes)
    alive = [sum(t.bytes for t in tensors if t.first <= step <= t.last) for step in range(len(recorder.steps))]
    peak = max(alive)
    return MemoryPlan(peak, recorder.steps[alive.index(peak)], tuple(recorder.steps), tensors)


@dataclass
class _Life:
    """One storage. Holding it prevents its address from being reused, so the address identifies it."""

    storage: torch.UntypedStorage
    first: int
    last: int
    wanted: bool


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Records every operation below autograd: its name, the storages that it reads and those that it produces."""

    def __init__(self, weights: list[torch.UntypedStorage], image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps = [INPUT]
        self.modules: list[str] = []
        self._constants = {storage._cdata: storage for storage in weights}  # held, as in _Life
        self._times = Counter[str]()
        self._lives = {image.untyped_storage()._cdata: _Life(image.untyped_storage(), 0, 0, wanted=True)}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        step = len(self.steps)
        self.steps.append(self._name(func))
        self._note((args, kwargs), step, read=True)  # before the result: a view of a constant is a constant
        self._note(result, step, read=False)
        return result

    def keep_to_the_end(self, output: Any) -> None:
        """The model's outputs are read by the caller, after the last step."""
        self._note(output, len(self.steps) - 1, read=True)

    def tensors(self) -> list[PlannedTensor]:
        """What must be kept, in order of first step."""
        wanted = [life for life in self._lives.values() if life.wanted]
        return [PlannedTensor(self.steps[x.first], x.storage.nbytes(), x.first, x.last) for x in wanted]

    def _note(self, values: Any, step: int, *, read: bool) -> None:
        for tensor in tree_leaves(values):
            if isinstance(tensor, Tensor):
                self._note_storage(tensor.untyped_storage(), step, read=read)

    def _note_storage(self, storage: torch.UntypedStorage, step: int, *, read: bool) -> None:
        life = self._lives.get(storage._cdata)
        if storage._cdata in self._constants:
            return
        if life is None and read:  # no operation produced it: a tensor that the model keeps, like a weight
            self._constants[storage._cdata] = storage
        elif life is None:
            self._lives[storage._cdata] = _Life(storage, step, step, wanted=False)
        elif read:
            life.last, life.wanted = step, True

    def _name(self, func: Any) -> str:
        operation = func._schema.name.split("::")[-1]
        name = ".".join(filter(None, [self.modules[-1] if self.modules else "", operation]))
        self._times[name] += 1
        return name if self._times[name] == 1 else f"{name}#{self._times[name]}"


def _track_modules(model: nn.Module, recorder: _Recorder) -> None:
    """Keep the names of the running modules in `recorder.modules`, so that steps can be named."""
    names = {module: name for name, module in model.named_modules()}

    def enter(module: nn.Module, _args: Any) -> None:
        recorder.modules.append(names[module])

    def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
        recorder.modules.pop()

    for module in names:
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
