"""Damage to a TensorFlow Lite file: to what it says, or to its bytes; the same generator, the same damage."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fuzz.mutate import NUMBERS, damaged
from tflite_cases import CASES
from tflite_files import CODES, File, Operator, Tensor, small_file

_SCALES = (0.0, -1.0, 1e-45, 1e-30, 1e38, float("inf"), float("nan"), 1.0, None)
_KINDS = ("INT8", "UINT8", "INT32", "INT16", "FLOAT32", "INT4", "INT64")


def damaged_tflite(sample: bytes, rng: random.Random) -> bytes:
    """`sample` with damaged bytes, or a small file, of one operator or several, with some of what it says changed."""
    kind = rng.random()
    if kind < 0.2:
        return damaged(sample, rng)
    if kind < 0.5:
        return _flipped(sample, rng)
    file = rng.choice((_network, _network, _operator))(rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if rng.random() < 0.5:
            _change_tensor(rng.choice(file.tensors), rng)
        else:
            _change_operator(file, rng)
    try:
        return file.build()
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError):  # what no file can say
        return damaged(sample, rng)


def _network(rng: random.Random) -> File:
    return small_file(rng.randrange(3))


def _operator(rng: random.Random) -> File:
    """A file of any operator that is read."""
    return CASES[rng.choice(sorted(CASES))]()


def _flipped(sample: bytes, rng: random.Random) -> bytes:
    """Numbers written over others, so that offsets stay where they are."""
    data = bytearray(sample)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, width = rng.randrange(len(data) // 4) * 4, rng.choice((1, 2, 4))
        data[at : at + width] = (rng.choice(NUMBERS) % 256**width).to_bytes(width, "little")
    return bytes(data)


def _change_tensor(tensor: Tensor, rng: random.Random) -> None:
    match rng.randrange(8):
        case 0:
            shape = list(tensor.shape)
            if shape:
                shape[rng.randrange(len(shape))] = _number(rng)
            tensor.shape = rng.choice((shape, shape[1:], [1, *shape], []))
        case 1:
            tensor.scale = rng.choice((*_SCALES, [0.1] * rng.randrange(1, 9)))
        case 2:
            tensor.zero = _number(rng)
        case 3:
            tensor.kind = rng.choice(_KINDS)
        case 4:
            tensor.axis = _number(rng)
        case 5 | 6 if tensor.data is not None:  # places, sizes and axes, as well as weights
            values = np.array(tensor.data).reshape(-1)
            values[rng.randrange(max(1, values.size)) :][:1] = _number(rng) % 256 - 128 * rng.randrange(2)
            tensor.data = values.reshape(np.shape(tensor.data))
        case _:
            held: Any = tensor.data
            changed = None if held is None else np.asarray(held).reshape(-1)[: rng.randrange(20)]
            tensor.data = rng.choice((None, changed, np.zeros(3)))


def _change_operator(file: File, rng: random.Random) -> None:
    operator: Operator = rng.choice(file.operators)
    ends = list(rng.choice((operator.inputs, operator.outputs)))
    match rng.randrange(5):
        case 0:
            operator.kind = rng.choice([*CODES, "Own"])
        case 1 if operator.options:
            operator.options[rng.choice(list(operator.options))] = _number(rng) % 128
        case 2:
            operator.inputs = [*operator.inputs[: rng.randrange(4)], *ends[: rng.randrange(3)]]
        case 3 if ends:
            ends[rng.randrange(len(ends))] = rng.choice((-1, -2, 0, 5, len(file.tensors), rng.randrange(30)))
            operator.inputs = ends
        case _:
            file.operators.insert(rng.randrange(len(file.operators)), rng.choice(file.operators))


def _number(rng: random.Random) -> int:
    return max(-(2**31), min(2**31 - 1, rng.choice(NUMBERS)))
