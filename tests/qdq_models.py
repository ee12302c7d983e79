"""Small QDQ models, written node by node or by ONNX Runtime's quantizer, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import Mode, open_session, quiet

ONES = np.ones((3, 2, 1, 1), np.int8)


def model_of(
    nodes: Sequence[NodeProto], constants: dict[str, np.ndarray], shape: Sequence[int | str], *,
    output: str = "y", input_type: int = TensorProto.FLOAT, output_type: int = TensorProto.FLOAT, opset: int = 13,
) -> ModelProto:  # fmt: skip
    """A model from `x` of that shape (the batch included) to `output`, checked."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", input_type, shape)],
        [helper.make_tensor_value_info(output, output_type, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output[0]
    model.graph.output[0].type.tensor_type.shape.CopyFrom(inferred.type.tensor_type.shape)
    onnx.checker.check_model(model)
    return model


class Qdq:
    """A QDQ model in the making. Each method returns the name of what it makes.

    >>> model = Qdq((2, 4, 4))
    >>> x = model.qdq("x", 0.5, 3)
    >>> y = model.node("MaxPool", [x], kernel_shape=[2, 2])
    >>> model.build(model.qdq(y, 0.5, 3)).graph.node[2].op_type
    'MaxPool'
    """

    def __init__(self, shape: Sequence[int | str], *, batch: int | str = "n", opset: int = 13) -> None:
        self.shape, self.opset = [batch, *shape], opset
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, value: np.ndarray, name: str = "") -> str:
        name = name or f"constant{len(self.constants)}"
        self.constants[name] = value
        return name

    def node(self, kind: str, inputs: Sequence[str], *, name: str | None = None, **attributes: object) -> str:
        output = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output if name is None else name, **attributes))
        return output

    def parameters(self, scale: object, zero_point: object, dtype: type) -> list[str]:
        scales = np.array(scale, np.float32)
        return [self.constant(scales), self.constant(np.broadcast_to(np.array(zero_point, dtype), scales.shape))]

    def q(self, x: str, scale: object, zero_point: object = 0, dtype: type = np.int8, **attributes: object) -> str:
        return self.node("QuantizeLinear", [x, *self.parameters(scale, zero_point, dtype)], **attributes)

    def dq(self, x: str, scale: object, zero_point: object = 0, dtype: type = np.int8, **attributes: object) -> str:
        return self.node("DequantizeLinear", [x, *self.parameters(scale, zero_point, dtype)], **attributes)

    def qdq(self, x: str, scale: object, zero_point: object = 0, dtype: type = np.int8) -> str:
        return self.dq(self.q(x, scale, zero_point, dtype), scale, zero_point, dtype)

    def weights(self, values: np.ndarray, scale: object, axis: int = 0) -> str:
        """Stored as they are; int8, uint8 (zero point 128) or int32."""
        zero_point = 128 if values.dtype == np.uint8 else 0
        return self.dq(self.constant(values), scale, zero_point, values.dtype.type, axis=axis)

    def conv(
        self, x: str, bias: str = "", weights: np.ndarray = ONES, scale: object = 0.25, *, name: str = "conv",
        **attributes: object,
    ) -> str:  # fmt: skip
        inputs = [x, self.weights(weights, scale), *([bias] if bias else [])]
        return self.node("Conv", inputs, name=name, **attributes)

    def build(self, output: str, **options: int) -> ModelProto:
        return model_of(self.nodes, self.constants, self.shape, output=output, opset=self.opset, **options)


def start(*shape: int, scale: float = 0.5, zero_point: int = 0, **options: int) -> tuple[Qdq, str]:
    """A model whose input, (2, 4, 4) unless said otherwise, is quantized, and that input."""
    model = Qdq(shape or (2, 4, 4), **options)
    return model, model.qdq("x", scale, zero_point)


def read(model: Qdq, output: str, **options: int) -> Graph:
    """What becomes of the model's file."""
    return read_qdq(load_onnx(model.build(output, **options).SerializeToString()), "the model")


def kinds(graph: Graph) -> list[str]:
    return [type(layer).__name__ for layer in graph.layers]


class _Calibration(CalibrationDataReader):
    def __init__(self, inputs: np.ndarray) -> None:
        self.batches: Iterator[np.ndarray] = iter(np.array_split(inputs, 2))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch}


def quantized(model: ModelProto, inputs: np.ndarray, folder: Path, **options: object) -> ModelProto:
    """A float model as ONNX Runtime's static quantizer leaves it: int8, a weight scale for each output channel."""
    with quiet():
        quantize_static(
            model, folder / "int8.onnx", _Calibration(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=options.pop("activation_type", QuantType.QInt8), weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, **options},
        )  # fmt: skip
    return onnx.load(folder / "int8.onnx")


def runtime_scores(model: ModelProto, graph: Graph, inputs: np.ndarray, mode: Mode = "plain") -> np.ndarray:
    """What ONNX Runtime computes for int8 `inputs` of `graph`, as int8 of its output.

    Plain: each node runs in float as ONNX defines it.
    """
    session = open_session(model.SerializeToString(), mode)
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    kind = session.get_inputs()[0].type
    if kind == "tensor(float)":
        fed = ((inputs.astype(np.float32) - source.zero_point) * np.float32(source.scale)).astype(np.float32)
    else:
        fed = inputs if kind == "tensor(int8)" else (inputs.astype(np.int16) + 128).astype(np.uint8)
    batch = session.get_inputs()[0].shape[0]
    parts = [fed] if batch != 1 else [image[None] for image in fed]
    found = np.concatenate([session.run(None, {"x": part})[0] for part in parts])
    if found.dtype == np.float32:
        return (np.rint(found / np.float32(target.scale)) + target.zero_point).astype(np.int8)
    return found if found.dtype == np.int8 else (found.astype(np.int16) - 128).astype(np.int8)
