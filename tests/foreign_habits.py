"""What other tools' int8 files have that niwaki's own do not: one small graph for each habit, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from qdq_models import Qdq

IMAGE = (2, 6, 6)
CLASSES = 4


@dataclass(frozen=True)
class Habit:
    """A way to write an int8 network."""

    tools: str
    """Whose files have it."""
    found: str
    """What is in them."""
    made: str
    """What niwaki makes of it."""
    build: Callable[[], ModelProto]


def drawn(*shape: int, low: int = -127, high: int = 128, dtype: type = np.int8, seed: int = 0) -> np.ndarray:
    """Random integers."""
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def network(zero_point: int = -128, dtype: type = np.int8) -> tuple[Qdq, str]:
    """A network whose image, x/255, is quantized."""
    model = Qdq(IMAGE, opset=17)
    return model, model.qdq("x", 1 / 255, zero_point, dtype)


def ended(model: Qdq, x: str, channels: int, *, quantized: bool = True) -> str:
    """The mean of each channel and a matrix product; `x` has a scale of 0.0311941."""
    mean = model.qdq(model.node("GlobalAveragePool", [x]), 0.0207381, -100)
    flat = model.node("Flatten", [mean])
    weights = model.dq(model.constant(drawn(CLASSES, channels)), 0.0103127, axis=0)
    scores = model.node("Gemm", [flat, weights], transB=1, name="last")
    return model.qdq(scores, 0.0719253, 5) if quantized else scores


def unsigned_weights() -> ModelProto:
    model, x = network(0, np.uint8)
    weights = model.dq(model.constant(drawn(6, 2, 3, 3, low=0, high=256, dtype=np.uint8)), 0.00413279, 150, np.uint8)
    y = model.qdq(model.node("Conv", [x, weights], name="first"), 0.0311941, 120, np.uint8)
    depthwise = model.dq(model.constant(drawn(6, 1, 3, 3, low=0, high=256, dtype=np.uint8)), 0.00413279, 99, np.uint8)
    y = model.qdq(model.node("Conv", [y, depthwise], group=6, name="depthwise"), 0.0311941, 128, np.uint8)
    mean = model.qdq(model.node("GlobalAveragePool", [y]), 0.0207381, 128, np.uint8)
    last = model.dq(model.constant(drawn(CLASSES, 6, low=0, high=256, dtype=np.uint8)), 0.0103127, 0, np.uint8)
    y = model.node("Gemm", [model.node("Flatten", [mean]), last], transB=1, name="last")
    return model.build(model.qdq(y, 0.0719253, 120, np.uint8))


def scales_for_channels() -> ModelProto:
    model, x = network()
    scales = np.array([0.01117, 0.02089, 0.00413, 0.03021, 0.00167, 0.00913])
    y = model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first")
    y = model.node("Clip", [y, model.constant(np.float32(0)), model.constant(np.float32(9))])
    y = model.dq(model.q(y, scales, -128, axis=1), scales, -128, axis=1)
    weights = model.weights(drawn(12, 1, 3, 3), np.linspace(0.00413279, 0.0207381, 12))
    y = model.qdq(model.node("Conv", [y, weights], group=6, name="depthwise"), 0.0311941, -90)
    return model.build(ended(model, y, 12))


def factor_after_the_mean() -> ModelProto:
    model, x = network()
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    mean = model.node("Mul", [model.node("GlobalAveragePool", [y]), model.constant(np.float32(1.01))], name="factor")
    flat = model.node("Flatten", [model.qdq(mean, 0.0207381, -100)])
    y = model.node("Gemm", [flat, model.weights(drawn(CLASSES, 6), 0.0103127)], transB=1, name="last")
    return model.build(model.qdq(y, 0.0719253, 5))


def float_output() -> ModelProto:
    model, x = network()
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    return model.build(ended(model, y, 6, quantized=False))


def float_sum_at_the_end() -> ModelProto:
    """Two branches, of which one stays float until they are added."""
    model, x = network()
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    flat = model.node("Flatten", [model.qdq(model.node("GlobalAveragePool", [y]), 0.0207381, -100)])
    both = [
        model.qdq(
            model.node("Gemm", [flat, model.weights(drawn(CLASSES, 6, seed=n), 0.0103127)], transB=1), 0.0719253, 5
        )
        for n in (1, 2)
    ]
    return model.build(model.node("Softmax", [model.node("Add", both)], axis=1))


def clipped_integers() -> ModelProto:
    model = Qdq(IMAGE, opset=17)
    low, high = model.constant(np.int8(-127)), model.constant(np.int8(127))
    x = model.dq(model.node("Clip", [model.q("x", 1 / 127), low, high]), 1 / 127)
    weights = model.constant(np.float32(np.random.default_rng(5).normal(0, 0.4, (6, 2, 3, 3))))
    held = model.node("Clip", [model.q(weights, 0.151), model.constant(np.int8(-8)), model.constant(np.int8(7))])
    y = model.qdq(model.node("Conv", [x, model.dq(held, 0.151)], name="first"), 0.0311941, -90)
    return model.build(ended(model, y, 6))


def casts() -> ModelProto:
    """As torch.onnx writes a quantized module: each tensor and zero point is cast to the type that it has."""
    model = Qdq(IMAGE, opset=17)
    scale, zero = model.constant(np.float32(1 / 255)), model.node("Identity", [model.constant(np.uint8(0))])
    pixels = model.node("Cast", [model.node("QuantizeLinear", ["x", scale, zero])], to=TensorProto.UINT8)
    x = model.node("DequantizeLinear", [pixels, scale, model.node("Cast", [zero], to=TensorProto.UINT8)])
    weights = model.weights(drawn(6, 2, 3, 3), 0.0103127)
    zeros = model.node("ConstantOfShape", [model.constant(np.array([6]))], value=numpy_helper.from_array(np.zeros(1)))
    bias = [
        model.constant(drawn(6, low=-3000, high=3000, dtype=np.int32)),
        model.constant(np.full(6, 4e-5, np.float32)),
    ]
    bias = model.node("DequantizeLinear", [*bias, model.node("Cast", [zeros], to=TensorProto.INT32)], axis=0)
    y = model.node("Relu", [model.node("Conv", [x, weights, bias], name="first")])
    return model.build(ended(model, model.qdq(y, 0.0311941, 10, np.uint8), 6))


def rows_of_integers() -> ModelProto:
    """As tf2onnx writes a .tflite: rows of pixels, and integers that are padded, pooled, turned and joined."""
    model = Qdq((6, 6, 2), opset=13)
    first = model.node("Transpose", [model.q("x", 1 / 255, -128)], perm=[0, 3, 1, 2])
    pads = model.constant(np.array([0, 0, 1, 1, 0, 0, 0, 0]))
    padded = model.node("Pad", [first, pads, model.constant(np.int8(-128))])
    x = model.dq(padded, 1 / 255, -128)
    y = model.q(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    y = model.node("MaxPool", [y], kernel_shape=[2, 2])
    parts = [[[0, 0], [3, 3], [2, 3]], [[1, 1], [4, 4], [2, 3]]]
    cut = [model.node("Slice", [y, *(model.constant(np.array(part)) for part in one)]) for one in parts]
    y = model.node("Transpose", [model.node("Concat", cut, axis=1)], perm=[0, 2, 3, 1])
    turned = model.node(
        "Transpose", [model.node("Reshape", [y, model.constant(np.array([-1, 3, 3, 12]))])], perm=[0, 3, 1, 2]
    )
    return model.build(ended(model, model.dq(turned, 0.0311941, -90), 12))


def integer_products() -> ModelProto:
    """As some tools write a static product: integers, then Cast and the product of the scales."""
    model = Qdq(IMAGE, opset=17)
    pixels = model.q("x", 1 / 255, 0, np.uint8)
    weights = [model.constant(drawn(6, 2, 3, 3)), model.constant(np.uint8(0)), model.constant(np.int8(3))]
    counts = model.node("ConvInteger", [pixels, *weights], name="first")
    counts = model.node("Add", [counts, model.constant(drawn(6, 1, 1, low=-9000, high=9000, dtype=np.int32))])
    number = model.node("Mul", [model.node("Cast", [counts], to=TensorProto.FLOAT), model.constant(np.float32(4e-5))])
    mean = model.q(model.node("GlobalAveragePool", [model.qdq(number, 0.0311941, -90)]), 0.0207381, -100)
    last = [model.constant(drawn(6, CLASSES)), model.constant(np.int8(-100))]
    counts = model.node("MatMulInteger", [model.node("Flatten", [mean]), *last], name="last")
    number = model.node("Mul", [model.node("Cast", [counts], to=TensorProto.FLOAT), model.constant(np.float32(2e-4))])
    return model.build(model.qdq(number, 0.0719253, 5))


def class_at_the_end() -> ModelProto:
    model, x = network()
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    picked = model.node("ArgMax", [ended(model, y, 6)], axis=1, keepdims=0)
    return model.build(picked, output_type=TensorProto.INT64)


def scaled_inside() -> ModelProto:
    model = Qdq(IMAGE, opset=17)
    mean, deviation = (model.constant(np.float32(one).reshape(2, 1, 1)) for one in ([0.48, 0.41], [0.22, 0.26]))
    x = model.qdq(model.node("Div", [model.node("Sub", ["x", mean]), deviation]), 0.0213)
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.00103127)], name="first"), 0.0311941, -90)
    return model.build(ended(model, y, 6))


def transposed() -> ModelProto:
    model, x = network()
    weights = model.weights(drawn(2, 6, 3, 3), np.linspace(0.02, 0.04, 6).astype(np.float32), axis=1)
    given = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 0]}
    y = model.qdq(model.node("ConvTranspose", [x, weights], **given), 0.0311941, -90)
    return model.build(ended(model, y, 6))


def bytes_inside() -> ModelProto:
    model = Qdq(IMAGE, opset=17)
    x = model.node("Mul", [model.node("Cast", ["x"], to=TensorProto.FLOAT), model.constant(np.float32(1 / 255))])
    x = model.qdq(x, 1 / 255, -128)
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first"), 0.0311941, -90)
    return model.build(ended(model, y, 6), input_type=TensorProto.UINT8)


def integer_input() -> ModelProto:
    model = Qdq(IMAGE, opset=17)
    x = model.dq("x", 0.0173, 9)
    y = model.qdq(model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.00103127)], name="first"), 0.0311941, -90)
    return model.build(ended(model, y, 6), input_type=TensorProto.INT8)


HABITS: dict[str, Habit] = {
    "float output": Habit(
        "NNCF, INC, ModelOpt, torchao (x86), ONNX Runtime (OpTypesToExcludeOutputQuantization)", "a float output",
        "int8 scores over the range on `--data`, or a bound for any input", float_output,
    ),
    "float sum": Habit("NNCF, torchao (x86)", "a float sum and Softmax at the end", "the same", float_sum_at_the_end),
    "clipped integers": Habit(
        "Brevitas (QCDQ)", "Clip of integers, of weights and of activations", "exact", clipped_integers,
    ),
    "casts": Habit("PyTorch FX (torch.onnx)", "Cast of integers to their own type", "exact", casts),
    "rows of integers": Habit(
        "tf2onnx", "rows of pixels; Pad, MaxPool, Slice, Concat, Transpose, Reshape of integers",
        "exact; the C takes rows of pixels (HWC)", rows_of_integers,
    ),
    "integer products": Habit(
        "ConvInteger, MatMulInteger of static scales", "sums of integers, Cast, Mul", "exact", integer_products,
    ),
    "class at the end": Habit("any exporter", "ArgMax at the end", "left out: the C returns scores", class_at_the_end),
    "scaled inside": Habit("any exporter", "(x - mean) / std in the network", "exact for x/255", scaled_inside),
    "bytes inside": Habit("any exporter", "uint8 input, Cast and Mul in the network", "exact", bytes_inside),
    "integer input": Habit("tf2onnx, ONNX Runtime", "an int8 input of any scale", "exact", integer_input),
    "unsigned weights": Habit(
        "ONNX Runtime (u8u8), QNN, esp-ppq (PPL_DSP)", "uint8 weights with a zero point",
        "exact: weights beyond int8 become a sum of two, over a doubled input", unsigned_weights,
    ),
    "transposed": Habit(
        "ONNX Runtime, NNCF", "ConvTranspose", "exact: one convolution, whose numbers go to their places", transposed
    ),
    "scales for channels": Habit(
        "NNCF", "a scale for each channel before a depthwise convolution", "exact", scales_for_channels,
    ),
    "factor after the mean": Habit(
        "AMD Quark (XINT8)", "a factor after GlobalAveragePool", "exact: part of the mean's own", factor_after_the_mean
    ),
}  # fmt: skip


def activations_of(kind: int) -> ModelProto:
    model, x = network()
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    y = model.node("Conv", [x, model.weights(drawn(6, 2, 3, 3), 0.0103127)], name="first")
    parameters = [model.constant(np.float32(0.0311941)), model.constant(np.zeros((), dtype))]
    q = model.node("QuantizeLinear", [y, *parameters], name="rounded")
    model.opset = 25
    return model.build(ended(model, model.node("DequantizeLinear", [q, *parameters]), 6))


def dynamic() -> ModelProto:
    """As onnxruntime's quantize_dynamic writes a linear layer: its range is measured while it runs."""
    model = Qdq(IMAGE, opset=17)
    model.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], "measured"))
    flat = model.node("Flatten", ["q"])
    counts = model.node("MatMulInteger", [flat, model.constant(drawn(72, CLASSES)), "zero"], name="last")
    number = model.node("Cast", [counts], to=TensorProto.FLOAT)
    return model.build(model.node("Mul", [number, "scale"]))


def scales_of_inputs() -> ModelProto:
    model, x = network()
    weights = model.weights(drawn(2, 2, 3, 3), [0.0103127, 0.0207381], axis=1)
    return model.build(ended(model, model.qdq(model.node("Conv", [x, weights], name="first"), 0.0311941, -90), 2))


def float_layer() -> ModelProto:
    model, x = network()
    weights = model.constant(np.float32(drawn(6, 2, 3, 3) / 99))
    return model.build(ended(model, model.qdq(model.node("Conv", [x, weights], name="first"), 0.0311941, -90), 6))


REFUSED: dict[str, Habit] = {
    "dynamic": Habit(
        "ONNX Runtime (quantize_dynamic)", "ranges of activations measured while it runs", "quantized dynamically",
        dynamic,
    ),
    "16 bits": Habit(
        "ONNX Runtime (A16W8), QNN, AIMET", "int16 or uint16 activations", "activations are int16, of more than 8 bits",
        partial(activations_of, TensorProto.INT16),
    ),
    "float8": Habit(
        "ModelOpt, ONNX Runtime", "float8 activations", "activations are float8_e4m3fn, which are no integers",
        partial(activations_of, TensorProto.FLOAT8E4M3FN),
    ),
    "under 8 bits": Habit(
        "Brevitas, AIMET", "activations of 4 bits", "activations are int4, under 8 bits",
        partial(activations_of, TensorProto.INT4),
    ),
    "scales of inputs": Habit(
        "ONNX Runtime before 1.20", "a weight scale for each input channel", "a weight scale for each input channel",
        scales_of_inputs,
    ),
    "float layer": Habit(
        "ModelOpt, partial quantization", "a layer whose weights are float", "is not quantized: .* every layer",
        float_layer,
    ),
}  # fmt: skip
"""What niwaki refuses; `made` is in its error."""
