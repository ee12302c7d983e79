"""What each operator of a TensorFlow Lite file is in ONNX: a function from operator to what stands for its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor
from niwaki.foreign.tflite_nodes import Held, Nodes

_ACTIVATIONS: dict[float, tuple[str, tuple[float, ...]]] = {
    1: ("Relu", ()), 2: ("Clip", (-1.0, 1.0)), 3: ("Clip", (0.0, 6.0)),
}  # fmt: skip
_NHWC = {0: 0, 1: 2, 2: 3, 3: 1}  # an axis of an image in the file, and in the ONNX
_SAME, _VALID = 0, 1


def _conv(operator: FileOperator, made: Nodes) -> Held:
    """Weights (O, H, W, I / groups) become (O, I / groups, H, W)."""
    source = _image(operator, made)
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values = _axes(operator, weights, 4).transpose(0, 3, 1, 2)
    if source[1] % values.shape[1] or values.shape[0] % (source[1] // values.shape[1]):
        raise ModelError(f"{operator.name}: weights {weights.shape} do not match an input of {source[1]} channels")
    return _product(operator, made, weights, values, groups=source[1] // values.shape[1])


def _depthwise(operator: FileOperator, made: Nodes) -> Held:
    """Weights (1, H, W, I * multiplier) become (I * multiplier, 1, H, W)."""
    source = _image(operator, made)
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values = _axes(operator, weights, 4).transpose(3, 0, 1, 2)
    if values.shape[1] != 1 or values.shape[0] % source[1]:
        raise ModelError(f"{operator.name}: weights {weights.shape} do not match an input of {source[1]} channels")
    return _product(operator, made, weights, values, groups=source[1])


def _product(operator: FileOperator, made: Nodes, weights: FileTensor, values: np.ndarray, groups: int) -> Held:
    source, outputs = made.input(operator), len(values)
    dilations = [int(operator.options[f"Dilation{side}Factor"]) for side in "HW"]
    pads, sides = _window(operator, source.shape, values.shape[2:], dilations)
    inputs = [source.name, *_constants(operator, made, weights, values)]
    value = made.node(
        "Conv", inputs, operator.name, kernel_shape=list(values.shape[2:]), strides=_strides(operator), pads=pads,
        dilations=dilations, group=groups,
    )  # fmt: skip
    return _settled(operator, made, value, (1, outputs, *sides))


def _dense(operator: FileOperator, made: Nodes) -> Held:
    if operator.options["WeightsFormat"]:
        raise ModelError(f"{operator.name}: shuffled weights: the default format is supported")
    source = made.input(operator)
    weights = made.constant(operator, 1, "INT8", "UINT8", "INT4")
    values, size = _axes(operator, weights, 2), int(np.prod(source.shape, dtype=np.int64))
    if values.shape[1] != size:
        raise ModelError(f"{operator.name}: weights {weights.shape} do not match an input of {size:,} values")
    if len(source.shape) == 4:
        source = _flat(operator, made, source)
    if source.order is not None:
        values = values[:, source.order]
    inputs = [source.name, *_constants(operator, made, weights, values)]
    value = made.node("Gemm", inputs, operator.name, transB=1)
    return _settled(operator, made, value, (1, len(values)))


def _constants(operator: FileOperator, made: Nodes, weights: FileTensor, values: np.ndarray) -> list[str]:
    """Weights, outputs first, and bias, dequantized."""
    if not weights.scales:
        raise ModelError(f"{operator.name}: its weights have no scale: int8 weights are supported")
    middle = 128 if weights.type == "UINT8" else 0
    if set(weights.zero_points) != {middle}:
        raise ModelError(
            f"{operator.name}: weights with a zero point: symmetric ones are supported: convert the network again with "
            "int8 weights"
        )
    along = {1: 3}.get(weights.shape[0], 0) if operator.kind == "DEPTHWISE_CONV_2D" else 0
    if len(weights.scales) > 1 and weights.axis != along:
        raise ModelError(f"{operator.name}: weight scales along axis {weights.axis}: one for each output is supported")
    source, outputs = made.tensor(operator, 0), len(values)
    made.check_activation(source)
    name = f"{operator.name}_weights"
    found = [made.dequantized(values, weights.scales, middle, name)]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        bias = made.constant(operator, 2, "INT32")
        numbers = _axes(operator, bias, 1)
        if numbers.size != outputs:
            raise ModelError(f"{operator.name}: a bias of {numbers.size:,} numbers for {outputs:,} outputs")
        units = tuple(float(np.float32(source.scales[0]) * np.float32(scale)) for scale in weights.scales)
        found.append(made.dequantized(numbers, units, 0, f"{operator.name}_bias"))
    return found


def _axes(operator: FileOperator, tensor: FileTensor, count: int) -> np.ndarray:
    assert tensor.data is not None  # `constant` gives no other
    if tensor.data.ndim != count:
        raise ModelError(f"{operator.name}: a constant of shape {tensor.shape}: {count} axes are needed")
    return tensor.data


def _pool(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    channels = _image(operator, made)[1]
    kernel = [int(operator.options[f"Filter{side}"]) for side in ("Height", "Width")]
    pads, sides = _window(operator, source.shape, kernel, [1, 1])
    if not _same_scale(made.tensor(operator, 0), made.result(operator)):
        raise ModelError(f"{operator.name}: its output has another scale than its input")
    kind = {"AVERAGE_POOL_2D": "AveragePool", "MAX_POOL_2D": "MaxPool"}[operator.kind]
    value = made.node(kind, [source.name], operator.name, kernel_shape=kernel, strides=_strides(operator), pads=pads)
    return _settled(operator, made, value, (1, channels, *sides))


def _mean(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    axes = made.constant(operator, 1, "INT32").data
    found = sorted(int(axis) % 4 for axis in np.ravel(axes)) if axes is not None else []
    if found != [1, 2] or len(source.shape) != 4:
        raise ModelError(f"{operator.name}: over axes {found}: the mean over height and width (1, 2) is supported")
    kept = len(made.result(operator).shape) == 4
    shape = (1, source.shape[1], 1, 1) if kept else (1, source.shape[1])
    return _settled(
        operator, made, made.node("ReduceMean", [source.name], operator.name, axes=[2, 3], keepdims=int(kept)), shape
    )


def _add(operator: FileOperator, made: Nodes) -> Held:
    a, b = made.input(operator, 0), made.input(operator, 1)
    if a.shape != b.shape or not _ordered_alike(a, b):
        raise ModelError(f"{operator.name}: {a.shape} and {b.shape}: two activations of one shape are supported")
    value = made.node("Add", [a.name, b.name], operator.name)
    return _settled(operator, made, value, a.shape, a.order)


def _concat(operator: FileOperator, made: Nodes) -> Held:
    parts = [made.input(operator, number) for number in range(len(operator.inputs))]
    rank = len(made.result(operator).shape)
    axis = int(operator.options["Axis"]) % max(rank, 1)
    if rank not in (2, 4) or axis == 0 or any(part.order is not None for part in parts):
        raise ModelError(
            f"{operator.name}: axis {axis} of {rank}: rows, columns or channels of images, or flat tensors"
        )
    axis = _NHWC[axis] if rank == 4 else 1
    shapes = [part.shape[:axis] + part.shape[axis + 1 :] for part in parts]
    if len(set(shapes)) > 1 or any(len(part.shape) != rank for part in parts):
        raise ModelError(f"{operator.name}: {', '.join(str(part.shape) for part in parts)}: their other sides differ")
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    value = made.node("Concat", [part.name for part in parts], operator.name, axis=axis)
    return _settled(operator, made, value, tuple(shape))


def _pad(operator: FileOperator, made: Nodes) -> Held:
    source = _image(operator, made)
    pads = _axes(operator, made.constant(operator, 1, "INT32", "INT64"), 2)
    if pads.shape != (4, 2) or pads.min() < 0 or pads[[0, 3]].any():
        raise ModelError(f"{operator.name}: {pads.tolist()}: a border around height and width is supported")
    number = 0.0
    if len(operator.inputs) > 2:
        filler = made.constant(operator, 2, "INT8", "UINT8")
        if not filler.scales or filler.data is None or filler.data.size != 1:
            raise ModelError(f"{operator.name}: filled with several numbers, or one without a scale")
        number = (int(filler.data.flat[0]) - filler.zero_points[0]) * filler.scales[0]
    (top, bottom), (left, right) = pads[1:3].tolist()
    inputs = [
        made.input(operator).name, made.put(np.array([0, 0, top, left, 0, 0, bottom, right]), f"{operator.name}_pads"),
        made.put(np.array(number, np.float32), f"{operator.name}_number"),
    ]  # fmt: skip
    shape = (1, source[1], top + source[2] + bottom, left + source[3] + right)
    return _settled(operator, made, made.node("Pad", inputs, operator.name), shape)


def _reshape(operator: FileOperator, made: Nodes) -> Held:
    """Also SQUEEZE and EXPAND_DIMS: only the result's shape matters."""
    source, target = made.input(operator), made.result(operator)
    shape = made.shape_of(target)
    if np.prod(shape, dtype=np.int64) != np.prod(source.shape, dtype=np.int64):
        raise ModelError(f"{operator.name}: {source.shape} cannot become {shape}")
    if not _same_scale(made.tensor(operator, 0), target):
        raise ModelError(f"{operator.name}: its output has another scale than its input")
    if source.shape == shape:
        return source
    if len(shape) == 2:
        return _flat(operator, made, source)
    plain = len(source.shape) == 4 and source.shape[1] == shape[1]  # the channels stay
    if not plain and not (_one_order(shape) and (len(source.shape) == 2 or _one_order(source.shape))):
        raise ModelError(
            f"{operator.name}: an image of {shape[1]} channels made from other rows: it would have to be rearranged"
        )
    if source.order is not None:
        raise ModelError(f"{operator.name}: a flattened image becomes an image of another shape")
    return Held(_reshaped(operator, made, source, shape), shape)


def _flat(operator: FileOperator, made: Nodes, source: Held) -> Held:
    """An image as (1, C * H * W): the place of each of its elements in the file's order (H * W * C)."""
    if len(source.shape) == 2:
        return source
    _, channels, height, width = source.shape
    size = channels * height * width
    order = None if _one_order(source.shape) else np.arange(size).reshape(height, width, channels)
    shape = (1, size)
    value = _reshaped(operator, made, source, shape)
    return Held(value, shape, None if order is None else order.transpose(2, 0, 1).reshape(-1))


def _reshaped(operator: FileOperator, made: Nodes, source: Held, shape: Sequence[int]) -> str:
    sides = made.put(np.array([0, *shape[1:]], np.int64), f"{operator.name}_shape")  # 0: whatever the batch is
    return made.node("Reshape", [source.name, sides], f"{operator.name}_reshaped")


def _one_order(shape: Sequence[int]) -> bool:
    """Whether an image has one order of bytes, channels first or last."""
    return shape[1] == 1 or shape[2] * shape[3] == 1


def _ordered_alike(a: Held, b: Held) -> bool:
    return a.order is b.order or (a.order is not None and b.order is not None and bool((a.order == b.order).all()))


def _relu(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    code = {"RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}[operator.kind]
    return _rounded(operator, made, _activated(operator, made, source.name, code), source.shape, source.order)


def _quantize(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    return _rounded(operator, made, source.name, source.shape, source.order)


def _dequantize(operator: FileOperator, made: Nodes) -> Held:
    return made.input(operator)


def _softmax(operator: FileOperator, made: Nodes) -> Held:
    source = made.input(operator)
    if operator.options["Beta"] != 1 or len(made.result(operator).shape) != 2 or source.order is not None:
        raise ModelError(f"{operator.name}: with beta 1 of (1, classes), as the last operator, it is supported")
    return Held(made.node("Softmax", [source.name], operator.name, axis=1), source.shape)


def _settled(
    operator: FileOperator, made: Nodes, value: str, shape: tuple[int, ...], order: np.ndarray | None = None
) -> Held:
    """A computed value after its activation, rounded; it must have the shape that the file says."""
    stated = made.shape_of(made.result(operator))
    if int(np.prod(stated, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)) or (
        len(stated) == len(shape) and stated != shape
    ):
        raise ModelError(f"{operator.name}: gives {shape}, but the file says {stated} (channels first)")
    code = operator.options.get("FusedActivationFunction", 0)
    held = _rounded(operator, made, _activated(operator, made, value, code), shape, order)
    if len(stated) == len(shape):
        return held
    return _flat(operator, made, held) if len(stated) == 2 else held


def _activated(operator: FileOperator, made: Nodes, value: str, code: float) -> str:
    if code == 0:
        return value
    if code not in _ACTIVATIONS:
        raise ModelError(f"{operator.name}: activation {code:g}: RELU, RELU_N1_TO_1 and RELU6 are supported")
    kind, bounds = _ACTIVATIONS[code]
    limits = [made.put(np.array(bound, np.float32), f"{operator.name}_bound") for bound in bounds]
    return made.node(kind, [value, *limits], f"{operator.name}_activation")


def _rounded(
    operator: FileOperator, made: Nodes, value: str, shape: tuple[int, ...], order: np.ndarray | None = None
) -> Held:
    return Held(made.quantized(value, made.result(operator)), shape, order)


def _same_scale(source: FileTensor, target: FileTensor) -> bool:
    return (source.scales, source.zero_points) == (target.scales, target.zero_points)


def _image(operator: FileOperator, made: Nodes) -> tuple[int, ...]:
    """The shape (1, C, H, W) of an operator's input."""
    source = made.input(operator)
    if len(source.shape) != 4:
        raise ModelError(f"{operator.name}: an input of shape {source.shape}: images are supported")
    return source.shape


def _strides(operator: FileOperator) -> list[int]:
    return [int(operator.options[f"Stride{side}"]) for side in "HW"]


def _window(
    operator: FileOperator, source: Sequence[int], kernel: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], tuple[int, ...]]:
    """Padding on the four sides, and height and width of the result: SAME puts the odd pixel below and on the right."""
    strides, padding = _strides(operator), operator.options["Padding"]
    if min((*strides, *kernel, *dilations)) < 1 or padding not in (_SAME, _VALID):
        raise ModelError(f"{operator.name}: kernel {list(kernel)}, strides {strides}, dilations {list(dilations)}")
    first, last, sides = [], [], []
    for size, side, stride, dilation in zip(source[2:], kernel, strides, dilations, strict=True):
        reach = (side - 1) * dilation + 1
        count = -(-size // stride) if padding == _SAME else (size - reach) // stride + 1
        if count < 1:
            raise ModelError(f"{operator.name}: a window of {reach} over {size} pixels")
        total = max(0, (count - 1) * stride + reach - size)
        first.append(total // 2)
        last.append(total - total // 2)
        sides.append(count)
    return [*first, *last], tuple(sides)


OPERATORS: dict[str, Callable[[FileOperator, Nodes], Held]] = {
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concat,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RELU": _relu,
    "RELU6": _relu,
    "RELU_N1_TO_1": _relu,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
}
SUPPORTED = ", ".join(OPERATORS)
WAYS_OUT = {
    "ARG_MAX": "leave it out: the C returns the scores, and the largest is the class",
    "SOFTMAX": "as the last operator it is supported",
}
