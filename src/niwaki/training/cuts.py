"""What a pruning step removed, channel by channel, and how to undo it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from niwaki.training.tracing import BoundedGraph

Channels = dict[nn.Module, set[int]]


@dataclass(frozen=True)
class Cut:
    """The outputs and inputs that one group lost, numbered as before the step."""

    outputs: Channels = field(default_factory=dict)
    inputs: Channels = field(default_factory=dict)


class Scissors:
    """Removes groups of channels, one after another, and records what was removed in the original numbering."""

    def __init__(self, graph: BoundedGraph) -> None:
        self.cuts: list[Cut] = []
        self._graph = graph
        self._left: dict[tuple[nn.Module, bool], list[int]] = {}

    def cut(self, group: Any) -> None:
        """Prune a group of the graph in place; errors of torch-pruning pass, with the network half cut."""
        self.cuts.append(self.plan(group))
        group.prune()

    def plan(self, group: Any) -> Cut:
        """What a group would lose; the next plan or cut assumes that it does."""
        cut = Cut()
        for dependency, indices in group:
            module = dependency.target.module
            if not isinstance(module, nn.Module):
                continue
            if self._graph.is_out_channel_pruning_fn(dependency.handler):
                self._note(cut.outputs, module, True, indices)
            if self._graph.is_in_channel_pruning_fn(dependency.handler):
                self._note(cut.inputs, module, False, indices)
        return cut

    def _note(self, channels: Channels, module: nn.Module, output: bool, indices: list[int]) -> None:
        count = self._graph.get_out_channels if output else self._graph.get_in_channels
        if count(module) is None:  # an operation without channels of its own
            return
        left = self._left.setdefault((module, output), list(range(count(module))))
        gone = set(indices)
        channels.setdefault(module, set()).update(left[index] for index in gone)
        self._left[module, output] = [place for index, place in enumerate(left) if index not in gone]


class Snapshot:
    """A network's state before a cut, to restore it: torch-pruning replaces tensors and never writes to them."""

    def __init__(self, model: nn.Module) -> None:
        self._attributes = [(module, dict(vars(module))) for module in model.modules()]
        self._contents = [
            (value, value.copy())
            for _, attributes in self._attributes
            for value in attributes.values()
            if isinstance(value, dict | list)
        ]

    def restore(self) -> None:
        """Restore the state of every module."""
        for module, attributes in self._attributes:
            vars(module).clear()
            vars(module).update(attributes)
        for container, content in self._contents:
            _refill(container, content)


def _refill(container: Any, content: Any) -> None:
    container.clear()
    fill: Callable[[Any], None] = container.update if isinstance(container, dict) else container.extend
    fill(content)
