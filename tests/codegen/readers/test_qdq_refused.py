"""QDQ models that are refused: each error names the node or tensor, and what is supported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from niwaki.codegen.graph.operators.products import Dense
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.errors import ModelError
from niwaki.models.onnxfile import ROUNDING, write_metadata
from qdq_models import ONES, Qdq, kinds, model_of, read, start

Bad = Callable[[Qdq, str], str]  # makes a model's output from its quantized input


def op(kind: str, *others: object, **attributes: object) -> Bad:
    """An operator, named in small letters, on the input and `others`, between quantizers.

    Others are arrays, "x" for the input once more, names, or functions that make an input.
    """

    def make(model: Qdq, x: str) -> str:
        inputs = [x]
        for other in others:
            if isinstance(other, np.ndarray | np.generic):
                inputs.append(model.constant(np.asarray(other)))
            else:
                inputs.append(other(model, x) if callable(other) else x if other == "x" else other)
        return model.qdq(model.node(kind, inputs, name=kind.lower(), **attributes), 1)

    return make


def conv(bias: object = "", **options: object) -> Bad:
    """A convolution between quantizers; its bias is an array, or "x" for the input."""

    def make(model: Qdq, x: str) -> str:
        name = model.constant(bias) if isinstance(bias, np.ndarray) else x if bias else ""
        return model.qdq(model.conv(x, name, **options), 1)

    return make


def weights(values: np.ndarray, scale: object = 1, zero_point: int = 0, axis: int = 0) -> Bad:
    return lambda model, _: model.dq(model.constant(values), scale, zero_point, values.dtype.type, axis=axis)


def branch(x: str) -> onnx.GraphProto:
    node = helper.make_node("Identity", [x], ["out"])
    return helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])


def two_convolutions(model: Qdq, x: str) -> str:
    return model.qdq(model.conv(model.conv(x), weights=np.ones((3, 3, 1, 1), np.int8), name="second"), 1)


def control_flow(model: Qdq, x: str) -> str:
    condition = model.constant(np.array(True))
    return model.qdq(model.node("If", [condition], name="if", then_branch=branch(x), else_branch=branch(x)), 1)


def integer_pool(model: Qdq, x: str) -> str:
    quantized = model.nodes[0].output[0]
    return model.dq(model.node("MaxPool", [quantized], kernel_shape=[2, 2], name="pool"), 0.5)


def shape_of_nothing(model: Qdq, x: str) -> str:
    side = model.node("Gather", [model.node("Shape", [x]), model.constant(np.array([7]))], name="side")
    return model.qdq(model.node("Reshape", [x, side]), 1)


def other_type(model: Qdq, _: str) -> str:
    return model.dq(model.constant(ONES), 1, 0, np.uint8)


def one_zero_point(model: Qdq, _: str) -> str:
    scales, zero_point = model.constant(np.ones(3, np.float32)), model.constant(np.int8(0))
    return model.node("DequantizeLinear", [model.constant(ONES), scales, zero_point], axis=0)


def transposed_badly(model: Qdq, x: str) -> str:
    return model.node("Transpose", [weights(ONES)(model, x)], perm=[0, 0])


def two_axes(model: Qdq, x: str, kind: str, name: str) -> str:
    """A slope for each channel, then a constant for each row, without a quantizer in between."""
    y = model.node("PRelu", [x, model.constant(np.ones((2, 1, 1), np.float32))])
    return model.qdq(model.node(kind, [y, model.constant(np.full((4, 1), 0.5, np.float32))], name=name), 1)


def both_axes(model: Qdq, x: str) -> str:
    """A slope for each row and one for each column, of functions that meet again."""
    slopes = [model.constant(np.ones(sides, np.float32)) for sides in ((4, 1), (1, 4))]
    return model.qdq(model.node("Add", [model.node("PRelu", [x, slope]) for slope in slopes], name="add"), 1)


def broadcast(model: Qdq, x: str) -> str:
    """Each of two matrices with each of two others: four products."""
    parts = [
        model.node("Reshape", [x, model.constant(np.array(shape))]) for shape in ((1, 1, 2, 4, 4), (1, 2, 1, 4, 4))
    ]
    return model.qdq(model.node("MatMul", parts, name="matmul"), 1)


def divided(model: Qdq, x: str) -> str:
    return model.qdq(model.node("Div", [model.constant(np.ones((2, 4, 4), np.float32)), x], name="div"), 1)


def resized(*sizes: int, **attributes: object) -> Bad:
    def make(model: Qdq, x: str) -> str:
        given = [x, "", "", model.constant(np.array(sizes))]
        return model.qdq(model.node("Resize", given, name="resize", **attributes), 1)

    return make


def matrices(model: Qdq, x: str) -> str:
    return model.qdq(model.node("MatMul", [x, model.qdq(model.conv(x), 1)], name="matmul"), 1)


def clipped(model: Qdq, x: str, low: np.ndarray) -> str:
    """An integer Clip between the two halves of a pair."""
    return model.dq(model.node("Clip", [model.q(x, 1), model.constant(low)], name="clip"), 1)


def softmax(axis: int) -> Bad:
    return lambda model, x: model.node("Softmax", [x], axis=axis, name="softmax")


FLOAT8, INT4 = map(helper.tensor_dtype_to_np_dtype, (TensorProto.FLOAT8E4M3FN, TensorProto.INT4))
NAN, HALF, EIGHT = np.float32(np.nan), np.float32(0.7), np.eye(8, dtype=np.int8)
SEEN = weights(np.ones((1, 2, 4, 4), np.int8))
IN_16_BITS: Bad = lambda model, _: model.qdq(model.constant(np.float32(ONES)), 1, 0, np.int16)  # noqa: E731
OF_NAN: Bad = lambda model, _: model.qdq(model.constant(np.full((3, 2, 1, 1), NAN)), 1)  # noqa: E731

OF_IMAGES: list[tuple[str, Bad]] = [
    ("Det 'det' is not supported; these are: .*Add, .*Conv.*Split", op("Det")),
    (
        "BatchNormalization 'batchn.*': constants of other shapes than \\(2,\\): one number for each channel",
        op("BatchNormalization", *[np.ones(3, np.float32)] * 4),
    ),
    ("the model: its shapes do not fit: .*No opset import for domain own", op("Conv", "x", domain="own")),
    ("If 'if' is not supported", control_flow),
    # float islands
    (r"Conv 'second' reads 'Conv\d+', which is float \(a float island\): put QuantizeLinear and De", two_convolutions),
    ("Conv 'conv' reads 'Clip.*float island", lambda m, x: conv()(m, m.node("Clip", [x, m.constant(HALF)]))),
    (
        "Conv 'conv' reads 'Pad.*float island",
        lambda m, x: conv()(m, m.node("Pad", [x, m.constant(np.zeros(8, int)), m.constant(HALF)])),
    ),
    (r"the network's output 'Conv\d+' is float: .* must come last: quantize the model again", lambda m, x: m.conv(x)),
    ("Conv 'conv' reads 'x', which is float", lambda m, _: m.qdq(m.conv("x"), 1)),
    ("MaxPool 'pool' reads integers, 'Q", integer_pool),
    # quantizers
    ("activations are int16, of more than 8 bits: .* as int8", lambda m, x: m.qdq(m.conv(x), 1, 0, np.int16)),
    ("activations are float8_e4m3fn, which are no integers: .* as int8", lambda m, x: m.qdq(m.conv(x), 1, 0, FLOAT8)),
    ("activations are int4, under 8 bits: .* weights may have 4 or 2", lambda m, x: m.qdq(m.conv(x), 1, 0, INT4)),
    ("QuantizeLinear '.*': 2 scales for one activation: only .*per_channel=False", lambda m, x: m.qdq(x, [1, 1])),
    ("ArgMax 'argmax' is not supported: leave it out: the C returns the scores", op("ArgMax", axis=1)),
    ("MatMulInteger 'matmulinteger' is not supported: quantize it again with calibration", op("MatMulInteger", "x")),
    ("Max 'max': 3 inputs: two are supported", op("Max", "x", "x")),
    ("Pow 'pow': two activations: a constant is supported, or two functions", op("Pow", "x")),
    (
        r"PRelu 'prelu': a constant of shape \(2, 4, 4\) for values of shape",
        op("PRelu", np.ones((2, 4, 4), np.float32)),
    ),
    (r"PRelu 'prelu': constants along two axes", lambda m, x: two_axes(m, x, "PRelu", "prelu")),
    (r"Mul 'mul': constants along two axes", lambda m, x: two_axes(m, x, "Mul", "mul")),
    (r"Max 'max': constants along two axes", lambda m, x: two_axes(m, x, "Max", "max")),
    ("QLinearAdd 'qlinearadd' is not supported: quantize it as QDQ", op("QLinearAdd")),
    ("Clip 'clip': a bound of 2 numbers: one is needed", lambda m, x: clipped(m, x, np.int8([1, 2]))),
    ("a different scale or zero point than 'Q", lambda m, x: m.dq(m.q(x, 1), 2)),
    ("a different scale or zero point than 'Q", lambda m, x: m.dq(m.q(x, 1), 1, 2)),
    ("the input is quantized twice, with different scales", op("Add", lambda m, _: m.qdq("x", 2))),
    ("DequantizeLinear '.*': a zero point of int8 for float32", lambda m, _: m.dq("x", 0.5)),
    ("QuantizeLinear 'q': 'Deq.*' must be a constant", lambda m, x: m.node("QuantizeLinear", [x, x], name="q")),
    # weights and biases
    ("Conv 'conv': 'constant.*' is not quantized: int8 constants with Deq", op("Conv", np.float32(ONES))),
    ("Conv 'conv': '.*' is not quantized", op("Conv", "x")),
    ("Conv 'conv': a weight scale for each input channel", op("Conv", weights(ONES, [1, 1], axis=1))),
    (r"2 scales for a constant of shape \(3, 2, 1, 1\)", op("Conv", weights(ONES, [1, 1]))),
    (r"2 scales for a constant of shape \(3, 2, 1, 1\)", op("Conv", weights(ONES, [1, 1], axis=-5))),
    ("DequantizeLinear '.*': a zero point of uint8 for int8", op("Conv", other_type)),
    ("DequantizeLinear '.*': 1 zero points for 3 scales", op("Conv", one_zero_point)),
    (r"Transpose 'Tr.*': perm \[0, 0\] of a constant with 4 axes", op("Conv", transposed_badly)),
    ("Conv 'conv': weights are int16: int8 and uint8", op("Conv", weights(np.int16(ONES)))),
    ("QuantizeLinear '.*': constants become int16", op("Conv", IN_16_BITS)),
    (r"Conv 'conv': weights \(3, 2, 1, 1\) in 2 groups do not match an input of shape \(2, 4, 4\)", conv(group=2)),
    (r"Conv 'conv': a bias of shape \(2,\): one number for each of 3", conv(np.zeros(2, np.float32))),
    ("Conv 'conv': 'constant.*' has values that are not finite", conv(np.array([0, NAN, 0], np.float32))),
    ("Conv 'conv': the bias '.*' must be a constant", conv("x")),
    (r"conv: the scale ratio 5e\+29 is too large", conv(scale=1e30)),
    (r"conv: the scale ratio .* is too large", conv(np.array([0, 0, 3e38], np.float32))),
    ("QuantizeLinear 'Q.*': 'constant.*' has NaN values", op("Conv", OF_NAN)),
    # what operators cannot do
    (r"Conv 'conv': kernel \(1, 1\), strides \(1, 1\), pads \(-1,", conv(pads=[-1, 0, 0, 0])),
    (r"MaxPool 'maxpool': kernel \(2,\), strides", op("MaxPool", kernel_shape=[2])),
    (r"MaxPool 'maxpool': dilations \(2, 2\)", op("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])),
    ("MaxPool 'maxpool': a window is entirely in the padding", op("MaxPool", kernel_shape=[2, 2], pads=[2, 0, 0, 0])),
    (r"ReduceMax 'reducemax': axes \[0\] of \(1, 2, 4, 4\): the batch", op("ReduceMax", axes=[0])),
    (r"Div 'div': a constant that varies along several axes", divided),
    (r"Concat 'concat': shapes .* along axis 0 do not give", op("Concat", "x", axis=0)),
    (r"Transpose 'transpose': its attributes do not fit its inputs", op("Transpose", perm=[0, 1])),
    ("Resize 'resize': mode cubic, half_pixel: nearest and linear", resized(1, 2, 8, 8, mode="cubic")),
    (
        "Resize 'resize': mode linear, tf_crop_and_resize: nearest",
        resized(1, 2, 8, 8, mode="linear", coordinate_transformation_mode="tf_crop_and_resize"),
    ),
    (r"Resize 'resize': linear from \(1, 2, 4, 4\) to \(1, 4, 8, 8\): over", resized(1, 4, 8, 8, mode="linear")),
    (
        r"InstanceNormalization 'instance.*': values of shape",
        op("InstanceNormalization", *[np.ones(3, np.float32)] * 2),
    ),
    (r"MatMul 'matmul': two activations of shapes \(2, 4, 4\) and \(3, 4, 4\)", matrices),
    (r"MatMul 'matmul': two activations of shapes \(1, 2, 4, 4\) and \(2, 1, 4, 4\)", broadcast),
    (r"Add 'add': constants along two axes", both_axes),
    (
        r"ReduceSum 'reducesum': without axes it does nothing: leave it out",
        op("ReduceSum", np.zeros(0, np.int64), noop_with_empty_axes=1),
    ),
    (r"Pad 'pad': mode constant, pads \[0, 0, -1", op("Pad", np.array([0, 0, -1, 0, 0, 0, 0, 0]))),
    (r"Pad 'pad': mode constant, pads \[0, 0, 1\]", op("Pad", np.array([0, 0, 1]))),
    (r"Pad 'pad': mode constant, pads \[1, 0", op("Pad", np.array([1, 0, 0, 0, 0, 0, 0, 0]))),
    ("Clip 'clip': 'constant.*' must be one number", op("Clip", NAN)),
    ("Clip 'clip': 'constant.*' must be one number", op("Clip", np.zeros(2, np.float32))),
    ("Clip 'clip': '.*' must be a constant", op("Clip", "x")),
    ("'Reshape.*': its shape is not known", op("Reshape", lambda m, x: m.node("NonZero", [x]))),
    ("Gather 'side' cannot be computed", shape_of_nothing),
    ("Softmax 'softmax': axis 1 of 4", softmax(1)),
]
OF_VECTORS: list[tuple[str, Bad]] = [
    ("Gemm 'gemm': weights are int16: int8 and uint8", op("Gemm", weights(np.int16(EIGHT)))),
    ("Gemm 'gemm': transA = 0, alpha = 1 and beta = 1", op("Gemm", weights(EIGHT), transA=1)),
    ("Gemm 'gemm': transA = 0, alpha = 1", op("Gemm", weights(EIGHT), alpha=0.5)),
    ("Gemm 'gemm': transA = 0, alpha = 1", op("Gemm", weights(EIGHT), beta=0.5)),
    (r"Gemm 'gemm': weights \(8, 4\) with an input of shape \(8,\)", op("Gemm", weights(EIGHT[:, :4]), transB=1)),
    (r"MatMul 'matmul': two activations of shapes \(8,\) and \(8,\)", op("MatMul", "x")),
    (r"MaxPool 'maxpool': an input of shape \(batch, 8\): \(batch, C, H, W\)", op("MaxPool", kernel_shape=[2, 2])),
    ("Softmax 'softmax': axis 0 of 2", softmax(0)),
]


def unchecked(model: Qdq, output: str, *, shape: list[int | str] | None = None, opset: int = 13) -> ModelProto:
    """What `Qdq.build` gives, whatever the checker thinks of it."""
    graph = helper.make_graph(
        model.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or model.shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in model.constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def refuse(make: Bad, message: str, *shape: int) -> None:
    model, x = start(*shape)
    with pytest.raises(ModelError, match=message):
        read_qdq(unchecked(model, make(model, x)), "the model")


@pytest.mark.parametrize(("message", "make"), OF_IMAGES)
def test_refused(message, make):
    refuse(make, message)


@pytest.mark.parametrize(("message", "make"), OF_VECTORS)
def test_refused_on_vectors(message, make):
    refuse(make, message, 8)


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf])
def test_scales_that_are_no_positive_numbers(scale):
    refuse(lambda m, x: m.qdq(m.conv(x), scale), rf"QuantizeLinear '.*': a scale of {scale} \(float32\): positive")
    refuse(conv(scale=[1, scale, 1]), rf"DequantizeLinear '.*': a scale of {scale}")


def test_scales_of_another_type():
    def make(model: Qdq, x: str) -> str:
        scale, zero_point = model.constant(np.float16(0.5)), model.constant(np.int8(0))
        weights = model.node("DequantizeLinear", [model.constant(ONES), scale, zero_point], name="dq")
        return model.qdq(model.node("Conv", [x, weights]), 1)

    refuse(make, r"DequantizeLinear 'dq': a scale of 0\.5 \(float16\): positive float32 is needed")


def test_scales_for_blocks():
    def make(model: Qdq, x: str) -> str:
        weights = model.dq(model.constant(ONES), np.full((3, 1, 1, 1), 0.5), block_size=2)
        return model.qdq(model.node("Conv", [x, weights]), 1)

    refuse(make, "DequantizeLinear '.*': scales for blocks")


def test_constants_of_another_type():
    """ONNX dequantizes none of 64 bits."""
    wide = helper.make_tensor("wide", TensorProto.INT64, [3, 2, 1, 1], [1, 2, 3, 4, 5, 6])
    model, x = start()
    weights = model.node("DequantizeLinear", ["wide", model.constant(np.float32(0.5))], name="dq")
    y = model.qdq(model.node("Conv", [x, weights]), 1)
    built = unchecked(model, y)
    built.graph.initializer.append(wide)
    with pytest.raises(ModelError, match="DequantizeLinear 'dq': a constant of int64: int8, uint8, .*, int4, uint4"):
        read_qdq(built, "the model")


def test_an_accumulator_that_could_overflow():
    """127 · 255 · 66,312 is just above 2³¹; one input fewer is fine."""
    for inputs, fits in ((66_311, True), (66_312, False)):
        model, x = start(inputs)
        weights = model.weights(np.full((1, inputs), 127, np.int8), 0.5)
        y = model.qdq(model.node("Gemm", [x, weights], transB=1, name="fc"), 1e6)
        if fits:
            assert isinstance(read(model, y).layers[0], Dense)
        else:
            with pytest.raises(ModelError, match="fc: channel 0 could reach 2,147,514,120"):
                read(model, y)


def test_float_models_are_told_how_to_be_quantized():
    model = Qdq((2, 4, 4))
    y = model.node("Conv", ["x", model.constant(np.float32(ONES))])
    with pytest.raises(ModelError, match="the model: a float ONNX, without QuantizeLinear: quantize it first: niwaki"):
        read(model, y)
    dynamic = model_of([helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])], {}, ["n", 4],
                       output_type=TensorProto.UINT8)  # fmt: skip
    with pytest.raises(ModelError, match="the model: quantized dynamically: activations are float"):
        read_qdq(dynamic, "the model")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (["n", 2, "height", "width"], r"input 'x': shape \(n, 2, height, width\): .* fixed dimensions"),
        (["n", 2, 4, None], r"input 'x': shape \(n, 2, 4, \?\)"),
        (["n", 2, 4], r"input 'x': shape \(n, 2, 4\): \(batch, C, H, W\) and \(batch, N\)"),
        ([8, 2, 4, 4], "input 'x': batches of 8: a free batch, or 1"),
    ],
)
def test_shapes_of_the_input(shape, message):
    model, x = start()
    with pytest.raises(ModelError, match=message):
        read_qdq(unchecked(model, model.qdq(model.conv(x), 1), shape=shape), "the model")


def test_types_of_the_input():
    model, x = start()
    built = unchecked(model, x)
    built.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    with pytest.raises(ModelError, match="input 'x': double: float, int8 and uint8 are supported"):
        read_qdq(built, "the model")


def test_several_inputs_or_outputs():
    model, x = start()
    built = model.build(model.qdq(model.conv(x), 1))
    built.graph.output.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, None))
    with pytest.raises(ModelError, match=r"the model: 2 outputs \(.*\): models with one are supported"):
        read_qdq(built, "the model")
    del built.graph.output[1]
    weights = built.graph.initializer[-1]
    built.graph.input.append(helper.make_tensor_value_info(weights.name, weights.data_type, weights.dims))
    assert kinds(read_qdq(built, "weights among the inputs, as old files have them")) == ["Conv"]
    built.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match=r"the model: 2 inputs \(x, mask\)"):
        read_qdq(built, "the model")


@pytest.mark.parametrize(("labels", "outputs"), [(7, 10), (11, 10), (1, 10)])
def test_a_name_for_each_output(labels, outputs):
    """With fewer, the C would read beyond its table of names."""
    model, x = start(4)
    weights = model.weights(np.ones((outputs, 4), np.int8), 0.5)
    built = model.build(model.qdq(model.node("Gemm", [x, weights], transB=1), 1))
    write_metadata(built, [f"class {index}" for index in range(labels)], None)
    with pytest.raises(
        ModelError, match=rf"metadata niwaki\.labels: {labels} names for {outputs} outputs: one for each"
    ):
        read_qdq(built, "the model")
    write_metadata(built, [], None)
    assert read_qdq(built, "the model").labels == ()


def test_a_bias_that_no_unit_carries():
    """66,000 weights of 127 leave no room for the bias in 32 bits, and half as fine they would lose four steps."""
    model, x = start(66_000)
    weights = model.weights(np.full((1, 66_000), 127, np.int8), 0.5)
    bias = model.constant(np.float32([5e7]))
    y = model.qdq(model.node("Gemm", [x, weights, bias], transB=1, name="fc"), 1e6)
    with pytest.raises(
        ModelError, match="fc: channel 0 could reach 2,337,410,000, more than 32 bits can hold: its bias"
    ):
        read(model, y)


def test_more_axes_than_five():
    refuse(op("Reshape", np.array([0, 2, 2, 2, 2, 2, 2])), "up to 5 axes and the batch are supported", 64)


def test_an_old_softmax_goes_over_all_axes_from_its_own_on():
    """Before opset 13, and its own axis is 1 if it does not say; over the last one it is what it is today."""
    for attributes, told in (({}, "axis 1"), ({"axis": 2}, "axis 2"), ({"axis": 3}, "")):
        model, x = start(opset=11)
        y = model.qdq(model.node("Softmax", [x], name="softmax", **attributes), 1 / 256, -128)
        y = model.qdq(model.node("Neg", [y]), 1)
        if told:
            with pytest.raises(
                ModelError, match=rf"^Softmax 'softmax': {told} of \(1, 2, 4, 4\) at opset 11: the last"
            ):
                read(model, y)
        else:
            assert kinds(read(model, y)) == ["Softmax", "Lookup"]


@pytest.mark.parametrize("factor", [1e9, -1e9])
def test_a_factor_too_large_for_the_scale(factor):
    model, x = start(opset=17)
    factors = model.constant(np.array([1, factor, 1, 1], np.float32))
    with pytest.raises(ModelError, match=r"a factor of ±1e\+09 is too large for the output's scale"):
        read(model, model.qdq(model.node("LayerNormalization", [x, factors]), 0.02))


@pytest.mark.parametrize(
    "make",
    [
        lambda m, x: m.node("ReduceSum", [x, m.constant(np.array([1]))]),
        lambda m, x: m.node("Sub", [x, m.qdq(m.node("GlobalAveragePool", [x]), 1)]),
        lambda m, x: m.node("Max", [x, m.qdq(m.node("Relu", [x]), 2)]),
        lambda m, x: m.node("Erf", [x]),
        lambda m, x: m.node("Mul", [x, m.constant(np.arange(2, dtype=np.float32).reshape(2, 1, 1))]),
    ],
)
def test_what_never_came_from_tensorflow_lite(make):
    """A file that says it rounds twice, and has what no .tflite file gives."""
    model, x = start()
    file = model.build(model.qdq(make(model, x), 1))
    assert read_qdq(file, "the model").layers
    helper.set_model_props(file, {ROUNDING: "twice"})
    with pytest.raises(
        ModelError, match="has no form that rounds twice, as TensorFlow Lite does: set .*niwaki.rounding"
    ):
        read_qdq(file, "the model")
