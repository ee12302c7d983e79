"""The conditions under which an int8 ONNX model computes what the float one does."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from niwaki.codegen.readers.qdq_operators import COMPUTED, ELEMENTWISE
from niwaki.errors import ModelError

# Operators that become int8: those that C can be generated from, and others that ONNX Runtime has in int8.
_JOINED, _PRODUCTS = (*ELEMENTWISE, "Relu", "Clip"), ("Conv", "Gemm", "MatMul")  # several between two quantizers
INT8_OPERATORS = (*COMPUTED, "Split")


def check_scales(model: ModelProto) -> None:
    """Check that every scale is a positive number, and that weights are symmetric, within ±127. Raises ModelError."""
    known = constants(model)
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero_point = known[node.input[1]], known[node.input[2]]
        bad = scale[~(np.isfinite(scale) & (scale > 0))]
        if bad.size:
            raise ModelError(f"{node.input[0]!r}: a scale of {bad.flat[0]:g}; scales must be positive numbers")
        values = known.get(node.input[0])
        if values is not None and values.dtype == np.int8 and values.ndim > 1 and scale.ndim == 1:
            if zero_point.any():
                raise ModelError(f"{node.input[0]!r}: weights with a zero point; they must be symmetric")
            if values.min() < -127:
                raise ModelError(f"{node.input[0]!r}: a weight of {int(values.min())}; expected −127 to 127")


def check_clamps(model: ModelProto, quantized: ModelProto) -> None:
    """Check that quantization does the work of each Relu and Clip of the float `model` that `quantized` lacks.

    For Relu the int8 −128 must stand for 0 or more, so that nothing negative passes; for Clip both ends of int8 must be
    within its bounds, to half a step. Raises ModelError naming the node.
    """
    floats, known = constants(model), constants(quantized)
    kept = {node.name for node in quantized.graph.node}
    removed = [node for node in model.graph.node if node.op_type in ("Relu", "Clip") and node.name not in kept]
    after = {node.input[0]: node.output[0] for node in removed}  # of two in a row, the last one has the quantizer
    quantizers = {node.name: node for node in quantized.graph.node if node.op_type == "QuantizeLinear"}
    for node in removed:
        low, high = bounds(node, floats)
        name = node.output[0]
        while f"{name}_QuantizeLinear" not in quantizers and name in after:
            name = after[name]
        quantizer = quantizers.get(f"{name}_QuantizeLinear")
        if quantizer is None:
            raise ModelError(f"{node.op_type} {node.name!r}: the quantizer removed it without a replacement")
        scale, zero_point = float(known[quantizer.input[1]]), int(known[quantizer.input[2]])
        ends = (-128 - zero_point) * scale, (127 - zero_point) * scale
        half = 0.501 * scale  # of a step, plus what float32 may add to it
        if ends[0] < low - (0 if node.op_type == "Relu" else half) or ends[1] > high + half:
            raise ModelError(
                f"{node.op_type} {node.name!r}: int8 stands for {ends[0]:g} to {ends[1]:g} there, outside {low:g} to "
                f"{high:g}: the clamp is lost; use bounds that include 0"
            )


def check_accumulators(model: ModelProto) -> None:
    """Check that no sum of a convolution or linear layer can exceed 32 bits: |bias| + Σ|w|·255 < 2³¹ for every output.

    Raises ModelError naming the layer and the output.
    """
    known = constants(model)
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weights, *rest = (known.get(sources.get(name, name)) for name in node.input[1:])
        if weights is None or weights.dtype != np.int8:
            continue
        by_output = weights if _outputs_first(node) else weights.swapaxes(0, -1)
        sums = np.abs(by_output.astype(np.int64)).reshape(len(by_output), -1).sum(1) * 255
        if rest and rest[0] is not None:
            sums = sums + np.abs(rest[0].astype(np.int64)).ravel()
        if sums.max() >= 1 << 31:
            raise ModelError(
                f"{node.op_type} {node.name!r}: output {int(sums.argmax())} could reach {int(sums.max()):,}, more "
                "than 32 bits can hold: its bias is far larger than its weights; train it again, or with weight "
                "decay"
            )


def float_nodes(model: ModelProto) -> list[NodeProto]:
    """The nodes that compute in float: not in INT8_OPERATORS, or not between DequantizeLinear and QuantizeLinear.

    Element-wise nodes one after another count as one, also after a layer; a final softmax does not count.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {output.name for output in model.graph.output}

    fixed = {tensor.name for tensor in model.graph.initializer}  # what depends on no image
    for node in model.graph.node:
        if node.op_type == "Shape" or all(name in fixed for name in node.input if name):
            fixed.update(node.output)

    def dequantized(name: str, node: NodeProto) -> bool:
        before = ("DequantizeLinear", *_JOINED, *_PRODUCTS) if node.op_type in _JOINED else ("DequantizeLinear",)
        return name not in makers or name in fixed or makers[name].op_type in before

    def quantized(name: str, node: NodeProto) -> bool:
        after = ("QuantizeLinear", *_JOINED) if node.op_type in (*_JOINED, *_PRODUCTS) else ("QuantizeLinear",)
        return bool(readers.get(name)) and all(reader.op_type in after for reader in readers[name])

    def between(node: NodeProto) -> bool:
        ready = all(dequantized(name, node) for name in node.input)
        return ready and all(quantized(name, node) for name in node.output)

    return [
        node
        for node in model.graph.node
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear")
        and not fixed.issuperset(node.output)
        and not (node.op_type in ("Softmax", "LogSoftmax") and node.output[0] in outputs)
        and not (node.op_type in INT8_OPERATORS and between(node))
    ]


def bounds(node: NodeProto, known: dict[str, np.ndarray]) -> tuple[float, float]:
    """The bounds to which a Relu or Clip node limits its values."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    low, high = (known.get(name) if name else None for name in (*node.input[1:3], "", "")[:2])
    return (-np.inf if low is None else float(low)), (np.inf if high is None else float(high))


def _outputs_first(node: NodeProto) -> bool:
    """Whether the weight's first axis is the output: for a convolution, and for Gemm with transB."""
    return node.op_type == "Conv" or any(
        attribute.name == "transB" and helper.get_attribute_value(attribute) for attribute in node.attribute
    )


def constants(model: ModelProto) -> dict[str, np.ndarray]:
    """The initializers of a model by name."""
    return {tensor.name: _array(tensor) for tensor in model.graph.initializer}


def _array(tensor: TensorProto) -> np.ndarray:
    array: np.ndarray = numpy_helper.to_array(tensor)
    return array
