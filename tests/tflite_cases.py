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
    images = inputs.transpose(0, 3, 1, 2) if inputs.ndim == 4 else inputs
    scores = reference.run(graph, np.ascontiguousarray(images))
    ordered = scores.transpose(0, 2, 3, 1) if scores.ndim == 4 else scores
    return np.ascontiguousarray(ordered.reshape(len(inputs), -1))
