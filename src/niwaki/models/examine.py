"""A check of a network before anything else: it names at once what would fail or mislead later."""

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
    """Put `model` in eval mode, then restore the mode of every module (some may have been frozen)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def check_module(model: object) -> None:
    """Raise ModelError unless `model` is a network, not its class or something else."""
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ModelError(f"the model is the class {model.__name__}, not a network: call it: {model.__name__}()")
    if not isinstance(model, nn.Module):
        raise ModelError(f"the model is of type {type(model).__name__}: expected a network (torch.nn.Module)")


def check_usable(model: object) -> None:
    """`check_module`, and raise ModelError for a network on the device meta, where it can be counted and no more."""
    check_module(model)
    assert isinstance(model, nn.Module)
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_meta:
            raise ModelError(
                f"{name!r} is on the device meta, where it holds no numbers: give the network memory with "
                "model.to_empty(device='cpu'), then its weights with model.load_state_dict"
            )


def check_bare(model: nn.Module) -> None:
    """Refuse wrappers and masks that other tools put around or into a network: it cannot be pruned or saved with them.

    Raises ModelError that says how to remove them.
    """
    for name, module in model.named_modules():
        what = f"module {name!r}" if name else "the model"
        if isinstance(module, nn.DataParallel | DistributedDataParallel):
            inside = f"{_access(name)}.module"
            raise ModelError(
                f"{what} is a {type(module).__name__} around the network: pass the network inside, {inside}"
            )
        if "_orig_mod" in module._modules:
            inside = f"{_access(name)}._orig_mod"
            raise ModelError(f"{what} was made by torch.compile: pass the network inside, {inside}")
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                f"{what} was made by torch.jit, which fixes its sizes: pass the network that it was made of"
            )
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
        # A buffer may hold infinities on purpose, as attention masks do.
        bad = ~tensor.isfinite() if id(tensor) in parameters else tensor.isnan()
        if count := int(bad.sum()):
            raise ModelError(
                f"{name!r} holds {count} of {tensor.numel()} numbers that are NaN or infinite: training diverged or "
                "the file is damaged; go back to earlier weights"
            )


def check_leftovers(model: nn.Module, fresh: nn.Module) -> None:
    """Raise ModelError, naming them, if `model` has buffers that the factory's `fresh` module does not have."""
    buffers = {name for name, _ in model.named_buffers()} & set(model.state_dict())
    left = sorted(buffers - set(fresh.state_dict()))
    if left and set(fresh.state_dict()) <= set(model.state_dict()):
        shown = ", ".join(repr(name) for name in left[:3]) + (", …" if len(left) > 3 else "")
        path, _, leaf = left[0].rpartition(".")
        raise ModelError(
            f"the model has {len(left)} buffers that its factory does not make: {shown}; another tool left them "
            f"there, such as a MAC counter: remove them, for example with `del {_access(path)}.{leaf}`"
        )


@generators_kept()
def check_answers(model: nn.Module, images: torch.Tensor) -> None:
    """Run `model` twice in eval mode on float32 `images` (n, C, H, W), on its device, and check the outputs.

    Raises ModelError if it fails, if it does not return a tensor (n, classes), or if the second output differs: no
    measurement of such a network is reliable, and no exported form can equal it.
    """
    with evaluating(model), torch.no_grad():
        try:
            once, again = model(images.clone()), model(images.clone())  # the forward may write into them
        except Exception as error:  # whatever a user's forward raises
            raise ModelError(_failed(model, images, error)) from error
    if not isinstance(once, torch.Tensor) or once.dim() != 2 or len(once) != len(images):
        raise ModelError(not_scores(once))
    if not torch.allclose(once, again, rtol=1e-5, atol=1e-6, equal_nan=True):
        raise ModelError(
            f"{type(model).__name__} gives different outputs for the same images in eval mode (by "
            f"{_gap(once, again):.2g} in a score): something random stays on; let eval mode switch it off: "
            "F.dropout(x, training=self.training)"
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
        f"{type(model).__name__} read back from its file is another network: {what}; its outputs must depend only on "
        "its factory, its arguments and its state_dict"
    )


def not_scores(output: object) -> str:
    """What to say of a forward that did not return a tensor (images, classes), and what helps."""
    way = ""
    if isinstance(output, dict):
        keys = ", ".join(map(repr, output))
        way = f" ({keys}): let forward return the scores alone, such as output[{next(iter(output), 'logits')!r}]"
    elif isinstance(output, tuple | list):
        way = ": let forward return the scores alone, such as output[0]"
    elif hasattr(output, "logits"):
        way = ": let forward return its .logits"
    elif isinstance(output, torch.Tensor) and output.dim() > 2 and output[0].numel() == output.shape[1]:
        way = ": let forward return output.flatten(1)"
    return f"the network must return a tensor (images, classes), not {describe(output)}{way}"


def describe(output: object) -> str:
    """A short description of what a forward returned."""
    if isinstance(output, torch.Tensor):
        return f"a tensor {tuple(output.shape)}"
    count = f" of {len(output)}" if isinstance(output, tuple | list | dict) else ""
    name = type(output).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}{count}"


def _failed(model: nn.Module, images: torch.Tensor, error: Exception) -> str:
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            return f"{name!r} is {kind}, but images come as float32: convert the network with model.float()"
    shape = "×".join(map(str, images.shape[1:]))
    return f"{type(model).__name__} does not take an input of {shape}: {kind_and_line(error)}"


def _gap(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def _access(name: str) -> str:
    return ".".join(filter(None, ["model", name]))
