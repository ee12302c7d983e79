"""Small ONNX files node by node, for what an exporter would not write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from niwaki.data.preprocessing import Preprocessing
from niwaki.models.onnxfile import write_metadata


def node(op_type: str, inputs: str, output: str, **attributes: object) -> NodeProto:
    """A node with the inputs between the spaces, named after its operator and output."""
    return helper.make_node(op_type, inputs.split(), [output], f"{op_type} {output}", **attributes)


def by_hand(
    nodes: Sequence[NodeProto], shape: tuple[int, ...] = (1, 1, 4), /, *, opset: int = 13, **values: object
) -> bytes:
    """A model from `input` (batch, *shape), prepared as x/255, to `logits`; `values` are its constants."""
    graph = onnx.GraphProto(name="by hand", node=nodes)
    for name, value in values.items():
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        graph.initializer.append(numpy_helper.from_array(array, name))
    graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *shape]))
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    model = ModelProto(graph=graph, opset_import=[helper.make_opsetid("", opset)], ir_version=7)
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    write_metadata(model, ("a", "b"), Preprocessing())
    return model.SerializeToString()


def pixels(count: int, shape: tuple[int, int, int] = (1, 1, 4), high: int = 256, seed: int = 0) -> np.ndarray:
    """Random images, uint8 (count, *shape), each pixel below `high`."""
    return np.random.default_rng(seed).integers(0, high, (count, *shape), dtype=np.uint8)


def constants(model: ModelProto | bytes) -> dict[str, np.ndarray]:
    """The initializers of a model."""
    model = onnx.load_from_string(model) if isinstance(model, bytes) else model
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def operators(model: ModelProto | bytes) -> list[str]:
    """The operators of a model in their order, without QuantizeLinear and DequantizeLinear."""
    model = onnx.load_from_string(model) if isinstance(model, bytes) else model
    return [node.op_type for node in model.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
