"""A TensorFlow Lite file as QDQ ONNX: the same weights, scales and zero points, channels first.

What the numbers of the file mean is kept to the bit; two entries of the ONNX's metadata say the rest: that the file's
interface is rows of pixels (HWC), and that its integers round in two steps.
"""

from __future__ import annotations

import onnx
from onnx import ModelProto, TensorProto, helper

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor, TfliteFile, read_tflite_file
from niwaki.foreign.tflite_nodes import TYPES, Held, Nodes
from niwaki.foreign.tflite_operators import OPERATORS, SEVERAL_OUTPUTS, SUPPORTED, WAYS_OUT
from niwaki.foreign.tflite_places import in_file_order
from niwaki.models.onnxfile import LAYOUT, ROUNDING, load_onnx

_OPSET, _IR = 14, 8  # the first with HardSwish; from 13 on there are scales for each channel


def read_tflite(data: bytes, name: str) -> ModelProto:
    """The QDQ ONNX of a TensorFlow Lite file's bytes; `name` stands for it in errors.

    Input and output are float, quantized as in the file, channels first; a batch of 1 becomes a free batch. A last
    SOFTMAX gives its float probabilities, since rounded ones no longer tell classes apart.

    Raises ModelError if the bytes are damaged or not such a file, and for what int8 C cannot be made of: float
    networks, 16-bit activations, operators that are not supported (by name and number), several inputs or outputs.
    """
    try:
        converted = _converted(read_tflite_file(data))
    except ModelError as error:
        raise ModelError(f"{name}: ", str(error)) from error
    return load_onnx(converted.SerializeToString(deterministic=True), name)


def _converted(file: TfliteFile) -> ModelProto:
    made = Nodes(file)
    source, target = (_only(file, *end) for end in (("inputs", file.inputs), ("outputs", file.outputs)))
    if source.data is not None or target.data is not None:
        raise ModelError("its input or output is a constant")
    shape = made.shape_of(source)
    name = made.quantized("input", source) if source.type in TYPES else "input"
    made.held[source.index] = Held(name, shape)
    for operator in file.operators:
        _add(operator, made)
    output = made.held_of(target.index, "the output")
    if output.order is not None and file.operators:
        output = in_file_order(file.operators[-1], made, output)
    return _model(made, shape, output)


def _model(made: Nodes, shape: tuple[int, ...], output: Held) -> ModelProto:
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sides[1:]])
        for name, sides in (("input", shape), (output.name, output.shape))
    ]
    graph = helper.make_graph(made.nodes, "network", ends[:1], ends[1:], made.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    model.producer_name = "niwaki, from a TensorFlow Lite file"
    onnx.helper.set_model_props(model, {LAYOUT: "HWC", ROUNDING: "twice"})
    return model


def _only(file: TfliteFile, kind: str, numbers: tuple[int, ...]) -> FileTensor:
    if len(numbers) != 1:
        raise ModelError(f"{len(numbers)} {kind}: networks with one are supported")
    return file.tensors[numbers[0]]


def _add(operator: FileOperator, made: Nodes) -> None:
    read = OPERATORS.get(operator.kind)
    if read is None:
        way = WAYS_OUT.get(operator.kind)
        told = f": {way}" if way else ""
        raise ModelError(f"{operator.name} is not supported{told}; these are: {SUPPORTED}")
    several = operator.kind in SEVERAL_OUTPUTS
    if not operator.inputs or not operator.outputs or (len(operator.outputs) > 1 and not several):
        raise ModelError(f"{operator.name}: {len(operator.inputs)} inputs, {len(operator.outputs)} outputs")
    found = read(operator, made)
    for index, held in zip(operator.outputs, found if isinstance(found, list) else [found], strict=True):
        if index in made.held or made.file.tensors[index].data is not None:
            raise ModelError(f"{operator.name}: writes tensor {index}, which has a value already")
        made.held[index] = held
