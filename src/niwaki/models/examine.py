"""One look at a network before anything is done with it: what would fail or mislead later is named now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils.prune import BasePruningMethod

from niwaki.errors import ModelError, kind_and_line
from niwaki.models.generators import generators_kept


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` in eval mode, and every module of it back in its own mode after (some may have been frozen)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def check_module(model: object) -> None:
    """Raise ModelError unless `model` is a network: neither its class nor anything else."""
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ModelError(f"the model is the class {model.__name__}, not a network: call it: {model.__name__}()")
    if not isinstance(model, nn.Module):
        raise ModelError(f"the model is of type {type(model).__name__}: expected a network (torch.nn.Module)")


def check_bare(model: nn.Module) -> None:
    """Refuse what other tools have put around or into a network: it can be neither pruned nor saved like that.

    Raises ModelError that says how to take it off.
    """
    for name, module in model.named_modules():
        what = f"module {name!r}" if name else "the model"
        if isinstance(module, nn.DataParallel | DistributedDataParallel):
            inside = f"{_access(name)}.module"
            raise ModelError(f"{what} is a {type(module).__name__} around the network: give what is inside, {inside}")
        if "_orig_mod" in module._modules:
            inside = f"{_access(name)}._orig_mod"
            raise ModelError(f"{what} is what torch.compile made of the network: give what is inside, {inside}")
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, BasePruningMethod):
                call = f"torch.nn.utils.prune.remove({_access(name)}, {hook._tensor_name!r})"
                raise ModelError(f"{what} has a mask of torch.nn.utils.prune: make it part of the weights with {call}")
    if not any(True for _ in model.parameters()):
        raise ModelError(f"{type(model).__name__} has no parameters: there is nothing to prune or save")


def check_numbers(model: nn.Module) -> None:
    """Raise ModelError, naming the tensor, if a weight is NaN or infinite, or a buffer NaN."""
    parameters = {id(parameter) for parameter in model.parameters()}
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if is_lazy(tensor) or tensor.is_meta or not tensor.is_floating_point():
            continue
        # A buffer may hold infinities on purpose, as masks of attention do.
        bad = ~tensor.isfinite() if id(tensor) in parameters else tensor.isnan()
        if count := int(bad.sum()):
            raise ModelError(
                f"{name!r} holds {count} of {tensor.numel()} numbers that are NaN or infinite: training diverged or "
                "the file is damaged; go back to earlier weights"
            )


def check_leftovers(model: nn.Module, fresh: nn.Module) -> None:
    """Raise ModelError, naming them, if `model` has buffers that the factory's `fresh` module has not."""
    buffers = {name for name, _ in model.named_buffers()} & set(model.state_dict())
    left = sorted(buffers - set(fresh.state_dict()))
    if left and set(fresh.state_dict()) <= set(model.state_dict()):
        shown = ", ".join(repr(name) for name in left[:3]) + (", …" if len(left) > 3 else "")
        path, _, leaf = left[0].rpartition(".")
        raise ModelError(
            f"the model has {len(left)} buffers that its factory does not make: {shown}; a tool has left them there "
            f"(counters of MACs do): take them off, as with `del {_access(path)}.{leaf}`"
        )


@generators_kept()
def check_answers(model: nn.Module, images: torch.Tensor) -> None:
    """Run `model` twice in eval mode on float32 `images` (n, C, H, W), on its device, and judge the answers.

    Raises ModelError if it fails, if it returns no tensor (n, classes), or if it answers differently the second time:
    nothing that is measured of such a network holds, and no exported form can equal it.
    """
    with evaluating(model), torch.no_grad():
        try:
            once, again = model(images.clone()), model(images.clone())  # it may write into them
        except Exception as error:  # whatever a user's forward raises
            raise ModelError(_failed(model, images, error)) from error
    if not isinstance(once, torch.Tensor) or once.dim() != 2 or len(once) != len(images):
        raise ModelError(f"the network must return a tensor (images, classes), not {describe(once)}")
    if not torch.allclose(once, again, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise ModelError(
            f"{type(model).__name__} answers differently when asked twice in eval mode (by {_gap(once, again):.2g} in "
            "a score): something random stays on; let the mode switch it off: F.dropout(x, training=self.training)"
        )


def check_same(model: nn.Module, stored: nn.Module, images: torch.Tensor) -> None:
    """Raise ModelError if `stored`, read back from the file of `model`, is not the same network.

    Both are on the CPU in eval mode; `images` are float32 (n, C, H, W).
    """
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (model, stored)]
    with generators_kept(), torch.no_grad():
        here, there = model(images), stored(images)
    if counts[0] != counts[1]:
        what = f"{counts[0]:,} parameters became {counts[1]:,}"
    elif not torch.allclose(here, there, rtol=1e-5, atol=1e-6, equal_nan=True):
        what = f"a score changes by {_gap(here, there):.2g}"
    else:
        return
    raise ModelError(
        f"{type(model).__name__} read back from its file is another network: {what}; what it computes must follow from "
        "its factory, its arguments and its state_dict alone"
    )


def describe(output: object) -> str:
    """What a forward returned, in a few words."""
    if isinstance(output, torch.Tensor):
        return f"a tensor {tuple(output.shape)}"
    count = f" of {len(output)}" if isinstance(output, tuple | list | dict) else ""
    return f"a {type(output).__name__}{count}"


def _failed(model: nn.Module, images: torch.Tensor, error: Exception) -> str:
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            return f"{name!r} is {kind}, but images come as float32: make the network so with model.float()"
    shape = "×".join(map(str, images.shape[1:]))
    return f"{type(model).__name__} does not take an input of {shape}: {kind_and_line(error)}"


def _gap(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def _access(name: str) -> str:
    return ".".join(filter(None, ["model", name]))
