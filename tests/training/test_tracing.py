from __future__ import annotations

import resource
import time

import pytest
from torch import nn

import unusual
from niwaki.errors import ModelError
from niwaki.models.lenet5 import LeNet5
from niwaki.training import tracing
from niwaki.training.tracing import EndlessGroup, trace


@pytest.mark.parametrize("net", [unusual.flat_and_pooled(), unusual.bilinear_pooling()], ids=["flat", "bilinear"])
def test_what_never_ends_ends_in_a_second_and_in_little_memory(net: nn.Module) -> None:
    graph = trace(net.eval(), unusual.SHAPE)
    cut = graph.get_pruner_of_module(net.c2).prune_out_channels
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EndlessGroup):
        graph.get_pruning_group(net.c2, cut, list(range(8)))
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB
    first = graph.get_pruner_of_module(net.c1).prune_out_channels
    assert len(graph.get_pruning_group(net.c1, first, [0])) > 1  # the graph is still good


def test_ordinary_networks_are_far_from_the_bounds() -> None:
    model = LeNet5().eval()
    graph = trace(model, (1, 32, 32))
    for layer in (model.conv1, model.conv2, model.fc1, model.fc2):
        cut = graph.get_pruner_of_module(layer).prune_out_channels
        graph.get_pruning_group(layer, cut, list(range(graph.get_out_channels(layer))))
        assert graph._steps <= graph._edges
        assert graph._indices <= 10_000
        assert graph._lookups <= 1000


def test_lookups_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_MOST_LOOKUPS", 3)
    with pytest.raises(ModelError, match="cannot trace this model: determining how many channels .* never ends"):
        trace(LeNet5().eval(), (1, 32, 32))


def test_many_indices_in_all_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LeNet5().eval()
    graph = trace(model, (1, 32, 32))
    monkeypatch.setattr(tracing, "_MOST_INDICES", 5)
    with pytest.raises(EndlessGroup):
        graph.get_pruning_group(model.conv1, graph.get_pruner_of_module(model.conv1).prune_out_channels, [0, 1, 2])
