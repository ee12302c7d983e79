"""An ONNX for one image: batch 1, every type and shape known."""

from __future__ import annotations

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto

from niwaki.errors import ModelError, first_line
from niwaki.models.onnxfold import fold
from niwaki.models.onnxsize import check_sizes

_INPUT_TYPES = (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8)


def ends(model: ModelProto, name: str) -> tuple[ValueInfoProto, ValueInfoProto]:
    """The single input and output. Raises ModelError, with `name` for the model, if there are more."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for kind, values in (("inputs", inputs), ("outputs", model.graph.output)):
        if len(values) != 1:
            names = ", ".join(value.name for value in values)
            raise ModelError(f"{name}: {len(values)} {kind} ({names}): models with one are supported")
    return inputs[0], model.graph.output[0]


def for_one_image(model: ModelProto, name: str) -> ModelProto:
    """A copy with batch 1 and all types and shapes inferred; shapes that nodes compute are constants.

    Raises ModelError, with `name` for the model, if the input's dimensions are not fixed or shapes contradict each
    other.
    """
    fixed = ModelProto()
    fixed.CopyFrom(model)
    source, target = ends(fixed, name)
    _fix_batch(source)
    del fixed.graph.value_info[:]
    target.type.tensor_type.ClearField("shape")
    for node in fixed.graph.node:
        if node.domain == "com.microsoft" and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = ""  # older files from ONNX Runtime; the same operators
    fixed = _inferred(fixed, name)
    while fold(fixed):
        fixed = _inferred(fixed, name)
    return fixed


def _fix_batch(source: ValueInfoProto) -> None:
    kind = source.type.tensor_type
    if kind.elem_type not in _INPUT_TYPES:
        found = TensorProto.DataType.Name(kind.elem_type).lower()
        raise ModelError(f"input {source.name!r}: {found}: float, int8 and uint8 are supported")
    dims = kind.shape.dim
    if len(dims) not in (2, 4) or any(side.dim_value < 1 for side in dims[1:]):
        shape = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in dims)
        raise ModelError(
            f"input {source.name!r}: shape ({shape}): (batch, C, H, W) and (batch, N) with fixed dimensions are "
            "supported"
        )
    if dims[0].dim_value > 1:
        raise ModelError(f"input {source.name!r}: batches of {dims[0].dim_value}: a free batch, or 1, is supported")
    dims[0].dim_value = 1


def _inferred(model: ModelProto, name: str) -> ModelProto:
    check_sizes(model, name)
    try:
        return onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"{name}: its shapes do not fit: {first_line(error)}") from error
