"""Windows over an image: shapes, strides and padding of convolutions and pooling. A signal has one column."""

from __future__ import annotations

from typing import Any

from onnx import NodeProto

from niwaki.codegen.graph.graph import Pads
from niwaki.codegen.readers.qdq_constants import attributes, name_of
from niwaki.codegen.readers.qdq_inputs import Inputs
from niwaki.codegen.readers.qdq_values import Value
from niwaki.codegen.readers.qdq_views import View, Window
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape


def image_shape_of(node: NodeProto, inputs: Inputs) -> Shape:
    """The shape (C, H, W) of a node's input; that of a signal (C, L) with one column."""
    shape = image_shape(node.input[0], inputs)
    if len(shape) != 3:
        raise ModelError(f"{label(node)}: an input of shape (batch, {_text(shape)}): (batch, C, H, W) is supported")
    return shape


def image_shape(name: str, inputs: Inputs) -> Shape:
    """The shape of a float value; that of a signal with one column."""
    shape = inputs.shape(name)
    return (*shape, 1) if len(shape) == 2 else shape


def as_image(node: NodeProto, inputs: Inputs) -> tuple[Value, Shape]:
    """A node's input, and its shape as `image_shape_of` gives it."""
    value, shape = inputs.value(node.input[0], node), image_shape_of(node, inputs)
    return (value if value.shape == shape else value.seen(View(name_of(node), shape))), shape


def image_tensor(value: Value, node: NodeProto, inputs: Inputs) -> str:
    """The tensor of a node's input, which is `value` as `as_image` gives it."""
    if value.shape == inputs.shape(node.input[0]):
        return inputs.tensor(node.input[0], node)
    return inputs.held(value, f"{node.input[0]}_image", node)


def as_before(value: Value, node: NodeProto, inputs: Inputs) -> Value:
    """A result as a signal again, if it is one."""
    target = inputs.shape(node.output[0])
    return value if value.shape == target else value.seen(View(name_of(node), target))


def _text(shape: Shape) -> str:
    return ", ".join(map(str, shape))


def window_of(node: NodeProto, given: dict[str, Any], inputs: Inputs) -> Window:
    """Kernel, strides, pads and dilations; below and on the right, as much padding as the windows need."""
    kernel, strides, dilations = (tuple(given.get(name, (1, 1))) for name in ("kernel_shape", "strides", "dilations"))
    pads = pads_of(given)
    if len(inputs.shape(node.input[0])) == 2:  # along the rows alone
        kernel, strides, dilations = ((*sides, 1)[:2] for sides in (kernel, strides, dilations))
        pads = pads if len(pads) == 4 else (pads[0], 0, pads[1], 0)
    if not len(kernel) == len(strides) == len(dilations) == 2 or len(pads) != 4 or min(pads) < 0:
        raise ModelError(
            f"{label(node)}: kernel {kernel}, strides {strides}, pads {pads}: two of each, over height and width, "
            "and pads of 0 or more are supported"
        )
    source, target = image_shape_of(node, inputs), image_shape(node.output[0], inputs)
    auto = given.get("auto_pad", "NOTSET")
    reach = [(target[1 + i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - source[1 + i] for i in (0, 1)]
    first = [pads[0], pads[1]]
    if auto != "NOTSET":
        total = [max(0, more) if auto != "VALID" else 0 for more in reach]
        first = [more // 2 if auto == "SAME_UPPER" else more - more // 2 for more in total]
    last = [max(pads[2 + i], reach[i] - first[i]) for i in (0, 1)]
    return Window(kernel, strides, (first[0], first[1], last[0], last[1]), dilations)


def pads_of(given: dict[str, Any]) -> Pads:
    """The padding of a node, before and after; none if it is worked out from the sizes."""
    return tuple(given.get("pads", (0, 0, 0, 0))) if given.get("auto_pad", "NOTSET") == "NOTSET" else (0, 0, 0, 0)


def pooling_window(node: NodeProto, inputs: Inputs) -> Window:
    """A window without dilations that covers a pixel of the image at every position."""
    source, window = image_shape_of(node, inputs), window_of(node, attributes(node), inputs)
    target = image_shape(node.output[0], inputs)
    if window.dilations != (1, 1):
        raise ModelError(f"{label(node)}: dilations {window.dilations}: pooling without is supported")
    for axis in (0, 1):
        before, kernel, last = window.pads[axis], window.kernel[axis], (target[1 + axis] - 1) * window.strides[axis]
        if before >= kernel or last - before >= source[1 + axis]:
            raise ModelError(f"{label(node)}: a window is entirely in the padding: use less padding")
    return window
