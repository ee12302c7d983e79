"""Read a quantized (QDQ) ONNX, niwaki's or another tool's, into a graph of int8 layers.

There is one layer between each QuantizeLinear and the DequantizeLinears before it: its float operators are fused into
one computation with one rounding. Such parts are computed with integers; anything else is an error.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from niwaki.codegen.graph.arithmetic import LOW
from niwaki.codegen.graph.graph import Graph, Tensor
from niwaki.codegen.graph.merge import merged, with_plain_input
from niwaki.codegen.graph.operators.moves import Constant
from niwaki.codegen.readers.qdq_bounds import Range, range_of
from niwaki.codegen.readers.qdq_constants import (
    DEQUANTIZE,
    PER_TENSOR,
    QUANTIZE,
    Constants,
    Quantization,
    attributes,
    name_of,
)
from niwaki.codegen.readers.qdq_inputs import MOST_AXES, axes_kept
from niwaki.codegen.readers.qdq_moves import split
from niwaki.codegen.readers.qdq_operators import ELEMENTWISE, OPERATORS, SUPPORTED, WAYS_OUT
from niwaki.codegen.readers.qdq_pixels import PIXELS, table_of
from niwaki.codegen.readers.qdq_products import in_channels
from niwaki.codegen.readers.qdq_values import Layers, Value, layer_rounded_once
from niwaki.codegen.readers.rounded_twice import layer_rounded_twice
from niwaki.errors import ModelError, first_line
from niwaki.models.one_image import ends, for_one_image
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfile import LABELS, Metadata, metadata
from niwaki.models.onnxfold import Shape, shapes_of

_HOW = "niwaki export --to onnx-int8, or onnxruntime.quantization.quantize_static with QuantFormat.QDQ"
_DYNAMIC = {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}
_SOFTMAX = ("Softmax", "LogSoftmax")
_OUTPUT = "the output"
_FIRST_ONLY = (
    "Clip", "Dropout", "Expand", "Gather", "Pad", "ReduceMax", "ReduceMean", "ReduceSum", "Reshape", "Resize", "Slice",
    "Split", "Squeeze", "Tile", "Unsqueeze",
)  # other inputs: parameters  # fmt: skip


def read_qdq(model: ModelProto, name: str) -> Graph:
    """The graph of a QDQ ONNX from `load_onnx`; `name` stands for it in errors.

    The output is the logits: a last Softmax is dropped. Pixels become the input through the preprocessing that the file
    states, rounded as QuantizeLinear rounds; without one, x/255.

    Raises ModelError naming the node or tensor if the model is not quantized, or only in part, has unsupported
    operators, types or shapes, or sums that could exceed 32 bits.
    """
    reader, about, before_softmax, dropped = _visited(model, name)
    source, output = reader.source, reader.output(before_softmax)
    tensors = reader.layers.tensors
    _check_labels(about.labels, tensors[output].size)
    graph = Graph(
        tensors=tensors, layers=tuple(reader.layers.layers), input=source, output=output,
        labels=about.labels, preprocessing=about.preprocessing, dropped=dropped,
        table=reader.table(about),
        layout="HWC" if about.rows_of_pixels else "CHW", rounds_twice=about.rounds_twice,
    )  # fmt: skip
    return with_plain_input(merged(graph)) if reader.is_cast else merged(graph)


def float_output(model: ModelProto, name: str) -> tuple[str, Range] | None:
    """The float value that an int8 model of `load_onnx` ends with, and its range for any input; None if it is int8.

    A last Softmax is left out. Raises ModelError as `read_qdq` does, and if no range follows from the integers.
    """
    reader, _, output, _ = _visited(model, name)
    value = reader.open_end(output)
    return None if value is None else (output, range_of(value, reader.layers))


def _visited(model: ModelProto, name: str) -> tuple[_Reader, Metadata, str, tuple[str, ...]]:
    """All nodes read, what the file says about itself, the value before a last Softmax, and the nodes from there on."""
    if not any(node.op_type == QUANTIZE for node in model.graph.node):
        operators = {node.op_type for node in model.graph.node}
        kind = "quantized dynamically: activations are float" if operators & _DYNAMIC else "a float ONNX"
        raise ModelError(f"{name}: {kind}, without {QUANTIZE}: quantize it first: {_HOW}")
    model = for_one_image(model, name)
    source, target = ends(model, name)
    about = metadata(model)
    reader = _Reader(model, source, about)
    before_softmax, dropped = _before_softmax(model, target.name, reader.constants)
    for node in _needed(model, before_softmax, reader.constants):
        reader.read(node)
    return reader, about, before_softmax, dropped


def _check_labels(labels: tuple[str, ...], outputs: int) -> None:
    """The C has a table of names: one for each output, or none at all."""
    if labels and len(labels) != outputs:
        raise ModelError(
            f"metadata {LABELS}: {len(labels)} names for {outputs} outputs: one for each is needed; without that entry "
            "classes are numbers"
        )


class _Reader:
    """Visits the nodes in order, and knows the value of each float name."""

    def __init__(self, model: ModelProto, source: ValueInfoProto, about: Metadata) -> None:
        self.constants = Constants(model)
        self.unsigned: set[str] = set()
        self.rounds_twice = about.rounds_twice
        self.layers = Layers(layer_rounded_twice if about.rounds_twice else layer_rounded_once)
        self.is_scaled = about.preprocessing is not None and not about.preprocessing.is_plain
        self.source = source.name
        self.input_quantization: Quantization | None = None
        self._shapes = shapes_of(model)
        self._values: dict[str, Value] = {}  # by float name
        self._quantized: dict[str, str] = {}  # by int8 name: the tensor
        self._settled: dict[tuple[str, Quantization, tuple[Fraction, ...]], str] = {}
        self._factors: dict[str, tuple[Fraction, ...]] = {}  # by float or int8 name
        self.is_cast = False  # the input: from bytes
        if source.type.tensor_type.elem_type == TensorProto.FLOAT:
            self._values[self.source] = Value(None, self.shape(self.source))

    def read(self, node: NodeProto) -> None:
        """Add one node. Raises ModelError for an operator that is not supported."""
        if node.op_type == QUANTIZE:
            self._quantize(node)
        elif node.op_type == DEQUANTIZE:
            self._dequantize(node)
        elif node.op_type == "Clip" and node.input[0] in self._quantized:
            self._clip_integers(node)
        elif node.op_type == "Cast" and self._is_plain_cast(node):
            self._values[node.output[0]] = self._values[node.input[0]]
        elif node.domain in ("", "ai.onnx") and node.op_type in (*OPERATORS, "Split"):
            self._compute(node)
        else:
            kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            way = WAYS_OUT.get(node.op_type)
            told = f"is not supported: {way}" if way else "is not supported"
            raise ModelError(f"{kind} {name_of(node)!r} {told}; these are: {SUPPORTED}")

    def _compute(self, node: NodeProto) -> None:
        for name in node.input if node.op_type in ELEMENTWISE else ():
            value = self._values.get(name)
            if value is not None and value.source is None:
                self._values[name] = replace(value, source=self._take_pixels(node))
        try:
            made = split(node, self) if node.op_type == "Split" else [OPERATORS[node.op_type](node, self)]
        except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:  # attributes that do not fit
            raise ModelError(f"{label(node)}: its attributes do not fit its inputs: {first_line(error)}") from error
        self._values.update(zip(node.output, made, strict=False))

    def _is_plain_cast(self, node: NodeProto) -> bool:
        """Whether a Cast gives float, from float or from the bytes of the input, which stand for themselves."""
        if attributes(node).get("to") != TensorProto.FLOAT:
            return False
        if node.input[0] == self.source and self.source not in self._values:
            self.is_cast = True
            lowest = LOW if self.constants.is_unsigned(self.source) else 0
            tensor = self._quantize_input(node, Quantization(1.0, lowest))
            self._values[self.source] = Value(tensor, self.shape(self.source))
        return node.input[0] in self._values

    def _take_pixels(self, node: NodeProto) -> str:
        """The input of a network that scales pixels itself: x/255, as bytes."""
        if self.is_scaled:
            raise ModelError(f"{label(node)}: pixels are scaled here, and by the preprocessing as well: leave one out")
        return self._quantize_input(node, PIXELS)

    def output(self, name: str) -> str:
        """The tensor of the model's output, `name` in the ONNX."""
        if name in self._quantized:
            return self._quantized[name]
        value = self._value(name, _OUTPUT)
        if factors := self._factors.get(name):
            raise ModelError(f"the network's output {name!r} has {len(factors)} scales: {PER_TENSOR}")
        return self._held(value, name, _OUTPUT)

    def open_end(self, name: str) -> Value | None:
        """The model's output, if no tensor represents it exactly."""
        value = None if name in self._quantized else self._value(name, _OUTPUT)
        held = value is None or self.factors(name) or self.layers.settle_as_is(value, name) is not None
        return None if held else value

    def value(self, name: str, reader: NodeProto) -> Value:
        """A float value. Raises ModelError if `reader` reads something else."""
        factors = self._factors.get(name)
        if factors and not (reader.op_type == "Conv" and attributes(reader).get("group", 1) == len(factors)):
            raise ModelError(
                f"{label(reader)} reads {name!r}, which has {len(factors)} scales, one for each channel: a depthwise "
                f"convolution alone can: {PER_TENSOR}"
            )
        return self._value(name, label(reader))

    def factors(self, name: str) -> tuple[Fraction, ...]:
        """For each channel of a float value, its scale in that of its tensor; nothing if all have one scale."""
        return self._factors.get(name, ())

    def tensor(self, name: str, reader: NodeProto) -> str:
        """The tensor that represents a float value exactly. Raises ModelError if there is none."""
        value = self.value(name, reader)
        tensor = self._held(value, name, label(reader))
        self._values[name] = Value(tensor, value.shape)
        return tensor

    def held(self, value: Value, name: str, reader: NodeProto) -> str:
        """The tensor that represents `value` exactly, named `name` if it is new. Raises ModelError if there is none."""
        return self._held(value, name, label(reader))

    def held_tensor(self, name: str) -> Tensor:
        """A tensor of the graph."""
        return self.layers.tensors[name]

    def shape(self, name: str) -> Shape:
        """The shape of a float value, without the batch. Raises ModelError if it is unknown or of another rank."""
        full = self.full_shape(name)
        shape = tuple(full[axis] for axis in axes_kept(full)) if full else ()
        if not 1 <= len(shape) <= MOST_AXES:
            raise ModelError(
                f"{name!r}: shape {full} for one image: up to {MOST_AXES} axes and the batch are supported"
            )
        return shape

    def full_shape(self, name: str) -> Shape:
        """The shape of a float value for one image, the batch included. Raises ModelError if it is unknown."""
        full = self._shapes.get(name, ())
        if min(full, default=0) < 1:
            raise ModelError(f"{name!r}: its shape is not known: export the model for one size of image")
        return full

    def constant_tensor(self, name: str, reader: NodeProto) -> str:
        """A tensor that holds a constant, quantized as it is in the file, or to its own range."""
        values, quantization = self.constants.quantized(name, reader)
        full = values.shape
        shape = full[1:] if len(full) > 1 and full[0] == 1 else full
        tensor = self.layers.add_tensor(name, shape, quantization)
        self.layers.add_layer(Constant(f"{name}, a constant", (), tensor.name, values.astype(np.int8).reshape(shape)))
        return tensor.name

    def _value(self, name: str, who: str) -> Value:
        if name not in self._values:
            kind = "a constant" if name in self.constants else "integers"
            raise ModelError(f"{who} reads {kind}, {name!r}: activations that come from {DEQUANTIZE} are supported")
        return self._values[name]

    def _held(self, value: Value, name: str, who: str) -> str:
        tensor = self.layers.settle_as_is(value, name)
        if tensor is None and who == _OUTPUT:
            raise ModelError(
                f"the network's output {name!r} is float: {QUANTIZE} and {DEQUANTIZE} must come last: quantize the "
                "model "
                "again with its output (in ONNX Runtime, without OpTypesToExcludeOutputQuantization), or save the "
                "float model with niwaki.save and export that"
            )
        if tensor is None:
            raise ModelError(
                f"{who} reads {name!r}, which is float (a float island): put {QUANTIZE} and {DEQUANTIZE} in between"
            )
        return tensor

    def _quantize(self, node: NodeProto) -> None:
        name, (quantization, factors) = node.input[0], self.constants.quantization(node)
        value = self.value(name, node)
        if (name, quantization, factors) not in self._settled:
            if factors:
                value = in_channels(value, quantization, factors, node)
            elif value.source is None:
                value = replace(value, source=self._quantize_input(node, quantization))
            self._settled[name, quantization, factors] = self.layers.settle(value, quantization, node.output[0])
        self._quantized[node.output[0]] = self._settled[name, quantization, factors]
        self._factors[node.output[0]] = factors

    def _clip_integers(self, node: NodeProto) -> None:
        """A Clip between QuantizeLinear and DequantizeLinear: equal to a Clip of the numbers that they represent."""
        tensor = self.layers.tensors[self._quantized[node.input[0]]]
        quantization = Quantization(tensor.scale, tensor.zero_point)
        moved = 128 if self.constants.is_unsigned(node.input[0]) else 0
        low, high = (
            default if bound is None else (int(bound.flat[0]) - moved - tensor.zero_point) * tensor.scale
            for bound, default in zip(self.constants.bounds(node), (-np.inf, np.inf), strict=True)
        )
        clipped = Value(tensor.name, tensor.shape).clamped(low, high)
        self._quantized[node.output[0]] = self.layers.settle(clipped, quantization, node.output[0])

    def _dequantize(self, node: NodeProto) -> None:
        name, (quantization, factors) = node.input[0], self.constants.quantization(node)
        if name == self.source and name not in self._values:
            self._quantized[name] = self._quantize_input(node, quantization)
        tensor = self.layers.tensors[self._quantized[name]]
        if self.constants.is_unsigned(name):
            self.unsigned.add(tensor.name)
        made = Quantization(tensor.scale, tensor.zero_point), self._factors.get(name, ())
        if made != (quantization, factors):
            raise ModelError(f"{label(node)}: a different scale or zero point than {name!r} was made with")
        self._values[node.output[0]] = Value(tensor.name, tensor.shape)
        self._factors[node.output[0]] = factors

    def table(self, about: Metadata) -> np.ndarray | None:
        """The input's int8 value for each raw pixel, (C, 256)."""
        shape = self.layers.tensors[self.source].shape
        if self.is_cast and len(shape) == 3:
            return np.tile(np.arange(256) + LOW, (shape[0], 1)).astype(np.int8)
        return table_of(about, shape, self.input_quantization)

    def _quantize_input(self, node: NodeProto, quantization: Quantization) -> str:
        if self.input_quantization is None:
            self.input_quantization = quantization
            self.layers.add_tensor(self.source, self.shape(self.source), quantization)
        if self.input_quantization != quantization:
            raise ModelError(f"{label(node)}: the input is quantized twice, with different scales: one is supported")
        return self.source


def _before_softmax(model: ModelProto, output: str, constants: Constants) -> tuple[str, tuple[str, ...]]:
    """The input of a last Softmax, and the names of the nodes from there on; the output itself if there is none."""
    makers = {name: node for node in model.graph.node for name in node.output}
    shapes, passed, name = shapes_of(model), [], output
    while (node := makers.get(name)) is not None and node.op_type in (*_SOFTMAX, QUANTIZE, DEQUANTIZE, "Identity"):
        passed.append(name_of(node))
        name = node.input[0]
        if node.op_type in _SOFTMAX:
            rank = len(shapes.get(name, ()))
            axis = attributes(node).get("axis", -1 if constants.opset >= 13 else 1)
            if rank != 2 or axis not in (1, -1):
                raise ModelError(f"{label(node)}: axis {axis} of {rank}: over (batch, classes), axis 1, is supported")
            return name, tuple(reversed(passed))
    return output, ()


def _needed(model: ModelProto, output: str, constants: Constants) -> list[NodeProto]:
    """The nodes that compute the output from the input, in order."""
    wanted, needed = {output}, []
    for node in reversed(model.graph.node):
        if wanted.isdisjoint(node.output) or node.output[0] in constants:
            continue
        needed.append(node)
        wanted.update(node.input[:1] if node.op_type in _FIRST_ONLY else node.input)
    return needed[::-1]
