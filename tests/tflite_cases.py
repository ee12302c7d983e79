"""A TensorFlow Lite file for each operator that is read, in its variants, and inputs for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from tflite_files import RELU, RELU6, RELU_N1, SAME, VALID, File, Tensor, small_file

COUNT = 300


def one(kind: str, shape: tuple[int, ...], output: Tensor, *constants: tuple[object, str], **options: float) -> File:
    """A file of one operator without weights."""
    file = File()
    source = file.add(shape, 0.05, 3)
    file.run(kind, [source, *(file.constant(values, type_) for values, type_ in constants)], output, **options)
    return file


def weighted(
    kind: str, shape: tuple[int, ...], weights: tuple[int, ...], output: Tensor, *, each: bool = True, axis: int = 0,
    few: bool = False, **options: float,
) -> File:  # fmt: skip
    """A file of one operator with weights, with one scale or one for each output."""
    rng, file = np.random.default_rng(len(shape) + sum(weights)), File()
    source, count = file.add(shape, 0.05, 3), weights[axis]
    scale = rng.uniform(0.002, 0.02, count if each else 1).astype(np.float32) * (16 if few else 1)
    values = rng.integers(-7, 8, weights) if few else rng.integers(-127, 128, weights)
    inputs = [source, file.constant(values, "INT4" if few else "INT8", scale=scale, axis=axis)]
    inputs.append(file.constant(rng.integers(-2000, 2000, count), scale=np.float32(0.05) * scale))
    file.run(kind, inputs, output, **options)
    return file


def added(**options: float) -> File:
    """Two scales, and a third for the sum."""
    file = File()
    source = file.add((1, 4, 5, 3), 0.05, 3)
    other = file.run("QUANTIZE", [source], Tensor((1, 4, 5, 3), 0.3, -7))
    file.run("ADD", [source, other], Tensor((1, 4, 5, 3), 0.2, 9), **options)
    return file


def pair(
    kind: str, other: tuple[int, ...], *, first: bool = True, shape: tuple[int, ...] = (1, 4, 5, 3), zero: int = -7,
    kinds: str = "INT8", **options: float,
) -> File:  # fmt: skip
    """An image and a constant, in scales of their own."""
    file = File()
    x = file.add(shape, 0.05, 3 + 128 * (kinds == "UINT8"), kind=kinds)
    values = np.random.default_rng(4).integers(*((0, 256) if kinds == "UINT8" else (-128, 128)), other)
    held = file.constant(values, kinds, scale=0.02, zero=zero)
    scale = 0.09 if kind in ("ADD", "SUB") else 0.07
    output = Tensor(np.broadcast_shapes(shape, other), scale, 9, kind=kinds)
    file.run(kind, [x, held] if first else [held, x], output, **options)
    return file


def two(kind: str, scale: float, *, repeated: bool = False, **options: float) -> File:
    """Two activations; `repeated`: the second has one pixel."""
    file = File()
    x = file.add((1, 4, 5, 3), 0.05, 3)
    if repeated:
        other = file.run("MEAN", [x, file.constant([1, 2])], Tensor((1, 1, 1, 3), 0.04, -7))
    else:
        other = file.run("QUANTIZE", [x], Tensor((1, 4, 5, 3), 0.3, -7))
    file.run(kind, [x, other], Tensor((1, 4, 5, 3), scale, 9), **options)
    return file


def two_alike(kind: str) -> File:
    """An image, and its largest neighbours."""
    file = File()
    x = file.add((1, 4, 5, 3), 0.05, 3)
    window = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2, "Padding": SAME}
    other = file.run("AVERAGE_POOL_2D", [x], Tensor((1, 4, 5, 3), 0.05, 3), **window)
    file.run(kind, [x, other], Tensor((1, 4, 5, 3), 0.05, 3))
    return file


def resized(sides: tuple[int, int], **options: float) -> File:
    return one(
        "RESIZE_NEAREST_NEIGHBOR", (1, 6, 5, 3), Tensor((1, *sides, 3), 0.05, 3), (list(sides), "INT32"), **options
    )


def between_pixels(before: tuple[int, int], after: tuple[int, int], kind: str = "INT8", **options: float) -> File:
    """An image of some sides in others, each pixel a mean of four."""
    file, zero = File(), 3 + 128 * (kind == "UINT8")
    source = file.add((1, *before, 3), 0.05, zero, kind=kind)
    output = Tensor((1, *after, 3), 0.05, zero, kind=kind)
    file.run("RESIZE_BILINEAR", [source, file.constant(list(after))], output, **options)
    return file


def old(kind: str, shape: tuple[int, ...], weights: tuple[int, ...], output: tuple[int, ...], zero: int) -> File:
    """An operator of a file of uint8, whose weights have a zero point."""
    rng, file = np.random.default_rng(7), File()
    x = file.add(shape, 0.05, 131, kind="UINT8")
    count = output[-1]
    inputs = [x, file.constant(rng.integers(0, 256, weights), "UINT8", scale=0.011, zero=zero)]
    inputs.append(file.constant(rng.integers(-2000, 2000, count), scale=np.float32(0.05) * np.float32(0.011)))
    file.run(kind, inputs, Tensor(output, 0.3, 125, kind="UINT8"))
    return file


def old_network() -> File:
    """Convolution, mean over even windows, sum and dense layer of uint8."""
    file = old("CONV_2D", (1, 8, 6, 3), (4, 3, 3, 3), (1, 8, 6, 4), 117)
    conv, window = file.operators[-1].outputs[0], {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
    small = file.run("AVERAGE_POOL_2D", [conv], Tensor((1, 4, 3, 4), 0.3, 125, kind="UINT8"), **window)
    swish = file.run("HARD_SWISH", [small], Tensor((1, 4, 3, 4), 0.28, 14, kind="UINT8"))
    added = file.run("ADD", [small, swish], Tensor((1, 4, 3, 4), 0.5, 100, kind="UINT8"), FusedActivationFunction=RELU)
    rng = np.random.default_rng(8)
    weights = file.constant(rng.integers(0, 256, (5, 48)), "UINT8", scale=0.01, zero=100)
    file.run("FULLY_CONNECTED", [added, weights], Tensor((1, 5), 0.9, 128, kind="UINT8"))
    return file


def turned_around(
    shape: tuple[int, ...], kernel: tuple[int, int], padding: int, step: int, sides: tuple[int, int]
) -> File:
    """TRANSPOSE_CONV of an image to one of these sides."""
    rng, file = np.random.default_rng(9), File()
    x, count = file.add(shape, 0.05, 3), 6
    scale = rng.uniform(0.002, 0.02, count).astype(np.float32)
    values = rng.integers(-127, 128, (count, *kernel, shape[3]))
    inputs = [file.constant([1, *sides, count]), file.constant(values, "INT8", scale=scale), x]
    inputs.append(file.constant(rng.integers(-2000, 2000, count), scale=np.float32(0.05) * scale))
    file.run("TRANSPOSE_CONV", inputs, Tensor((1, *sides, count), 0.2, -5), Padding=padding, StrideH=step, StrideW=step)
    return file


def parts(kind: str, sizes: tuple[int, ...], axis: int) -> File:
    """An image in parts along an axis, then the first and the last of them joined the other way round."""
    file, shape = File(), [1, 4, 6, 5]
    x = file.add(tuple(shape), 0.05, 3)
    held = {"SPLIT": [file.constant([axis]), x], "SPLIT_V": [x, file.constant(sizes), file.constant([axis])]}[kind]
    shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    options = {"NumSplits": len(sizes)}
    found = file.split(kind, held, [Tensor(each, 0.05, 3) for each in shapes], **options)
    joined_shape = (*shape[:axis], sizes[-1] + sizes[0], *shape[axis + 1 :])
    file.run("CONCATENATION", [found[-1], found[0]], Tensor(joined_shape, 0.05, 3), Axis=axis)
    return file


def sliced(begin: list[int], end: list[int], strides: list[int], shape: tuple[int, ...], **options: float) -> File:
    numbers = [(values, "INT32") for values in (begin, end, strides)]
    return one("STRIDED_SLICE", (1, 6, 5, 4), Tensor(shape, 0.05, 3), *numbers, **options)


def bent(slopes: tuple[int, ...], zero: int = -20) -> File:
    file = File()
    x = file.add((1, 4, 5, 6), 0.05, 3)
    values = np.random.default_rng(5).integers(-128, 128, slopes)
    held = file.constant(values, "INT8", scale=0.004, zero=zero)
    file.run("PRELU", [x, held], Tensor((1, 4, 5, 6), 0.04, -9))
    return file


def gated() -> File:
    """Squeeze and excitation with HARD_SWISH, and a flat image that is turned."""
    file, rng = File(), np.random.default_rng(6)
    x = file.add((1, 6, 5, 4), 0.05, 3)
    swish = file.run("HARD_SWISH", [x], Tensor((1, 6, 5, 4), 0.035, -110))
    mean = file.run("MEAN", [swish, file.constant([1, 2])], Tensor((1, 4), 0.02, -100))
    weights = file.constant(rng.integers(-127, 128, (4, 4)), "INT8", scale=0.01)
    dense = file.run("FULLY_CONNECTED", [mean, weights], Tensor((1, 4), 0.04, 5))
    gate = file.run("LOGISTIC", [dense], Tensor((1, 4), 1 / 256, -128))
    wide = file.run("RESHAPE", [gate, file.constant([1, 1, 1, 4])], Tensor((1, 1, 1, 4), 1 / 256, -128))
    times = file.run("MUL", [swish, wide], Tensor((1, 6, 5, 4), 0.02, -90))
    rows = file.run("RESHAPE", [times, file.constant([1, 30, 4])], Tensor((1, 30, 4), 0.02, -90))
    turned = file.run("TRANSPOSE", [rows, file.constant([0, 2, 1])], Tensor((1, 4, 30), 0.02, -90))
    file.run("RESHAPE", [turned, file.constant([1, 120])], Tensor((1, 120), 0.02, -90))
    return file


def joined(axis: int, shape: tuple[int, ...]) -> File:
    file = File()
    source = file.add((1, 4, 5, 3), 0.05, 3)
    file.run("CONCATENATION", [source, source], Tensor(shape, 0.05, 3), Axis=axis)
    return file


def between() -> File:
    """Float at both ends, and an image that becomes flat in its own order."""
    file = File()
    source = file.add((1, 4, 5, 3), kind="FLOAT32")
    image = file.run("QUANTIZE", [source], Tensor((1, 4, 5, 3), 0.05, 3))
    flat = file.run("RESHAPE", [image, file.constant([1, 60])], Tensor((1, 60), 0.05, 3))
    rng = np.random.default_rng(1)
    weights = file.constant(rng.integers(-127, 128, (7, 60)), "INT8", scale=0.01)
    dense = file.run("FULLY_CONNECTED", [flat, weights], Tensor((1, 7), 0.5, 5), FusedActivationFunction=RELU)
    file.run("DEQUANTIZE", [dense], Tensor((1, 7), kind="FLOAT32"))
    return file


CONV, DEEP, POOL = (1, 9, 7, 4), "DEPTHWISE_CONV_2D", {"StrideH": 2, "StrideW": 2, "FilterHeight": 3, "FilterWidth": 2}
CASES: dict[str, Callable[[], File]] = {
    "small 0": partial(small_file, 0),
    "small 1": partial(small_file, 1),
    "conv": lambda: weighted("CONV_2D", CONV, (20, 3, 3, 4), Tensor((1, 9, 7, 20), 0.3, -5), Padding=SAME),
    "conv, one scale": lambda: weighted(
        "CONV_2D", CONV, (20, 3, 3, 4), Tensor((1, 5, 4, 20), 0.3, -5), each=False, Padding=SAME, StrideH=2, StrideW=2
    ),
    "conv, dilated": lambda: weighted(
        "CONV_2D",
        CONV,
        (6, 3, 3, 4),
        Tensor((1, 5, 3, 6), 0.3, -5),
        Padding=VALID,
        DilationHFactor=2,
        DilationWFactor=2,
        FusedActivationFunction=RELU6,
    ),
    "conv, groups": lambda: weighted("CONV_2D", CONV, (6, 3, 3, 2), Tensor((1, 7, 5, 6), 0.3, -5), Padding=VALID),
    "conv, 4 bits": lambda: weighted(
        "CONV_2D", CONV, (6, 3, 3, 4), Tensor((1, 7, 5, 6), 0.3, -5), few=True, Padding=VALID
    ),
    "conv of single pixels": lambda: weighted(
        "CONV_2D", CONV, (6, 1, 1, 4), Tensor((1, 9, 7, 6), 0.1, 20), Padding=VALID, FusedActivationFunction=RELU_N1
    ),
    "depthwise": lambda: weighted(DEEP, CONV, (1, 3, 3, 4), Tensor((1, 9, 7, 4), 0.2, -5), axis=3, Padding=SAME),
    "depthwise, two of each": lambda: weighted(
        DEEP,
        CONV,
        (1, 3, 2, 8),
        Tensor((1, 4, 3, 8), 0.2, -5),
        axis=3,
        Padding=VALID,
        StrideH=2,
        StrideW=2,
        DepthMultiplier=2,
    ),
    "dense": lambda: weighted("FULLY_CONNECTED", (1, 64), (50, 64), Tensor((1, 50), 0.3, -5), each=False),
    "dense, a scale for each": lambda: weighted("FULLY_CONNECTED", (1, 64), (50, 64), Tensor((1, 50), 0.3, -5)),
    "dense of an image": lambda: weighted("FULLY_CONNECTED", CONV, (5, 252), Tensor((1, 5), 0.9, -5), each=False),
    "average": lambda: one("AVERAGE_POOL_2D", CONV, Tensor((1, 5, 4, 4), 0.05, 3), Padding=SAME, **POOL),
    "average of all": lambda: one(
        "AVERAGE_POOL_2D", (1, 4, 4, 5), Tensor((1, 1, 1, 5), 0.05, 3), Padding=VALID, FilterHeight=4, FilterWidth=4
    ),
    "maximum": lambda: one(
        "MAX_POOL_2D", CONV, Tensor((1, 5, 4, 4), 0.05, 3), Padding=SAME, FusedActivationFunction=RELU, **POOL
    ),
    "mean": lambda: one("MEAN", CONV, Tensor((1, 4), 0.03, 7), ([1, 2], "INT32")),
    "mean, one scale": lambda: one("MEAN", (1, 4, 4, 5), Tensor((1, 5), 0.05, 3), ([1, 2], "INT32")),
    "add": added,
    "add, relu": partial(added, FusedActivationFunction=RELU),
    "channels joined": lambda: joined(3, (1, 4, 5, 6)),
    "rows joined": lambda: joined(1, (1, 8, 5, 3)),
    "pad": lambda: one("PAD", CONV, Tensor((1, 10, 10, 4), 0.05, 3), ([[0, 0], [1, 0], [2, 1], [0, 0]], "INT32")),
    "quantize": lambda: one("QUANTIZE", CONV, Tensor(CONV, 0.08, -100)),
    "relu": lambda: one("RELU", CONV, Tensor(CONV, 0.05, 3)),
    "relu6": lambda: one("RELU6", CONV, Tensor(CONV, 0.02, -128)),
    "float at both ends": between,
    "subtract": lambda: two("SUB", 0.2),
    "subtract, relu": lambda: two("SUB", 0.2, FusedActivationFunction=RELU),
    "multiply": lambda: two("MUL", 0.4),
    "multiply, relu6": lambda: two("MUL", 0.04, FusedActivationFunction=RELU6),
    "add, repeated": lambda: two("ADD", 0.09, repeated=True),
    "subtract, repeated": lambda: two("SUB", 0.09, repeated=True),
    "multiply, repeated": lambda: two("MUL", 0.09, repeated=True),
    "maximum of two": lambda: two_alike("MAXIMUM"),
    "minimum of two": lambda: two_alike("MINIMUM"),
    "add a number": lambda: pair("ADD", ()),
    "add a number, relu6": lambda: pair("ADD", (1, 1, 1, 1), FusedActivationFunction=RELU6),
    "subtract a number": lambda: pair("SUB", (1,)),
    "subtract from a number": lambda: pair("SUB", (1,), first=False),
    "multiply by a number": lambda: pair("MUL", (1,)),
    "add to channels": lambda: pair("ADD", (1, 1, 1, 3), shape=(1, 9, 8, 3)),
    "subtract from channels": lambda: pair("SUB", (3,), first=False, shape=(1, 9, 8, 3)),
    "add to few channels": lambda: pair("ADD", (1, 1, 1, 3)),
    "multiply channels": lambda: pair("MUL", (3,)),
    "multiply columns": lambda: pair("MUL", (1, 1, 5, 1)),
    "add an image": lambda: pair("ADD", (1, 4, 5, 3)),
    "subtract an image": lambda: pair("SUB", (1, 4, 5, 3)),
    "multiply an image": lambda: pair("MUL", (1, 4, 5, 3)),
    "add to flat": lambda: pair("ADD", (1, 40), shape=(1, 40)),
    "multiply rows": lambda: pair("MUL", (7, 1), shape=(1, 7, 6)),
    "logistic": lambda: one("LOGISTIC", CONV, Tensor(CONV, 1 / 256, -128)),
    "tanh": lambda: one("TANH", CONV, Tensor(CONV, 1 / 128, 0)),
    "hard swish": lambda: one("HARD_SWISH", CONV, Tensor(CONV, 0.03, -100)),
    "leaky relu": lambda: one("LEAKY_RELU", CONV, Tensor(CONV, 0.04, -60), Alpha=0.1),
    "leaky relu, negative": lambda: one("LEAKY_RELU", CONV, Tensor(CONV, 0.07, -60), Alpha=-0.3),
    "prelu": lambda: bent((1, 1, 6)),
    "prelu, one slope": lambda: bent((1, 1, 1)),
    "transpose": lambda: one("TRANSPOSE", CONV, Tensor((1, 4, 9, 7), 0.05, 3), ([0, 3, 1, 2], "INT32")),
    "transpose of rows": lambda: one("TRANSPOSE", (1, 6, 5), Tensor((1, 5, 6), 0.05, 3), ([0, 2, 1], "INT32")),
    "slice": lambda: sliced([0, 1, 0, 0], [1, 6, 5, 4], [1, 2, 1, 1], (1, 3, 5, 4)),
    "slice, masks": lambda: sliced(
        [0, 9, 9, 1], [9, 9, 3, 9], [1, 1, 1, 2], (1, 6, 3, 2), BeginMask=0b0111, EndMask=0b1011
    ),
    "slice, one row": lambda: sliced([0, 2, 0, 0], [1, 3, 5, 4], [1, 1, 1, 1], (1, 5, 4), ShrinkAxisMask=0b0010),
    "slice, backwards": lambda: sliced([0, -1, 0, 3], [1, -4, 5, 0], [1, -1, 1, -2], (1, 3, 5, 2)),
    "slice by size": lambda: one(
        "SLICE", (1, 6, 5, 4), Tensor((1, 3, 5, 2), 0.05, 3), ([0, 2, 0, 1], "INT32"), ([1, 3, -1, 2], "INT32")
    ),
    "split": lambda: parts("SPLIT", (3, 3), 2),
    "split in sizes": lambda: parts("SPLIT_V", (1, 2, 2), 3),
    "resize": lambda: resized((10, 9)),
    "resize, corners": lambda: resized((7, 11), AlignCorners=True),
    "resize, centres": lambda: resized((4, 3), HalfPixelCenters=True),
    "bilinear, twice": lambda: between_pixels((6, 5), (12, 10)),
    "bilinear, twice, corners": lambda: between_pixels((6, 5), (12, 10), AlignCorners=True),
    "bilinear, twice, centres": lambda: between_pixels((6, 5), (12, 10), HalfPixelCenters=True),
    "bilinear, odd": lambda: between_pixels((6, 5), (7, 13)),
    "bilinear, odd, corners": lambda: between_pixels((6, 5), (7, 13), AlignCorners=True),
    "bilinear, odd, centres": lambda: between_pixels((6, 5), (7, 13), HalfPixelCenters=True),
    "bilinear, smaller": lambda: between_pixels((6, 5), (4, 2)),
    "bilinear, one pixel, corners": lambda: between_pixels((6, 5), (1, 1), AlignCorners=True),
    "bilinear, smaller, centres": lambda: between_pixels((6, 5), (4, 2), HalfPixelCenters=True),
    "bilinear, of one pixel": lambda: between_pixels((1, 1), (5, 4)),
    "bilinear, of one row, corners": lambda: between_pixels((1, 7), (3, 20), AlignCorners=True),
    "bilinear, of one column, centres": lambda: between_pixels((7, 1), (13, 3), HalfPixelCenters=True),
    "uint8, bilinear, twice, centres": lambda: between_pixels((6, 5), (12, 10), "UINT8", HalfPixelCenters=True),
    "uint8, bilinear, thrice": lambda: between_pixels((6, 5), (18, 15), "UINT8"),
    "uint8, bilinear, corners": lambda: between_pixels((6, 4), (11, 7), "UINT8", AlignCorners=True),
    "depth to space": lambda: one("DEPTH_TO_SPACE", (1, 3, 2, 8), Tensor((1, 6, 4, 2), 0.05, 3), BlockSize=2),
    "space to depth": lambda: one("SPACE_TO_DEPTH", (1, 6, 4, 2), Tensor((1, 3, 2, 8), 0.05, 3), BlockSize=2),
    "mirrored border": lambda: one(
        "MIRROR_PAD", CONV, Tensor((1, 12, 8, 4), 0.05, 3), ([[0, 0], [1, 2], [1, 0], [0, 0]], "INT32"), Mode=0
    ),
    "border of the edge": lambda: one(
        "MIRROR_PAD", CONV, Tensor((1, 12, 8, 4), 0.05, 3), ([[0, 0], [1, 2], [1, 0], [0, 0]], "INT32"), Mode=1
    ),
    "other rows": lambda: one("RESHAPE", (1, 4, 4, 6), Tensor((1, 4, 6, 4), 0.05, 3), ([1, 4, 6, 4], "INT32")),
    "flat at the end": lambda: one("RESHAPE", (1, 4, 4, 6), Tensor((1, 96), 0.05, 3), ([1, 96], "INT32")),
    "gated": gated,
    "uint8, conv": lambda: old("CONV_2D", CONV, (5, 3, 3, 4), (1, 9, 7, 5), 119),
    "uint8, conv, symmetric": lambda: old("CONV_2D", CONV, (5, 3, 3, 4), (1, 9, 7, 5), 128),
    "uint8, depthwise": lambda: old("DEPTHWISE_CONV_2D", CONV, (1, 3, 3, 4), (1, 9, 7, 4), 140),
    "uint8, dense": lambda: old("FULLY_CONNECTED", (1, 64), (10, 64), (1, 10), 111),
    "uint8, add a number": lambda: pair("ADD", (1,), zero=120, kinds="UINT8"),
    "uint8, multiply channels": lambda: pair("MUL", (3,), zero=120, kinds="UINT8"),
    "uint8, network": old_network,
    "transposed conv": lambda: turned_around((1, 4, 5, 3), (3, 3), SAME, 2, (8, 10)),
    "transposed conv, valid": lambda: turned_around((1, 4, 5, 3), (2, 3), VALID, 2, (8, 11)),
    "transposed conv, one step": lambda: turned_around((1, 4, 5, 3), (3, 3), SAME, 1, (4, 5)),
    "transposed conv, odd": lambda: turned_around((1, 4, 5, 3), (4, 4), SAME, 3, (11, 14)),
}


def inputs_of(file: File) -> np.ndarray:
    """Int8 inputs in the file's own order: noise, and values close to each other."""
    shape = (COUNT, *file.tensors[0].shape[1:])
    rng = np.random.default_rng(2)
    noise = rng.integers(-128, 128, shape)
    smooth = rng.integers(-128, 128, (COUNT, *[1] * (len(shape) - 1))) + rng.integers(-9, 10, shape)
    return (
        np.where(np.arange(COUNT).reshape(-1, *[1] * (len(shape) - 1)) % 2, noise, smooth)
        .clip(-128, 127)
        .astype(np.int8)
    )


def scores_of(graph: Graph, inputs: np.ndarray) -> np.ndarray:
    """What the reference gives, int8 (n, size), both in the file's own order."""
    images = inputs.transpose(0, 3, 1, 2) if inputs.ndim == 4 else inputs.reshape(len(inputs), -1)
    scores = reference.run(graph, np.ascontiguousarray(images))
    ordered = scores.transpose(0, 2, 3, 1) if scores.ndim == 4 else scores
    return np.ascontiguousarray(ordered.reshape(len(inputs), -1))
