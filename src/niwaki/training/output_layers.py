"""Which layers produce a network's output, and whether the network still runs after its widths have changed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from niwaki.errors import ModelError, kind_and_line
from niwaki.models.examine import evaluating, not_scores
from niwaki.models.generators import generators_kept
from niwaki.models.structure import weighted_layers


@generators_kept()
def find_heads(model: nn.Module, input_shape: tuple[int, int, int]) -> list[str]:
    """The names of the layers whose channels are the network's outputs, in order.

    It walks the autograd graph back from the output to the first convolution or linear layer on every path, through
    normalisation, activations and poolings.

    Lazy modules get their sizes in the process. Raises ModelError if the output depends on no such layer.
    """
    if any(is_lazy(parameter) for parameter in model.parameters()):
        check_still_runs(model, input_shape, "the first time")
    states = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.requires_grad_(True)
    try:
        with evaluating(model), torch.enable_grad(), parametrize.cached():
            device = next(model.parameters()).device
            output = run(model, torch.rand(1, *input_shape, device=device), "before pruning")
            found = _first_weights(output.grad_fn, _owners(model))
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(states[name])
    if not found:
        raise ModelError("the output depends on no convolution or linear layer: there is no classifier to keep")
    return [name for name, _ in weighted_layers(model) if name in found]


@generators_kept()
def check_still_runs(model: nn.Module, input_shape: tuple[int, int, int], when: str) -> None:
    """Raise ModelError, naming the module, if the network no longer takes its input or mixes up its batch.

    The usual cause is a size written into `forward` (`view(-1, 400)`, `split(x, [8, 8])`): some of these fail, others
    silently turn two images into one.
    """
    device = next(model.parameters()).device
    with evaluating(model), torch.no_grad():
        run(model, torch.rand(2, *input_shape, device=device), when)


def run(model: nn.Module, images: torch.Tensor, when: str) -> torch.Tensor:
    """The output for `images`; if that fails or the batch size changes, a ModelError names the module."""
    trail: list[tuple[str, nn.Module]] = []
    names = {id(module): name or "(the network itself)" for name, module in model.named_modules()}
    mixed: list[tuple[str, nn.Module]] = []  # whose forward returned another number of images

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        batch = inputs[0] if inputs else None
        if isinstance(batch, torch.Tensor) and batch.dim() and batch.shape[0] != len(images) and trail:
            mixed.append(trail[-1])
        trail.append((names[id(module)], module))

    def leave(*_: Any) -> None:
        trail.pop()

    hooks = [module.register_forward_pre_hook(enter) for module in model.modules()]
    hooks += [module.register_forward_hook(leave) for module in model.modules()]
    try:
        output = model(images)
    except Exception as error:  # whatever a user's forward raises
        name, module = (mixed or trail[-1:] or [("(the network itself)", model)])[0]
        raise ModelError(_hard_coded(name, type(module).__name__, when, kind_and_line(error))) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(output, torch.Tensor) or output.dim() != 2:
        raise ModelError(not_scores(output))
    if output.shape[0] != len(images):
        name, module = mixed[0] if mixed else ("(the network itself)", model)
        what = f"{len(images)} images came out as {output.shape[0]}"
        raise ModelError(_hard_coded(name, type(module).__name__, when, what))
    return output


def _hard_coded(name: str, kind: str, when: str, what: str) -> str:
    return (
        f"module {name} ({kind}) fails {when}: {what}; if its forward contains fixed sizes (view, reshape, split, "
        "chunk), take them from the tensor itself: x.flatten(1), x.shape[1]"
    )


Owners = dict[Any, tuple[str, Any]]  # by node of the autograd graph, or a leaf's id: the layer's name, the named object


def _owners(model: nn.Module) -> Owners:
    """The layer that each weight belongs to. A computed weight (weight norm) is identified by what computed it.

    The named object is kept beside the name: an id is valid only while its tensor lives.
    """
    found: Owners = {}
    for name, layer in weighted_layers(model):
        weights = [getattr(layer, "weight", None), *layer.parameters(recurse=False)]
        for weight in weights:
            if isinstance(weight, torch.Tensor) and weight.dim() > 1:
                key = id(weight) if weight.grad_fn is None else weight.grad_fn
                found[key] = (name, weight)
    return found


def _first_weights(start: Any, owner: Owners) -> set[str]:
    """Names of the weights met first on every path back through the graph from `start`."""
    found: set[str] = set()
    seen: set[Any] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = _weight_of(node, owner)
        if name:
            found.add(name)
        else:
            waiting.extend(parent for parent, _ in node.next_functions)
    return found


def _weight_of(node: Any, owner: Owners) -> str | None:
    """The layer that an operation belongs to: one of its inputs is a layer's weight, perhaps transposed."""
    for parent, _ in node.next_functions:
        if type(parent).__name__ in {"TBackward0", "TransposeBackward0", "PermuteBackward0"}:
            parent = parent.next_functions[0][0]  # noqa: PLW2901 (one step further)
        variable = getattr(parent, "variable", None)
        key = parent if variable is None else id(variable)
        if key in owner:
            return owner[key][0]
    return None
