"""Which ONNX a runtime can read: convert to its operator set, file version and domains, and check the bytes.

A runtime reads files up to some operator set (ONNX Runtime 1.11, the last for a Jetson Nano, reads 16). Torch's
exporter writes at least 18, whatever it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from niwaki.errors import ModelError, first_line

EXPORTED = 18  # what torch's exporter writes
OPSETS = range(13, EXPORTED + 1)  # below 13 there is no scale per channel, so no int8 as niwaki writes it
DEFAULT_OPSET = 17


def ir_version_of(opset: int) -> int:
    """The oldest file version (`ir_version`) that has `opset`: 7 for 13 and 14, 8 for 15 to 18."""
    return int(helper.find_min_ir_version_for([helper.make_opsetid("", opset)]))


def check_asked(opset: int) -> None:
    """Refuse an operator set that niwaki cannot write."""
    if opset not in OPSETS:
        raise ModelError(f"opset {opset}: expected {OPSETS.start} to {OPSETS.stop - 1}; old boards take {OPSETS.start}")


def check_opset(data: bytes, opset: int, ir_version: int) -> None:
    """Check an ONNX file's bytes: exactly this operator set, at most this file version, a single self-contained file.

    Raises ModelError naming what differs, or the node that does not exist in that operator set.
    """
    model = onnx.load_from_string(data)
    imported = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if imported != {"ai.onnx": opset}:
        stated = ", ".join(f"{domain} {version}" for domain, version in sorted(imported.items()))
        raise ModelError(f"the written ONNX imports {stated}; expected ai.onnx {opset} only")
    if model.ir_version > ir_version:
        raise ModelError(f"the written ONNX has ir_version {model.ir_version}; expected at most {ir_version}")
    if model.functions or any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        raise ModelError("the written ONNX calls functions of its own, which small runtimes do not know")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError("the written ONNX keeps weights in a second file")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"the written ONNX is not valid at opset {opset}: {first_line(error)}") from error


def lower(model: ModelProto, opset: int) -> None:
    """Convert a model of operator set 18 to `opset`, in place: the same operators, the same numbers.

    Raises ModelError naming the first node that does not exist there.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        since = onnx.defs.get_schema(node.op_type, EXPORTED).since_version
        if since > opset and not _adapt(node, constants, opset):
            raise ModelError(
                f"node {node.name!r}: the operator {node.op_type}, as this network uses it, needs opset {since}, not "
                f"{opset}: ask for opset {since}, or replace that layer"
            )
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    model.ir_version = ir_version_of(opset)


def at_opset(data: bytes, opset: int) -> bytes:
    """An ONNX file of operator set 18 or older, at `opset` or its own, whichever is older.

    Raises ModelError naming the first node that does not exist there.
    """
    model = onnx.load_from_string(data)
    if max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0) <= opset:
        return data
    lower(model, opset)
    written: bytes = model.SerializeToString()
    check_opset(written, opset, ir_version_of(opset))
    return written


def least_opset(model: ModelProto) -> int:
    """The operator set to convert a model of operator set 18 to if nobody asks for one: 17, or what it needs."""
    for opset in range(DEFAULT_OPSET, EXPORTED):
        copied = ModelProto()
        copied.CopyFrom(model)
        try:
            lower(copied, opset)
        except ModelError:
            continue
        return opset
    return EXPORTED


Constants = Mapping[str, onnx.TensorProto]

# Operators whose newer versions only added data types or attributes, and the values of those attributes that keep
# the old meaning. Other operators that are newer than the opset are refused.
_NEW_ATTRIBUTES: dict[str, tuple[tuple[str, int], ...]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Relu", "LeakyRelu", "PRelu", "Where", "Identity"), ()),
    **dict.fromkeys(("Reshape", "Pad", "Split"), ()),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), (("noop_with_empty_axes", 0),)),
    "BatchNormalization": (("training_mode", 0),),
    "Resize": (("antialias", 0),),
    "Shape": (("start", 0),),
}


def _adapt(node: NodeProto, constants: Constants, opset: int) -> bool:
    """Rewrite `node` for older operator sets; False if they have no equivalent."""
    if node.op_type not in _NEW_ATTRIBUTES:
        return False
    if node.op_type == "Reshape":
        _drop_allowzero(node, constants)
    elif node.op_type.startswith("Reduce"):
        _axes_to_attribute(node, constants)
    for name, value in _NEW_ATTRIBUTES[node.op_type]:
        _drop(node, name, value)
    schema = onnx.defs.get_schema(node.op_type, opset)
    return len(node.input) <= schema.max_input and all(entry.name in schema.attributes for entry in node.attribute)


def _drop(node: NodeProto, name: str, value: int) -> None:
    for attribute in list(node.attribute):
        if attribute.name == name and helper.get_attribute_value(attribute) == value:
            node.attribute.remove(attribute)


def _drop_allowzero(node: NodeProto, constants: Constants) -> None:
    """`allowzero` (14) matters only if the new shape has a zero."""
    shape = constants.get(node.input[1])
    if shape is not None and 0 not in numpy_helper.to_array(shape):
        _drop(node, "allowzero", 1)
    _drop(node, "allowzero", 0)


def _axes_to_attribute(node: NodeProto, constants: Constants) -> None:
    """The axes of a reduction are an input since 18, and were an attribute before."""
    axes = constants.get(node.input[1]) if len(node.input) == 2 else None
    if axes is not None:
        del node.input[1:]
        node.attribute.append(helper.make_attribute("axes", numpy_helper.to_array(axes).ravel().tolist()))
