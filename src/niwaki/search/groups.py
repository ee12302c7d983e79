"""The groups of a network that can lose channels, and the integer graph of the network with other widths."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.images import random_images
from niwaki.errors import ModelError
from niwaki.models.generators import seeded
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.structure import out_width
from niwaki.search.blueprint import Blueprint, Group
from niwaki.study.structure import one_thread
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import Given, prune_step, widths
from niwaki.training.quantize import quantize
from niwaki.training.ranking import Surveyor
from niwaki.training.settings import PruneSettings, QuantizeSettings
from niwaki.training.tracing import trace

_RANKED = PruneSettings(ratio=0.5, steps=1)
_WITH_BIAS = ("Conv", "ConvTranspose", "Gemm")
_IMAGES = 4  # made-up ones, since ranges change no size


def blueprint_of(model: nn.Module, info: ModelInfo) -> Blueprint:
    """The blueprint of a network: its groups, and what it costs with any widths. The model is not changed.

    Raises ModelError if nothing in it can be pruned, or if no integer C can be made of it.
    """
    with one_thread():
        groups = groups_of(model, info.input_shape)
        exported = _Exported(model, info)
        try:
            return Blueprint(groups, exported.graph, exported.exactly)
        except ModelError:  # sizes that a narrowed file does not show
            return Blueprint(groups, exported.exactly, exported.exactly)


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


class _Exported:
    """The float ONNX of a network, from which that of a narrower one is made without a second export: it is slow."""

    def __init__(self, model: nn.Module, info: ModelInfo) -> None:
        self._model, self._info = model, info
        self._whole: bytes | None = None

    def graph(self, keep: Mapping[str, int]) -> Graph:
        """The integer graph with such widths, quantized for made-up images."""
        small = cut(self._model, keep, self._info.input_shape)
        if self._whole is not None:
            try:
                return self._quantized(self._narrowed(self._whole, small))
            except Exception:  # whatever ONNX or its runtime make of a file whose sizes do not match
                self._whole = None
        exported = to_onnx(small, self._info)
        self._whole = exported if self._whole is None and not keep else self._whole
        return self._quantized(exported)

    def exactly(self, keep: Mapping[str, int]) -> Graph:
        """The same, exported."""
        return self._quantized(to_onnx(cut(self._model, keep, self._info.input_shape), self._info))

    def _quantized(self, float_onnx: bytes) -> Graph:
        int8 = quantize(float_onnx, random_images(self._info.input_shape, _IMAGES), QuantizeSettings()).onnx
        return read_qdq(onnx.load_from_string(int8), "the int8 ONNX")

    @staticmethod
    def _narrowed(whole: bytes, small: nn.Module) -> bytes:
        """The whole network's file with the sizes of a narrower one: of its weights, its groups, its flat tensors."""
        file = onnx.load_from_string(whole)
        sizes = {name: list(tensor.shape) for name, tensor in small.state_dict().items()}
        modules = dict(small.named_modules())
        reshaped = {node.input[1] for node in file.graph.node if node.op_type == "Reshape"}
        for node in file.graph.node:
            if node.op_type in _WITH_BIAS and len(node.input) > 2 and node.name in modules:  # a folded norm's, too
                sizes[node.input[2]] = [out_width(modules[node.name])]
        for tensor in file.graph.initializer:
            if tensor.name in sizes and sizes[tensor.name] != list(tensor.dims):
                tensor.CopyFrom(_other_size(tensor, sizes[tensor.name]))
            elif tensor.name in reshaped and list(numpy_helper.to_array(tensor))[:1] == [-1] and tensor.dims == [2]:
                tensor.CopyFrom(numpy_helper.from_array(np.array([0, -1], np.int64), tensor.name))
        for node in file.graph.node:
            for attribute in node.attribute:
                if attribute.name == "group" and attribute.i > 1:
                    attribute.i = int(getattr(modules[node.name], "groups"))  # noqa: B009
                if attribute.name == "allowzero":
                    attribute.i = 0
        data: bytes = file.SerializeToString()
        return data


def _other_size(tensor: onnx.TensorProto, size: list[int]) -> onnx.TensorProto:
    """Made-up weights of another size."""
    array = np.random.default_rng(0).normal(size=size).astype(numpy_helper.to_array(tensor).dtype)
    return numpy_helper.from_array(array, tensor.name)
