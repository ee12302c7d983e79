"""A QDQ ONNX as a torch module that rounds as the file does, with gradients: what quantization-aware training trains.

In the forward pass every QuantizeLinear rounds and clamps; in the backward pass it is the identity within its range,
and its step size learns as well (S. Esser et al., "Learned Step Size Quantization", ICLR 2020), here as a logarithm, so
that it stays positive and changes in proportion (S. Jain et al., "Trained Quantization Thresholds", MLSys 2020). Zero
points stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from onnx import ModelProto, NodeProto, numpy_helper
from torch import nn

from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.training.memory import in_format_of
from niwaki.training.quantize_checks import constants
from niwaki.training.quantize_graph import in_order
from niwaki.training.torch_operators import KEEPS_VALUES, OPERATORS, Attributes, attributes_of

LIMITS = {8: (-127, 127), 4: (-8, 7), 2: (-2, 1)}
"""The smallest and the largest weight with this many bits."""
LARGEST_BIAS = 1 << 24
"""The largest bias that training begins with, counted in its own steps: far from the 32 bits that hold it."""
MULTIPLIES = ("Conv", "Gemm", "MatMul")


class QdqNetwork(nn.Module):
    """The network of a QDQ ONNX: float32 (N, C, H, W) to logits (N, classes), without the last softmax.

    `floats` are the constants of the float ONNX: weights and biases start from its values, since those of the QDQ file
    are rounded. `bits` are those of each layer's weights, by the name of its node; the step sizes named in `fixed` do
    not learn. Raises ModelError, naming the node, for an operator that is not among OPERATORS.
    """

    def __init__(
        self, model: ModelProto, floats: Mapping[str, np.ndarray], bits: Mapping[str, int], fixed: frozenset[str]
    ) -> None:
        super().__init__()
        self._known, self._floats, self._fixed = constants(model), floats, fixed
        self._input, self._output = model.graph.input[0].name, model.graph.output[0].name
        self.steps, self.weights = nn.ParameterList(), nn.ParameterList()
        self._step_of: dict[str, int] = {}
        self._run: list[_Node] = []
        self.layers: dict[str, _Layer] = {}
        """The operators that multiply by weights, by the name of their node."""
        makers = {name: node for node in model.graph.node for name in node.output}
        for node in in_order(model.graph):
            self._add(node, makers, bits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images, float32 (N, C, H, W), rounded wherever the file rounds."""
        values = {self._input: images}
        for node in self._run:
            values[node.output] = node(self, values)
        return values[self._output]

    @property
    def undecayed(self) -> list[nn.Parameter]:
        """The logarithms of all steps: shrunk towards 0, they would make every step 1."""
        return [*self.steps, *(self.weights[layer.weight + 1] for layer in self.layers.values())]

    def step(self, name: str) -> torch.Tensor:
        """A step size by the name of its initializer, float32 ()."""
        return torch.exp(self.steps[self._step_of[name]])

    def _add(self, node: NodeProto, makers: Mapping[str, NodeProto], bits: Mapping[str, int]) -> None:
        source, kind = node.input[0], node.op_type
        if kind == "DequantizeLinear":
            if source not in self._known:  # of an activation: QuantizeLinear has produced its value already
                self._run.append(_Same(source, node.output[0]))
            return  # weights and biases are absorbed by their layer
        if kind == "QuantizeLinear":
            self._run.append(self._quantizer(node, makers))
        elif kind in ("Softmax", "LogSoftmax") and node.output[0] == self._output:
            self._run.append(_Same(source, node.output[0]))
        elif kind in MULTIPLIES and node.input[1] in makers and makers[node.input[1]].input[0] in self._known:
            self._run.append(self._layer(node, makers, bits[node.name]))
        elif kind in OPERATORS:
            given = self._constant_inputs(node, makers)
            self._run.append(_Operator(kind, tuple(node.input), node.output[0], given, attributes_of(node)))
        else:
            raise ModelError(
                f"{label(node)} cannot be trained with rounding; supported are {', '.join(OPERATORS)}: use kind = "
                "static for this network"
            )

    def _quantizer(self, node: NodeProto, makers: Mapping[str, NodeProto]) -> _Node:
        scale, zero = node.input[1], int(self._known[node.input[2]])
        maker = makers.get(node.input[0])
        if maker is not None and maker.op_type in KEEPS_VALUES:
            before = makers.get(maker.input[0])
            if before is not None and before.op_type == "DequantizeLinear" and before.input[1:] == node.input[1:]:
                return _Same(node.input[0], node.output[0])  # rounded by the same step before: it would change nothing
        self._learn(scale)
        return _Rounding(node.input[0], node.output[0], scale, zero)

    def _learn(self, scale: str) -> None:
        if scale not in self._step_of:
            self._step_of[scale] = len(self.steps)
            logarithm = torch.tensor(np.log(np.float64(self._known[scale])), dtype=torch.float32)
            self.steps.append(nn.Parameter(logarithm, requires_grad=scale not in self._fixed))

    def _layer(self, node: NodeProto, makers: Mapping[str, NodeProto], bits: int) -> _Layer:
        weight, bias = makers[node.input[1]], makers.get(node.input[2]) if len(node.input) > 2 else None
        names = weight.input[0], weight.input[1]
        outputs_first = node.op_type == "Conv" or bool(attributes_of(node).get("transB", 0))
        values = torch.from_numpy(np.array(self._floats[_plain(names[0])], np.float32))
        axis = 0 if outputs_first else values.ndim - 1
        steps = first_steps(values, bits, axis) if bits < 8 else self._stored_steps(names[1], values, axis)
        first, step_in = len(self.weights), makers[node.input[0]].input[1]
        added = None
        if bias is not None:
            given = self._floats.get(_plain(bias.input[0]), self._known[bias.input[0]] * self._known[bias.input[1]])
            added = torch.from_numpy(np.array(given, np.float32))
            # A channel without weights would have a step so small that no integer holds its bias in such steps.
            least = added.abs() / (float(self._known[step_in]) * LARGEST_BIAS)
            steps = torch.maximum(steps, least.reshape(steps.shape))
        self.weights.extend([nn.Parameter(values), nn.Parameter(steps.log())])
        if added is not None:
            self.weights.append(nn.Parameter(added))
        self.layers[node.name] = layer = _Layer(
            node.op_type, node.input[0], node.output[0], attributes_of(node), bits, first, names,
            None if bias is None else (bias.input[0], bias.input[1]), step_in,
        )  # fmt: skip
        return layer

    def _stored_steps(self, name: str, values: torch.Tensor, axis: int) -> torch.Tensor:
        scale = torch.from_numpy(np.array(self._known[name], np.float32)).reshape(-1)
        shape = [1] * values.ndim
        shape[axis] = values.shape[axis]
        return scale.expand(values.shape[axis]).reshape(shape).clone()

    def _constant_inputs(self, node: NodeProto, makers: Mapping[str, NodeProto]) -> dict[str, torch.Tensor]:
        """What a node reads besides activations: shapes, bounds, added constants."""
        found = {}
        for name in node.input:
            maker = makers.get(name)
            if name in self._known:
                found[name] = self._known[name]
            elif maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in self._known:
                stored, scale, zero = (self._known[entry] for entry in maker.input)
                found[name] = (stored.astype(np.float32) - zero) * scale
        return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}

    def initializers(self) -> dict[str, np.ndarray]:
        """The constants of the file that training has changed: weights and biases rounded, step sizes."""
        changed: dict[str, np.ndarray] = {}
        with torch.no_grad():
            for name, index in self._step_of.items():
                changed[name] = self.steps[index].exp().cpu().numpy().reshape(self._known[name].shape)
            for layer in self.layers.values():
                changed |= layer.stored(self)
        return changed


Values = Mapping[str, torch.Tensor]


class _Node(Protocol):
    """One node in the order of the file: from the values so far to its output's."""

    @property
    def output(self) -> str: ...

    def __call__(self, network: QdqNetwork, values: Values, /) -> torch.Tensor: ...


@dataclass(frozen=True)
class _Same:
    source: str
    output: str

    def __call__(self, _network: QdqNetwork, values: Values) -> torch.Tensor:
        return values[self.source]


@dataclass(frozen=True)
class _Rounding:
    source: str
    output: str
    scale: str
    zero: int

    def __call__(self, network: QdqNetwork, values: Values) -> torch.Tensor:
        return rounded(values[self.source], network.step(self.scale), -128 - self.zero, 127 - self.zero)


@dataclass(frozen=True)
class _Operator:
    kind: str
    sources: tuple[str, ...]
    output: str
    given: Values
    attributes: Attributes

    def __call__(self, _network: QdqNetwork, values: Values) -> torch.Tensor:
        inputs = [values[name] if name in values else self.given.get(name) for name in self.sources]
        return OPERATORS[self.kind](inputs, self.attributes)


@dataclass(frozen=True)
class _Layer:
    """A convolution or linear layer: its weights, their steps and its bias are parameters of the network."""

    kind: str
    source: str
    output: str
    attributes: Attributes
    bits: int
    weight: int
    """Among the network's `weights`; the logarithms of its steps come next, then the bias."""
    stored_as: tuple[str, str]
    """The file's names for the weights and their scales."""
    bias_as: tuple[str, str] | None
    """The names for the bias and its scales, if there is one."""
    step_in: str
    """The name for the scale of the input."""

    def __call__(self, network: QdqNetwork, values: Values) -> torch.Tensor:
        step = network.weights[self.weight + 1].exp()
        stored = network.weights[self.weight]
        weight = in_format_of(stored, rounded(stored, step, *LIMITS[self.bits]))
        bias = None if self.bias_as is None else network.weights[self.weight + 2]
        if bias is not None:
            with torch.no_grad():
                finest = (network.step(self.step_in) * step).reshape(-1)
                error = (bias / finest).round() * finest - bias
            bias = bias + error
        return OPERATORS[self.kind]([values[self.source], weight, bias], self.attributes)

    def stored(self, network: QdqNetwork) -> dict[str, np.ndarray]:
        """Weights int8, their scales, and the bias int32 with its scales, by their names in the file."""
        weight, step = network.weights[self.weight], network.weights[self.weight + 1].exp()
        found = {
            self.stored_as[0]: (weight / step).round().clamp(*LIMITS[self.bits]).to(torch.int8).cpu().numpy(),
            self.stored_as[1]: step.reshape(-1).cpu().numpy(),
        }
        if self.bias_as is not None:
            finest = network.step(self.step_in).cpu().numpy() * found[self.stored_as[1]]
            whole = np.rint(network.weights[self.weight + 2].cpu().numpy().astype(np.float64) / finest)
            found[self.bias_as[0]] = np.clip(whole, -(2**31) + 1, 2**31 - 1).astype(np.int32)
            found[self.bias_as[1]] = finest.astype(np.float32)
        return found


def rounded(values: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Float32 `values` as multiples, low to high, of `step`, which may be one number or one per channel."""
    return _Rounded.apply(values, step, low, high)  # type: ignore[no-any-return, no-untyped-call]


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
        scaled = values / step
        whole = scaled.clamp(low, high).round_()
        ctx.save_for_backward(scaled, whole)
        ctx.high, ctx.shape = high, step.shape
        ctx.ends = float(np.nextafter(np.float32(low), -np.inf)), float(np.nextafter(np.float32(high), np.inf))
        return whole * step

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        scaled, whole = ctx.saved_tensors
        passed = torch.ops.aten.hardtanh_backward(gradients[0], scaled, *ctx.ends)  # 0 outside, in one pass
        if not ctx.needs_input_grad[1]:
            return passed, None, None, None
        # Within the range a step moves the value by the rounding error; at its ends, by as many steps as there are.
        by_step = (gradients[0] * whole).sub_(passed * scaled)
        count = scaled.numel() // max(1, int(np.prod(ctx.shape)))
        return passed, by_step.sum_to_size(ctx.shape) / (count * ctx.high) ** 0.5, None, None


def first_steps(weights: torch.Tensor, bits: int, axis: int) -> torch.Tensor:
    """For each channel along `axis`, the step with the least squared error of 64 that cut at most 9 tenths.

    The result has the number of dimensions of `weights`, all of size 1 except `axis`.
    """
    low, high = LIMITS[bits]
    others = [dim for dim in range(weights.ndim) if dim != axis]
    reach = torch.maximum(weights.amax(others, keepdim=True) / high, weights.amin(others, keepdim=True) / low)
    reach = reach.clamp_min(1e-8)
    best, least = reach, torch.full_like(reach, torch.inf)
    for share in torch.linspace(1.0, 0.1, 64):
        step = reach * share
        error = ((weights / step).round().clamp(low, high) * step - weights).square().sum(others, keepdim=True)
        best, least = torch.where(error < least, step, best), torch.minimum(error, least)
    return best


def _plain(name: str) -> str:
    """The name that a constant has in the float file."""
    return name.removesuffix("_quantized")


def with_initializers(model: ModelProto, changed: Mapping[str, np.ndarray]) -> ModelProto:
    """A copy of a model with other values for some of its constants."""
    copied = ModelProto()
    copied.CopyFrom(model)
    for tensor in copied.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(np.array(changed[tensor.name], order="C"), tensor.name))
    return copied
