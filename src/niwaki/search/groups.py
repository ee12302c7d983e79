"""The groups of a network that can lose channels, and the integer graph of the network with other widths."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import onnx
import torch
from torch import nn

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.images import random_images
from niwaki.errors import ModelError
from niwaki.models.generators import seeded
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.search.blueprint import Blueprint, Group
from niwaki.study.structure import one_thread
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import Given, prune_step, widths
from niwaki.training.quantize import quantize
from niwaki.training.ranking import Surveyor
from niwaki.training.settings import PruneSettings, QuantizeSettings
from niwaki.training.tracing import trace

_RANKED = PruneSettings(ratio=0.5, steps=1)
_IMAGES = 4  # made-up ones, since ranges change no size


def blueprint_of(model: nn.Module, info: ModelInfo) -> Blueprint:
    """The blueprint of a network: its groups, and what it costs with any widths. The model is not changed.

    Raises ModelError if nothing in it can be pruned, or if no integer C can be made of it.
    """
    with one_thread():
        groups = groups_of(model, info.input_shape)
        return Blueprint(groups, lambda keep: _graph(model, info, keep))


def groups_of(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[Group, ...]:
    """The groups that lose channels together and really can, in the order of the network.

    Raises ModelError, with the reasons, if there is none.
    """
    twin = copy.deepcopy(model).cpu().eval()
    heads = find_heads(twin, input_shape)
    twin.requires_grad_(True)  # tracing follows gradients
    graph = trace(twin, input_shape)
    with torch.no_grad(), seeded(0):
        found = Surveyor(twin, graph, _RANKED, heads, {}).survey()
    groups = [
        Group(candidate.name, tuple(candidate.widths), candidate.parts * len(candidate.scores), candidate.parts)
        for candidate in found.candidates
    ]
    before = widths(twin, heads)
    halves = {group.name: max(group.width // group.parts // 2, 1) * group.parts for group in groups}
    report = prune_step(twin, _RANKED, input_shape, step=1, given=Given(keep=halves))
    order = list(before)
    able = [group for group in groups if report.widths[group.name] < before[group.name] or group.width == group.parts]
    if not able:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(report.whole.items())[:3])
        raise ModelError(f"no layer of this network can lose channels{f' ({why})' if why else ''}")
    return tuple(sorted(able, key=lambda group: order.index(group.name)))


def cut(model: nn.Module, keep: Mapping[str, int], input_shape: tuple[int, int, int]) -> nn.Module:
    """A copy of the network with so many channels in each group."""
    twin = copy.deepcopy(model).cpu().eval()
    prune_step(twin, _RANKED, input_shape, step=1, given=Given(keep=keep))
    return twin


def _graph(model: nn.Module, info: ModelInfo, keep: Mapping[str, int]) -> Graph:
    small = cut(model, keep, info.input_shape)
    float_onnx = to_onnx(small, info)
    int8 = quantize(float_onnx, random_images(info.input_shape, _IMAGES), QuantizeSettings()).onnx
    return read_qdq(onnx.load_from_string(int8), "the int8 ONNX")
