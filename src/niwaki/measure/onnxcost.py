"""What an ONNX model costs, from its shapes: parameters, multiply-accumulates, bytes by data type; float and int8."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from niwaki.errors import ModelError, first_line
from niwaki.measure.cost import Cost, LayerCost
from niwaki.models.onnxcheck import stored_bytes

# Which inputs of an operator are parameters, if they are constants with at least one axis.
_PARAMETERS: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "Gemm": (0, 1, 2),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "LayerNormalization"), (1, 2)),
    **dict.fromkeys(("MatMul", "MatMulInteger", "Add", "Sub", "Mul", "Div"), (0, 1)),
    "ConvInteger": (1,),
    "ConvTranspose": (1, 2),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2, 3)),
    "Einsum": (0, 1, 2, 3),
    "PRelu": (1,),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (0, 3),
}
_WEIGHT_OF_CONV = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul")
_RECURRENT = ("LSTM", "GRU", "RNN")
_UNKNOWN_WORK = ("Attention", "DFT", "DeformConv", "If", "Loop", "STFT", "Scan")
_AROUND_A_LAYER = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Identity")


def count_onnx(model: ModelProto) -> Cost:
    """Count parameters, MACs and bytes of an ONNX `model` for one image, as `measure.cost.count` does for a module.

    MACs are those of convolutions and matrix products without bias, also in recurrent layers and einsum; quantization
    does not change their number. Parameters are weights and biases, including int8 and int32 ones; scales, zero points,
    shapes and bounds are bytes, but not parameters. Batch norm is folded at export, so the file has fewer parameters
    than its module, and a bias even if the module had none. What quantization adds around a layer counts with that
    layer, and what it does to the input is in a first row, `input`. `macs_tp` is None.

    Raises ModelError if shapes do not follow from the file, and for operators with unknown MACs.
    """
    layers = _Layers(model)
    for node in model.graph.node:
        layers.take(node)
    rows = layers.rows()
    sizes: dict[str, int] = {}
    for constant in layers.constants.values():
        sizes[constant.dtype] = sizes.get(constant.dtype, 0) + constant.bytes
    return Cost(sum(row.params for row in rows), sum(row.macs for row in rows), None, sizes, rows)


@dataclass(frozen=True)
class _Constant:
    shape: tuple[int, ...]
    dtype: str
    bytes: int

    @property
    def is_value(self) -> bool:
        """Whether it could be a parameter: not a single number, a shape or an index."""
        return bool(self.shape) and self.dtype not in ("int64", "bool")


@dataclass(eq=False)
class _Layer:
    """An operator and what quantization adds around it."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    macs: int = 0
    owned: dict[str, bool] = field(default_factory=dict)  # its constants, and whether each is a parameter


class _Layers:
    """The layers of a graph while its nodes are visited: which layer each activation and each constant belongs to."""

    def __init__(self, model: ModelProto) -> None:
        self.shapes, self.dtypes = _tensors(model)
        self.constants = {tensor.name: _constant(tensor) for tensor in model.graph.initializer}
        # For an activation, the layer that it comes from; for another tensor, the constants that it is made of, and
        # whether each is a value (a possible parameter) rather than a scale, a zero point or a shape.
        self.layer_of: dict[str, _Layer] = {}
        self.made_of = {name: {name: constant.is_value} for name, constant in self.constants.items()}
        self.found: list[_Layer] = []
        self.claimed: set[str] = set()  # constants that a layer owns
        for value in model.graph.input:
            if value.name not in self.constants:
                self._add(_Layer(value.name, "Input", self.shapes[value.name], self.dtypes[value.name]), value.name)
        if not self.found:
            raise ModelError("the ONNX model has no input, so its cost cannot be counted")
        self.batch = next(iter(self.found[0].shape), 1)

    def rows(self) -> tuple[LayerCost, ...]:
        """A row for every operator, and for the input if it owns constants."""
        unclaimed = [name for name in self.constants if name not in self.claimed]
        self.found[0].owned.update(dict.fromkeys(unclaimed, False))
        shown = [layer for layer in self.found if layer.kind != "Input" or layer.owned]
        return tuple(self._cost(layer) for layer in shown)

    def take(self, node: NodeProto) -> None:
        """Add a node to its layer, or start a layer with it."""
        if node.domain not in ("", "ai.onnx") or node.op_type in _UNKNOWN_WORK:
            operator = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
            raise ModelError(
                f"node {node.name!r}: the MACs of {operator} are unknown, so niwaki cannot count this model"
            )
        if node.op_type == "Constant":
            self._constant(node)
            return
        activations = [name for name in node.input if name in self.layer_of]
        if not activations:
            self._combine(node)
            return
        layer = self.layer_of[activations[0]]
        around = node.op_type in _AROUND_A_LAYER
        if not around and not self._finishes(node, layer, activations):
            layer = self._begin(node)
        parameters = () if around else _PARAMETERS.get(node.op_type, ())
        for position, name in enumerate(node.input):
            self._claim(layer, name, position in parameters)
        self.layer_of[node.output[0]] = layer
        if around:
            self.made_of.update((name, {}) for name in node.output[1:])  # scale and zero point, computed at run time
        if node.op_type == "QuantizeLinear" and not any(layer.owned.values()):
            layer.dtype = self.dtypes.get(node.output[0], layer.dtype)
        for name in () if around else node.output[1:]:
            self.layer_of[name] = layer

    def _begin(self, node: NodeProto) -> _Layer:
        shape = self._shape(node, node.output[0])
        layer = _Layer(layer_name(node), node.op_type, shape, self.dtypes.get(node.output[0], ""))
        layer.macs = self._macs(node, shape)
        self._add(layer, node.output[0])
        return layer

    def _finishes(self, node: NodeProto, layer: _Layer, activations: list[str]) -> bool:
        """Whether `node` only rescales an integer product, or adds the bias of a matrix product."""
        if len(activations) != 1 or layer.kind not in ("MatMul", "MatMulInteger", "ConvInteger"):
            return False
        if node.op_type == "Mul":
            return layer.kind.endswith("Integer") and not any(self._values(node))
        return node.op_type == "Add" and any(self._values(node)) and sum(layer.owned.values()) == 1

    def _values(self, node: NodeProto) -> list[bool]:
        return [is_value for name in node.input for is_value in self.made_of.get(name, {}).values()]

    def _combine(self, node: NodeProto) -> None:
        """A node on constants (a weight that is dequantized, reshaped) or on scales computed at run time."""
        of_scales = node.op_type == "Mul" and any(not self.made_of.get(name, {"": True}) for name in node.input)
        made_of: dict[str, bool] = {}
        for position, name in enumerate(node.input):
            for constant, is_value in self.made_of.get(name, {}).items():
                made_of.setdefault(constant, is_value and position == 0 and not of_scales)
        self.made_of.update(dict.fromkeys(node.output, made_of))

    def _claim(self, layer: _Layer, name: str, as_parameter: bool) -> None:
        for constant, is_value in self.made_of.get(name, {}).items():
            if constant not in self.claimed:
                self.claimed.add(constant)
                layer.owned[constant] = as_parameter and is_value

    def _macs(self, node: NodeProto, output: tuple[int, ...]) -> int:
        if node.op_type in _WEIGHT_OF_CONV:
            weight = self._shape(node, node.input[_WEIGHT_OF_CONV[node.op_type]])
            return output[0] * prod(output[2:]) * prod(weight)
        if node.op_type in _PRODUCTS:
            first = self._shape(node, node.input[0])
            transposed = node.op_type == "Gemm" and _attribute(node, "transA")
            return prod(output) * (first[0] if transposed else first[-1])
        if node.op_type == "ConvTranspose":
            first, weight = (self._shape(node, name) for name in node.input[:2])
            return first[0] * prod(first[2:]) * prod(weight)
        if node.op_type in _RECURRENT:  # every weight once at every step
            first, *weights = (self._shape(node, name) for name in node.input[:3])
            return prod(first[:2]) * sum(prod(weight) for weight in weights)
        if node.op_type == "Einsum":
            return _einsum(node, [self._shape(node, name) for name in node.input])
        return 0

    def _shape(self, node: NodeProto, name: str) -> tuple[int, ...]:
        if name not in self.shapes:
            raise ModelError(f"node {node.name!r} ({node.op_type}): the shape of {name!r} is not in the file")
        return self.shapes[name]

    def _constant(self, node: NodeProto) -> None:
        tensors = [entry.t for entry in node.attribute if entry.type == AttributeProto.TENSOR]
        for tensor in tensors:
            self.constants[node.output[0]] = constant = _constant(tensor)
            self.made_of[node.output[0]] = {node.output[0]: constant.is_value}

    def _add(self, layer: _Layer, output: str) -> None:
        self.found.append(layer)
        self.layer_of[output] = layer

    def _cost(self, layer: _Layer) -> LayerCost:
        parameters = [self.constants[name] for name, is_parameter in layer.owned.items() if is_parameter]
        return LayerCost(
            name=layer.name, kind=layer.kind, output_shape=layer.shape[1:],
            params=sum(prod(constant.shape) for constant in parameters), macs=layer.macs // self.batch,
            dtype=parameters[0].dtype if parameters else layer.dtype,
            bytes=sum(self.constants[name].bytes for name in layer.owned),
        )  # fmt: skip


def _tensors(model: ModelProto) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shape and data type of every tensor, for a batch of one if the batch is free."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    del fixed.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"the ONNX has shapes that do not fit together: {first_line(error)}") from error
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    shapes = {value.name: shape for value in values if (shape := _dims(value)) is not None}
    dtypes = {value.name: _dtype(value.type.tensor_type.elem_type) for value in values}
    for tensor in model.graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
    for value in model.graph.input:
        if value.name not in shapes:
            raise ModelError(f"input {value.name!r}: its shape is not fixed; only the batch may be free")
    return shapes, dtypes


def _dims(value: ValueInfoProto) -> tuple[int, ...] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return tuple(int(dim.dim_value) for dim in tensor.shape.dim)


def _constant(tensor: TensorProto) -> _Constant:
    shape, dtype = tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return _Constant(shape, dtype.name, stored_bytes(tensor.data_type, prod(shape)))


def _dtype(elem_type: int) -> str:
    return str(helper.tensor_dtype_to_np_dtype(elem_type).name) if elem_type else ""


def layer_name(node: NodeProto) -> str:
    """The name of a node's layer in `Cost.layers`: the layer that a weight names, or the node's own name.

    A node that reads `fc1.weight_quantized` is of `fc1`.
    """
    for name in node.input[1:]:
        layer, weight, _ = name.partition(".weight")
        if layer and weight:
            return str(layer)
    return str(node.name or node.op_type)


def _einsum(node: NodeProto, shapes: list[tuple[int, ...]]) -> int:
    """One for every combination of all its letters: the cost of a product of two tensors; none for a single tensor."""
    equation = next(entry.s.decode(errors="replace") for entry in node.attribute if entry.name == "equation")
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if len(terms) < 2:
        return 0
    if len(terms) > 2 or "." in equation or [len(term) for term in terms] != [len(shape) for shape in shapes]:
        raise ModelError(
            f"node {node.name!r}: the MACs of Einsum {equation!r} are unknown, so niwaki cannot count this model"
        )
    sizes = {letter: size for term, shape in zip(terms, shapes, strict=True) for letter, size in zip(term, shape)}  # noqa: B905
    return prod(sizes.values())


def _attribute(node: NodeProto, name: str) -> int:
    return next((int(entry.i) for entry in node.attribute if entry.name == name), 0)
