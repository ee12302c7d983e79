"""From a module to float ONNX: one file, free batch, batch norm folded, labels and preprocessing inside."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, ModelError, kind_and_line
from niwaki.models.examine import check_numbers
from niwaki.models.generators import seeded
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnxfile import write_metadata
from niwaki.models.onnxsession import quiet, scores
from niwaki.models.opset import EXPORTED, check_asked, check_opset, ir_version_of, least_opset, lower

INPUT, OUTPUT, BATCH = "input", "logits", "batch"
_SCOPES = "pkg.torch.onnx.name_scopes"  # where torch's exporter records the modules that a node came from


def to_onnx(model: nn.Module, info: ModelInfo, *, opset: int | None = None) -> bytes:
    """The bytes of a float ONNX of `model`: `input` float32 (batch, C, H, W) → `logits` float32 (batch, classes).

    The input is what `info.preprocessing` gives, scale included. Batch norm is folded into the preceding layer. Nodes
    are named after the modules that they come from. `opset` is 13 to 18; by default 17, or 18 if the network needs it.
    The file version is the oldest that supports it. Both are checked in the bytes. The same module gives the same
    bytes, in any process; the module is not changed, and the exporter's own output is kept off the screen.

    Raises ModelError for another opset, for NaN in the weights, for an operator that the opset lacks, and for a module
    that cannot be exported or does not return one row of scores per image.

    >>> from niwaki.models.lenet5 import LeNet5
    >>> info = ModelInfo(factory="lenet5", input_shape=(1, 32, 32), labels=tuple("0123456789"))
    >>> onnx.load_from_string(to_onnx(LeNet5(), info)).graph.node[0].name
    'conv1'
    """
    if opset is not None:
        check_asked(opset)
    check_numbers(model)
    exported = _export(model, info)
    _check_interface(exported, type(model).__name__, info)
    _name_nodes(exported)
    bare = _bare(exported)
    opset = opset or least_opset(bare)
    lower(bare, opset)
    write_metadata(bare, info.labels, info.preprocessing)
    data: bytes = bare.SerializeToString(deterministic=True)
    check_opset(data, opset, ir_version_of(opset))
    return data


def check_against_torch(
    data: bytes, model: nn.Module, images: np.ndarray, preprocessing: Preprocessing, *, tolerance: float = 1e-4
) -> float:
    """The largest difference between the scores of an ONNX model and of its module, on uint8 `images` (n, C, H, W).

    Raises ModelError if it exceeds `tolerance` (times the largest score, if that is above 1) or if the two predict
    different classes for any image; DataError if there are no images or they have another type or shape.
    """
    if len(images) == 0:
        raise DataError("no images to compare an ONNX with its module on: give at least one")
    inputs = preprocessing.scale(images)
    twin = copy.deepcopy(model).cpu().eval()
    with torch.no_grad():
        starts = range(0, len(inputs), 100)
        expected = torch.cat([twin(torch.from_numpy(inputs[start : start + 100])) for start in starts]).numpy()
    found = scores(data, inputs)
    if found.shape != expected.shape:
        raise ModelError(f"the ONNX gives scores of shape {found.shape}, its module of {expected.shape}")
    difference = float(np.abs(found - expected).max())
    allowed = tolerance * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:  # NaN too
        raise ModelError(f"the ONNX differs from its module by {difference:.3g} in a score, allowed is {allowed:.3g}")
    # If two classes have practically equal scores, choosing the other one is no disagreement.
    chosen = np.take_along_axis(expected, found.argmax(1)[:, None], 1)[:, 0]
    wrong = int((expected.max(1) - chosen > allowed).sum())
    if wrong:
        raise ModelError(f"the ONNX answers with another class than its module on {wrong} of {len(images)} images")
    return difference


def _export(model: nn.Module, info: ModelInfo) -> ModelProto:
    """A copy of `model` exported by torch, at its own operator set."""
    images = torch.zeros(2, *info.input_shape)  # two: torch treats a batch of one as a constant
    free = ({0: torch.export.Dim(BATCH, min=1)},)
    try:
        twin = copy.deepcopy(model).cpu().float().eval()
        with quiet(), seeded(0), torch.no_grad(), _PooledInOrder():
            program = torch.onnx.export(
                twin, (images,), dynamo=True, opset_version=EXPORTED, input_names=[INPUT], output_names=[OUTPUT],
                dynamic_shapes=free, external_data=False, optimize=True, verbose=False,
            )  # fmt: skip
    except Exception as error:  # the user's forward, or anything in the exporter
        raise ModelError(
            f"{type(model).__name__}: cannot be exported to ONNX: {_cause(error)}; forward must take a batch of any "
            "size and use nothing but torch's operators"
        ) from error
    assert program is not None  # set only if the exporter writes the file itself
    return program.model_proto


class _PooledInOrder(TorchFunctionMode):
    """Adaptive pooling gets its image in order: torch restores the strides of any other afterwards, in ONNX by a Gather
    whose indices are computed from the batch.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is functional.adaptive_avg_pool2d and args and not args[0].is_contiguous():
            args = (args[0].contiguous(), *args[1:])
        return function(*args, **(kwargs or {}))


def _check_interface(exported: ModelProto, name: str, info: ModelInfo) -> None:
    if len(exported.graph.output) != 1:
        raise ModelError(f"{name}: returns {len(exported.graph.output)} tensors; a classifier returns its scores only")
    shape = [dim.dim_param or dim.dim_value for dim in exported.graph.output[0].type.tensor_type.shape.dim]
    if shape != [BATCH, len(info.labels)]:
        stated = " × ".join(map(str, shape))
        raise ModelError(f"{name}: returns {stated} scores; expected {BATCH} × {len(info.labels)}, one for each label")


def _name_nodes(exported: ModelProto) -> None:
    """Name each node after the module that it comes from, and its output after the node, in place.

    Weights identify the module first (`conv1.weight`: a folded layer keeps its name), then the exporter's records.
    """
    graph = exported.graph
    weights = {tensor.name for tensor in graph.initializer}
    taken = weights | {INPUT, OUTPUT}
    renamed: dict[str, str] = {}
    for node in graph.node:
        node.name = _unused(_module_of(node, weights) or node.op_type.lower(), taken)
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        for index, name in enumerate(node.output):
            if name and name != OUTPUT:
                renamed[name] = node.name if index == 0 else _unused(node.name, taken)
                node.output[index] = renamed[name]


def _module_of(node: NodeProto, weights: set[str]) -> str:
    for name in node.input[1:]:
        if name in weights and name.endswith(".weight"):
            return str(name.removesuffix(".weight"))
    notes = {entry.key: entry.value for entry in node.metadata_props}
    scopes = notes.get(_SCOPES, "").strip("[]").replace("'", "").split(", ")  # "['', 'features', 'features.2', 'relu']"
    return scopes[-2] if len(scopes) >= 2 else ""


def _unused(name: str, taken: set[str]) -> str:
    """`name`, or `name_1`, `name_2`, …: the first that is not yet `taken`, which it is added to."""
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate


def _bare(exported: ModelProto) -> ModelProto:
    """The model without the exporter's records: source lines and paths of this machine, its version."""
    graph = onnx.GraphProto(name="niwaki")
    for node in exported.graph.node:
        plain = onnx.helper.make_node(node.op_type, node.input, node.output, node.name, domain=node.domain)
        plain.attribute.extend(node.attribute)
        graph.node.append(plain)
    for tensor in exported.graph.initializer:
        graph.initializer.append(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    for given, kept in ((exported.graph.input, graph.input), (exported.graph.output, graph.output)):
        kept.extend(onnx.ValueInfoProto(name=value.name, type=value.type) for value in given)
    return ModelProto(
        ir_version=exported.ir_version, opset_import=exported.opset_import, producer_name="niwaki", graph=graph,
        functions=exported.functions,
    )  # fmt: skip


def _cause(error: BaseException) -> str:
    """The first line of the original error in a chain: what the user's own code said."""
    while error.__cause__ is not None:
        error = error.__cause__
    return kind_and_line(error)
