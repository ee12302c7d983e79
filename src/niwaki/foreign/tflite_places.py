"""Operators of TensorFlow Lite that bring elements to other places, in the file's own layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor
from niwaki.foreign.tflite_nodes import Held, Nodes, rounded, same_scale

_TO_FILE, _TO_ONNX = [0, 2, 3, 1], [0, 3, 1, 2]


def in_file_order(operator: FileOperator, made: Nodes, held: Held) -> Held:
    """A flattened image with its elements in the file's order."""
    if held.order is None:
        return held
    places = made.put(np.argsort(held.order).astype(np.int64), f"{operator.name}_places")
    return Held(made.node("Gather", [held.name, places], f"{operator.name}_ordered", axis=1), held.shape)


def as_in_file(operator: FileOperator, made: Nodes, held: Held, shape: Sequence[int]) -> str:
    """A tensor in the file's layout, with a shape of it: (1, H, W, C) of an image."""
    name = in_file_order(operator, made, held).name
    if len(held.shape) == 4:
        name = made.node("Transpose", [name], f"{operator.name}_rows", perm=_TO_FILE)
        if len(shape) == 4 and tuple(shape[1:]) == tuple(held.shape[at] for at in (2, 3, 1)):
            return name
    return made.reshaped(name, shape, f"{operator.name}_rows")


def from_file(operator: FileOperator, made: Nodes, name: str, tensor: FileTensor) -> Held:
    """What stands for a tensor, of a value in the file's layout."""
    shape = made.shape_of(tensor)
    sides = tensor.shape if len(tensor.shape) == 4 else shape
    name = made.reshaped(name, sides, f"{operator.name}_shaped")
    if len(tensor.shape) == 4:
        name = made.node("Transpose", [name], f"{operator.name}_channels", perm=_TO_ONNX)
    return Held(name, shape)


def as_image(operator: FileOperator, made: Nodes, held: Held, tensor: FileTensor) -> tuple[str, tuple[int, ...]]:
    """A tensor as (1, C, H, W): missing axes of the file have one element, and come first."""
    if len(held.shape) == 4:
        return held.name, held.shape
    shape = tensor.shape[1:] if len(tensor.shape) > 1 else tensor.shape
    if len(shape) > 3:
        raise ModelError(f"{operator.name}: {tensor.shape}: up to 3 axes for each image are supported")
    height, width, channels = (1,) * (3 - len(shape)) + tuple(shape)
    name = as_in_file(operator, made, held, (1, height, width, channels))
    name = made.node("Transpose", [name], f"{operator.name}_channels", perm=_TO_ONNX)
    return name, (1, channels, height, width)


def from_image(operator: FileOperator, made: Nodes, held: Held, tensor: FileTensor) -> Held:
    """What stands for a tensor, of an image (1, C, H, W)."""
    if int(np.prod(tensor.shape, dtype=np.int64)) != int(np.prod(held.shape, dtype=np.int64)):
        raise ModelError(f"{operator.name}: gives {held.shape}, but the file says {tensor.shape}")
    if made.shape_of(tensor) == held.shape:
        return held
    name = made.node("Transpose", [held.name], f"{operator.name}_rows", perm=_TO_FILE)
    return from_file(operator, made, name, tensor)


def _taken(operator: FileOperator, made: Nodes, places: Mapping[int, np.ndarray], target: FileTensor) -> Held:
    """Along each of some axes of the file's tensor, the elements at these places."""
    source = made.tensor(operator, _SOURCE.get(operator.kind, 0))
    held = made.held_of(source.index, operator.name)
    if not same_scale(source, target):
        raise ModelError(f"{operator.name}: its output has another scale than its input")
    sides = [len(places[axis]) if axis in places else side for axis, side in enumerate(source.shape)]
    if np.prod(sides, dtype=np.int64) != np.prod(target.shape, dtype=np.int64) or min(sides) < 1:
        raise ModelError(f"{operator.name}: gives {tuple(sides)}, but the file says {target.shape}")
    name = as_in_file(operator, made, held, source.shape)
    for axis, index in places.items():
        if not np.array_equal(index, np.arange(source.shape[axis])):
            at = made.put(index.astype(np.int64), f"{operator.name}_places")
            name = made.node("Gather", [name, at], f"{operator.name}_taken", axis=axis)
    return from_file(operator, made, name, target)


_SOURCE = {"SPLIT": 1}
"""The number of the activation among the inputs, if it is not the first."""


def _shape(operator: FileOperator, made: Nodes, number: int = 0) -> tuple[int, ...]:
    shape = made.tensor(operator, number).shape
    if len(shape) < 2:
        raise ModelError(f"{operator.name}: an input of shape {shape}: a batch of 1 and other axes are supported")
    return shape


def _numbers(operator: FileOperator, made: Nodes, number: int, count: int | None) -> list[int]:
    """A constant of whole numbers: `count` of them, any number if it is None."""
    data = made.constant(operator, number, "INT32", "INT64").data
    found = [] if data is None else np.ravel(data).tolist()
    if count is not None and len(found) != count:
        raise ModelError(f"{operator.name}: {len(found)} numbers for {count} axes")
    return found


def _transpose(operator: FileOperator, made: Nodes) -> Held:
    shape, target = _shape(operator, made), made.result(operator)
    order = _numbers(operator, made, 1, len(shape))
    order = [axis + len(shape) if -len(shape) <= axis < 0 else axis for axis in order]
    if sorted(order) != list(range(len(shape))) or order[0] != 0:
        raise ModelError(f"{operator.name}: order {order}: the batch stays first")
    if not same_scale(made.tensor(operator, 0), target) or target.shape != tuple(shape[axis] for axis in order):
        raise ModelError(f"{operator.name}: {shape} in the order {order} is not {target.shape} in its scale")
    name = as_in_file(operator, made, made.input(operator), shape)
    return from_file(operator, made, made.node("Transpose", [name], operator.name, perm=order), target)


def _strided_slice(operator: FileOperator, made: Nodes) -> Held:
    shape, options = _shape(operator, made), operator.options
    if any(options[key] for key in ("EllipsisMask", "NewAxisMask", "Offset")):
        raise ModelError(f"{operator.name}: an ellipsis, a new axis or offsets: begin, end and strides are supported")
    begin, end, strides = (_numbers(operator, made, number, None) for number in (1, 2, 3))
    if not len(begin) == len(end) == len(strides) <= len(shape) or 0 in strides:
        raise ModelError(f"{operator.name}: begin {begin}, end {end}, strides {strides} for {shape}")
    masks = [int(options[key]) for key in ("BeginMask", "EndMask", "ShrinkAxisMask")]
    places = {}
    for axis, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        all_before, all_behind, one = (mask >> axis & 1 for mask in masks)
        index = np.arange(shape[axis])
        if one:
            places[axis] = index[first:][:1]
            continue
        places[axis] = index[slice(None if all_before else first, None if all_behind else last, step)]
    return _taken(operator, made, places, made.result(operator))


def _slice(operator: FileOperator, made: Nodes) -> Held:
    shape = _shape(operator, made)
    begin, size = (_numbers(operator, made, number, len(shape)) for number in (1, 2))
    places = {}
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        last = shape[axis] if count == -1 else first + count
        if not 0 <= first < last <= shape[axis]:
            raise ModelError(f"{operator.name}: begin {begin}, size {size} for {shape}")
        places[axis] = np.arange(first, last)
    return _taken(operator, made, places, made.result(operator))


def _split(operator: FileOperator, made: Nodes) -> list[Held]:
    """Parts of equal size, SPLIT, or of the sizes that its second input says, SPLIT_V."""
    number, of_axis = (1, 0) if operator.kind == "SPLIT" else (0, 2)
    shape = _shape(operator, made, number)
    (axis,) = _numbers(operator, made, of_axis, 1)
    axis += len(shape) if axis < 0 else 0
    if not 0 <= axis < len(shape):
        raise ModelError(f"{operator.name}: axis {axis} of {shape}")
    targets = [made.file.tensors[index] for index in operator.outputs]
    count = len(targets)
    sizes = [shape[axis] // count] * count if operator.kind == "SPLIT" else _numbers(operator, made, 1, count)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = shape[axis] - sum(size for size in sizes if size != -1)
    if axis == 0 or sum(sizes) != shape[axis] or min(sizes) < 1:
        raise ModelError(f"{operator.name}: {shape} along axis {axis} in parts of {sizes}")
    ends = np.cumsum(sizes)
    return [
        _taken(operator, made, {axis: np.arange(last - size, last)}, target)
        for last, size, target in zip(ends.tolist(), sizes, targets, strict=True)
    ]


def _resized(operator: FileOperator, made: Nodes) -> tuple[tuple[int, ...], list[int], bool, bool]:
    """The shape before, height and width after, and whether corners are aligned and pixels counted by their centres."""
    shape, sides = _shape(operator, made), _numbers(operator, made, 1, 2)
    if len(shape) != 4 or min(sides) < 1 or max(sides) > np.prod(made.result(operator).shape, dtype=np.int64):
        raise ModelError(f"{operator.name}: {shape} to {sides}: height and width of an image are supported")
    corners, half = (bool(operator.options[key]) for key in ("AlignCorners", "HalfPixelCenters"))
    return shape, sides, corners, half


def _nearest(operator: FileOperator, made: Nodes) -> Held:
    """The nearest neighbour of each pixel, in float32 as TensorFlow Lite finds it."""
    shape, sides, corners, half = _resized(operator, made)
    places = {}
    for axis, (before, after) in enumerate(zip(shape[1:3], sides, strict=True), 1):
        scale = np.float32(before) / np.float32(after)
        if corners and after > 1:
            scale = np.float32(before - 1) / np.float32(after - 1)
        at = (np.arange(after, dtype=np.float32) + np.float32(0.5 if half else 0)) * scale
        nearest = np.floor(at + np.float32(0.5)) if corners else np.floor(at)
        places[axis] = np.clip(nearest.astype(np.int64), 0, before - 1)
    return _taken(operator, made, places, made.result(operator))


def _bilinear(operator: FileOperator, made: Nodes) -> Held:
    shape, sides, corners, half = _resized(operator, made)
    target = made.result(operator)
    if corners and half:
        raise ModelError(f"{operator.name}: aligned corners and centres of pixels: TensorFlow Lite takes one of both")
    if not same_scale(made.tensor(operator, 0), target) or target.shape != (1, *sides, shape[3]):
        raise ModelError(f"{operator.name}: {shape} to {sides} is not {target.shape} in its scale")
    name = made.input(operator).name
    parts = [made.node("Shape", [name], f"{operator.name}_shape"), made.put(np.array([0]), f"{operator.name}_first")]
    batch = made.node("Gather", parts, f"{operator.name}_batch", axis=0)
    rest = made.put(np.array([shape[3], *sides], np.int64), f"{operator.name}_sides")
    sizes = made.node("Concat", [batch, rest], f"{operator.name}_sizes", axis=0)
    how = "align_corners" if corners else "half_pixel" if half else "asymmetric"
    value = made.node(
        "Resize", [name, "", "", sizes], operator.name, mode="linear",
        coordinate_transformation_mode=how,
    )  # fmt: skip
    return rounded(operator, made, value, made.shape_of(target))


def _mirror_pad(operator: FileOperator, made: Nodes) -> Held:
    """REFLECT leaves the edge out, SYMMETRIC repeats it."""
    shape, mode = _shape(operator, made), "symmetric" if operator.options["Mode"] else "reflect"
    pads = np.reshape(_numbers(operator, made, 1, 2 * len(shape)), (-1, 2)).tolist()
    places = {}
    for axis, (side, (before, behind)) in enumerate(zip(shape, pads, strict=True)):
        most = side if mode == "symmetric" else side - 1
        if not (0 <= before <= most and 0 <= behind <= most):
            raise ModelError(f"{operator.name}: a border of {before} and {behind} around {side} elements")
        wide = np.pad(np.arange(side), (before, behind), "symmetric" if mode == "symmetric" else "reflect")
        places[axis] = wide
    return _taken(operator, made, places, made.result(operator))


def _blocks(operator: FileOperator, made: Nodes) -> Held:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH, whose channels have the order of ONNX's."""
    source, target, size = made.input(operator), made.result(operator), int(operator.options["BlockSize"])
    if len(source.shape) != 4 or size < 1 or not same_scale(made.tensor(operator, 0), target):
        raise ModelError(f"{operator.name}: blocks of {size} of {source.shape}: images in one scale are supported")
    _, channels, height, width = source.shape
    if operator.kind == "DEPTH_TO_SPACE":
        shape, whole = (1, channels // size**2, height * size, width * size), channels % size**2
    else:
        shape, whole = (1, channels * size**2, height // size, width // size), height % size + width % size
    if whole or made.shape_of(target) != shape:
        raise ModelError(f"{operator.name}: blocks of {size} of {source.shape} are not {made.shape_of(target)}")
    kind = {"DEPTH_TO_SPACE": "DepthToSpace", "SPACE_TO_DEPTH": "SpaceToDepth"}[operator.kind]
    return Held(made.node(kind, [source.name], operator.name, blocksize=size), shape)


OPERATORS: dict[str, Callable[[FileOperator, Nodes], Held | list[Held]]] = {
    "DEPTH_TO_SPACE": _blocks,
    "MIRROR_PAD": _mirror_pad,
    "RESIZE_BILINEAR": _bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "SLICE": _slice,
    "SPACE_TO_DEPTH": _blocks,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
}
