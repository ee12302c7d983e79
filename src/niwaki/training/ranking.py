"""Which channels a pruning step removes: groups of layers that lose channels together, ranked by importance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch_pruning
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch_pruning.pruner.algorithms.scheduler import linear_scheduler

from niwaki.errors import kind_and_line
from niwaki.models.structure import out_width, weighted_layers
from niwaki.training.settings import PruneSettings
from niwaki.training.tracing import BoundedGraph, EndlessGroup
from niwaki.training.unprunable import unprunable

_ALL = "DEFAULT_SCOPE"  # the single ranking of global pruning, by its name in the files of pruned networks
_ROOTS = (_ConvNd, nn.Linear)
_FUNCTIONAL = "forward uses its weight without calling it (torch.nn.functional): call the layer itself"


@dataclass(frozen=True)
class Candidate:
    """A group that can lose channels, named by its first layer. `scores` are those of the channels of one of its parts.

    `widths` are the output channels of the layers with weights in it.
    """

    name: str
    group: Any
    parts: int
    scores: torch.Tensor
    widths: dict[str, int]


@dataclass
class Survey:
    """The candidates of a network in order, and the layers that cannot lose channels, with reasons."""

    candidates: list[Candidate] = field(default_factory=list)
    whole: dict[str, str] = field(default_factory=dict)

    def rankings(self, settings: PruneSettings) -> dict[str, list[Candidate]]:
        """The candidates that are ranked together: each by itself, or all."""
        if settings.distribution == "global":
            return {_ALL: self.candidates} if self.candidates else {}
        return {candidate.name: [candidate] for candidate in self.candidates}

    def sizes(self, settings: PruneSettings) -> dict[str, int]:
        """The channels of each ranking."""
        return {name: sum(len(c.scores) for c in members) for name, members in self.rankings(settings).items()}


def ratio_at(settings: PruneSettings, step: int, *layers: str) -> float:
    """The fraction of the original channels that is removed after a step, from layers that lose channels together."""
    return float(linear_scheduler(settings.ratio_of(*layers), settings.steps)[step])


def in_scope(name: str, layer: nn.Module, settings: PruneSettings) -> bool:
    """Whether `scope` includes this layer and `keep` does not name it."""
    kind = settings.scope == "both" or (settings.scope == "conv") == isinstance(layer, _ConvNd)
    return kind and not settings.keeps(name)


def _stay(members: list[Candidate], size: int, settings: PruneSettings, step: int) -> int:
    """How many of `size` channels of a ranking stay after a step: at least one, in multiples of `multiple`."""
    if settings.distribution == "global":
        return max(1, int(size * (1 - ratio_at(settings, step))))
    [candidate] = members
    least = max(1, int(size * (1 - ratio_at(settings, step, *candidate.widths))))
    while (least * candidate.parts) % settings.multiple and least < size:
        least += 1
    return least


def probes(survey: Survey) -> Iterator[tuple[Candidate, list[int]]]:
    """Every candidate with half of its channels, in no order: any channels show whether they are followed correctly."""
    generator = torch.Generator().manual_seed(0)
    for candidate in survey.candidates:
        own = len(candidate.scores)
        taken = torch.randperm(own, generator=generator)[: own // 2]
        every_part = [taken + part * own for part in range(candidate.parts)]
        yield candidate, torch.cat(every_part).sort().values.tolist()


def choose(
    survey: Survey, settings: PruneSettings, step: int, sizes: Mapping[str, int]
) -> Iterator[tuple[Candidate, list[int]]]:
    """The candidates of a step with the indices of the channels that each loses; each keeps at least one.

    `sizes` are the channels of each ranking before the first step; candidates in none of them lose nothing.
    """
    for name, members in survey.rankings(settings).items():
        if name not in sizes:
            continue
        scores = torch.cat([candidate.scores for candidate in members])
        count = len(scores) - _stay(members, sizes[name], settings, step)
        if count <= 0:
            continue
        lowest = torch.topk(scores, k=count, largest=False)
        for candidate in members:
            own = candidate.scores
            taken = ((own <= lowest.values[-1]) & own.isfinite()).nonzero().view(-1) if name == _ALL else lowest.indices
            every_part = [taken + part * len(own) for part in range(candidate.parts)]
            yield candidate, torch.unique(torch.cat(every_part)).tolist()


def keeping(survey: Survey, keep: Mapping[str, int]) -> Iterator[tuple[Candidate, list[int]]]:
    """The candidates that lose channels if each keeps so many, by its name, with the indices of the channels it loses.

    A group in parts keeps the same number in each; what `keep` does not name loses nothing.
    """
    for candidate in survey.candidates:
        own = len(candidate.scores)
        count = own - max(1, keep.get(candidate.name, own * candidate.parts) // candidate.parts)
        if count > 0:
            lowest = torch.topk(candidate.scores, k=count, largest=False).indices
            every_part = [lowest + part * own for part in range(candidate.parts)]
            yield candidate, torch.unique(torch.cat(every_part)).tolist()


class Surveyor:
    """Finds a network's candidates: groups without a head, a layer out of scope, or one that must stay whole."""

    def __init__(
        self, model: nn.Module, graph: BoundedGraph, settings: PruneSettings, heads: list[str], whole: Mapping[str, str]
    ) -> None:
        self._graph, self._settings = graph, settings
        self._names = {layer: name for name, layer in weighted_layers(model)}
        self._unprunable = unprunable(model)
        self._kept = dict(self._out_of_reach(heads, whole))
        self._importance = _importance(settings)
        self._parts = _parts(model, graph)
        self._whole = dict(whole)

    def survey(self) -> Survey:
        """The candidates in the order of the graph; computes importance (random importance draws its numbers here)."""
        found = Survey(whole=dict(self._whole))
        seen: set[nn.Module] = set()
        for layer in list(self._graph.module2node):
            if not isinstance(layer, _ROOTS) or layer in self._kept or layer in seen:
                continue
            group = self._group(layer, found)
            if group is None:
                continue
            members = self.members(group)
            seen.update(members)
            candidate, why_not = self._judge(layer, group, members)
            if candidate:
                found.candidates.append(candidate)
            elif why_not:
                named = [self._names[member] for member in members if member in self._names]
                found.whole.update({name: why_not for name in named if not self._settings.keeps(name)})
        found.whole.update(self._untraced(found))
        return found

    def members(self, group: Any) -> list[nn.Module]:
        """The modules that lose outputs with a group."""
        outputs = [dep.target.module for dep, _ in group if self._graph.is_out_channel_pruning_fn(dep.handler)]
        return [module for module in outputs if isinstance(module, nn.Module)]

    def named(self, group: Any) -> list[str]:
        """The names of the layers with weights among them."""
        return [self._names[module] for module in self.members(group) if module in self._names]

    def _out_of_reach(self, heads: list[str], whole: Mapping[str, str]) -> Iterator[tuple[nn.Module, str]]:
        for layer, name in self._names.items():
            if name in heads:
                yield layer, f"its channels are tied to those of {name}, which are the network's outputs"
            elif self._settings.keeps(name):
                yield layer, f"its channels are tied to those of {name}, which `keep` names"
            elif not in_scope(name, layer, self._settings):
                yield layer, f"its channels are tied to those of {name}, which is not in scope"
            elif name in whole:
                yield layer, whole[name]

    def _group(self, layer: nn.Module, found: Survey) -> Any:
        name = self._names[layer]
        try:
            cut = self._graph.get_pruner_of_module(layer).prune_out_channels
            return self._graph.get_pruning_group(layer, cut, list(range(self._graph.get_out_channels(layer))))
        except EndlessGroup:
            found.whole[name] = (
                "following its channels through the network never ends: does one feature map reach the same layer in "
                "two ways, such as flattened and pooled, or multiplied by itself?"
            )
        except Exception as error:  # any user's model may hit any of torch-pruning's limits
            found.whole[name] = fails_on_it(error)
        return None

    def _judge(self, layer: nn.Module, group: Any, members: list[nn.Module]) -> tuple[Candidate | None, str]:
        """The group as a candidate; or the reason why it is not one, empty if there is nothing to report."""
        for module in members:
            if module in self._kept:
                return None, self._kept[module]
        for dependency, _ in group:
            if dependency.target.module in self._unprunable:
                return None, self._unprunable[dependency.target.module]
        if one := self._down_to_one(group):
            return None, one
        try:
            scores = self._importance(group)
        except Exception as error:
            return None, fails_on_it(error)
        if scores is None:
            return None, "torch-pruning cannot rank its channels"
        parts = max((self._parts.get(dep.target.module, 1) for dep, _ in group), default=1)
        scores = scores.view(parts, -1).mean(dim=0).cpu() if parts > 1 else scores.cpu()
        if self._settings.distribution == "global":  # a ranking never removes a whole layer
            scores = scores.clone()
            scores[scores.argmax()] = math.inf
        widths = {self._names[module]: out_width(module) for module in members if module in self._names}
        return Candidate(self._names[layer], group, parts, scores, widths), ""

    def _down_to_one(self, group: Any) -> str:
        """Why a group cannot lose more: a module in it has one channel left. Empty if none has."""
        for dependency, _ in group:
            module = dependency.target.module
            if not isinstance(module, nn.Module):
                continue
            output = self._graph.is_out_channel_pruning_fn(dependency.handler)
            count = self._graph.get_out_channels if output else self._graph.get_in_channels
            if count(module) == 1:
                name = self._names.get(module, type(module).__name__)
                return f"its channels are tied to {name}, which has one channel, and layers keep at least one"
        return ""

    def _untraced(self, found: Survey) -> Iterator[tuple[str, str]]:
        for layer, name in self._names.items():
            if layer in self._kept or name in found.whole:
                continue
            kind = type(layer).__name__
            if kind == "NonDynamicallyQuantizableLinear":  # the last layer of MultiheadAttention
                kind = "MultiheadAttention"
            if not isinstance(layer, _ROOTS) or kind != type(layer).__name__:
                yield name, f"niwaki does not prune {kind} layers"
            elif layer not in self._graph.module2node:
                used = any(parameter in self._graph.used for parameter in layer.parameters())
                yield name, _FUNCTIONAL if used else "the network's output does not depend on it"


def fails_on_it(error: Exception) -> str:
    """Why a layer stays whole that torch-pruning cannot handle."""
    said = "torch-pruning cannot determine what depends on its channels"
    if isinstance(error, (LookupError, ArithmeticError)):  # of its own: its text says nothing to the user
        return f"{said}: are they split, shuffled or selected by number on their way?"
    return f"{said} ({kind_and_line(error)})"


def _parts(model: nn.Module, graph: BoundedGraph) -> dict[nn.Module, int]:
    """How many parts grouped convolutions and normalisations split the channels into; each loses the same number."""
    found = {}
    for module in model.modules():
        pruner = graph.get_pruner_of_module(module)
        parts = max(pruner.get_in_channel_groups(module), pruner.get_out_channel_groups(module))
        depthwise = isinstance(module, _ConvNd) and module.groups == module.out_channels
        if parts > 1 and not depthwise:
            found[module] = parts
    return found


def _importance(settings: PruneSettings) -> Callable[[Any], torch.Tensor | None]:
    kinds: dict[str, Callable[[], Any]] = {
        "l1": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=1),
        "l2": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
        "taylor": torch_pruning.importance.GroupTaylorImportance,
        "random": torch_pruning.importance.RandomImportance,
    }
    found: Callable[[Any], torch.Tensor | None] = kinds[settings.importance]()
    return found
