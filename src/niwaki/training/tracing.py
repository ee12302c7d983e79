"""torch-pruning's dependency graph of a network, with limits on the time and memory for following it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
import torch_pruning
from torch import nn
from torch_pruning.dependency import index_mapping

from niwaki.errors import ModelError, kind_and_line

# An ordinary group follows each edge about once, with as many indices as the widest layer has channels. If one map
# is both flattened and pooled, for example, the indices multiply on every round, and without a limit that never ends.
_ROUNDS = 8  # how often each edge may be followed
_LEAST_STEPS = 200
_WIDER = 16  # how many times the widest layer one list of indices may be
_MOST_INDICES = 2_000_000  # in all lists of one group: some 200 MB
_MOST_LOOKUPS = 1_000_000  # of a node's channels, while one group is followed


class EndlessGroup(Exception):
    """Following a layer's channels through the network does not end."""


class BoundedGraph(torch_pruning.DependencyGraph):  # type: ignore[misc]
    """The dependency graph; `get_pruning_group` raises EndlessGroup instead of running forever."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[torch.Tensor] = set()  # the parameters that the network's output depends on
        self._edges, self._widest = 0, 0
        self._start_again()

    def get_pruning_group(self, module: nn.Module, pruning_fn: Callable[..., Any], idxs: Any) -> Any:
        """The group of layers that lose channels together when `module` loses `idxs`."""
        self._start_again()
        with _without_mapping_of_nothing():
            return super().get_pruning_group(module, pruning_fn, idxs)

    def get_out_channels(self, module_or_node: Any) -> Any:
        """The output channels of a module or node; None if it has none of its own."""
        self._look_up()
        return super().get_out_channels(module_or_node)

    def get_in_channels(self, module_or_node: Any) -> Any:
        """The input channels of a module or node; None if it has none of its own."""
        self._look_up()
        return super().get_in_channels(module_or_node)

    def _build_dependency(self, module2node: Any) -> None:
        super()._build_dependency(module2node)
        for node in module2node.values():
            for dependency in node.dependencies:
                dependency.index_mapping = _Watched(dependency.index_mapping, self._follow)
                self._edges += 1
            channels = (self.get_out_channels(node), self.get_in_channels(node))
            self._widest = max(self._widest, *(count or 0 for count in channels))

    def _start_again(self) -> None:
        self._steps, self._indices, self._lookups = 0, 0, 0

    def _look_up(self) -> None:
        self._lookups += 1
        if self._lookups > _MOST_LOOKUPS:
            raise EndlessGroup

    def _follow(self, indices: list[Any]) -> list[Any]:
        self._steps += 1
        self._indices += len(indices)
        if (
            self._steps > _ROUNDS * self._edges + _LEAST_STEPS
            or len(indices) > _WIDER * self._widest
            or self._indices > _MOST_INDICES
        ):
            raise EndlessGroup
        return indices


class _Watched(list[Any]):
    """The mappings of indices along one edge, with a count of how often they are applied."""

    def __init__(self, mappings: list[Any], follow: Callable[[list[Any]], list[Any]]) -> None:
        super().__init__(mappings)
        self._follow = follow

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield self._follow


@contextmanager
def _without_mapping_of_nothing() -> Iterator[None]:
    """A reshape that torch-pruning believes to have no channels, as between shuffles, has its indices left alone.

    It would divide by zero. What follows from a wrong belief is noticed later, when the pruned network is compared.
    """
    update = index_mapping.update_reshape_index_mapping

    def tried(graph: Any, node: Any) -> None:
        with suppress(ZeroDivisionError):
            update(graph, node)

    index_mapping.update_reshape_index_mapping = tried
    try:
        yield
    finally:
        index_mapping.update_reshape_index_mapping = update


def trace(model: nn.Module, input_shape: tuple[int, int, int]) -> BoundedGraph:
    """The dependency graph of a network in eval mode, whose parameters must require gradients.

    Raises ModelError if torch-pruning cannot build it.
    """
    device = next(model.parameters()).device
    graph = BoundedGraph()

    def look(output: torch.Tensor) -> torch.Tensor:
        graph.used.update(_parameters_behind(output))
        return output

    try:
        with warnings.catch_warnings(), _without_mapping_of_nothing():
            warnings.simplefilter("ignore")  # its remarks on layers that it does not know: the result is compared
            images = torch.rand(1, *input_shape, device=device)
            graph.build_dependency(model, example_inputs=images, output_transform=look)
    except EndlessGroup:
        raise ModelError(
            "torch-pruning cannot trace this model: determining how many channels its operations have never ends"
        ) from None
    except Exception as error:  # any user's model may hit any of its limits
        raise ModelError(f"torch-pruning cannot trace this model: {kind_and_line(error)}") from error
    return graph


def _parameters_behind(output: torch.Tensor) -> Iterator[torch.Tensor]:
    steps, seen = [output.grad_fn], set()
    while steps:
        step = steps.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        steps += [before for before, _ in step.next_functions]
        if isinstance(parameter := getattr(step, "variable", None), torch.Tensor):
            yield parameter
