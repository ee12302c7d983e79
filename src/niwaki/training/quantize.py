"""From float ONNX to int8 ONNX: static (everything, calibrated on images) or dynamic (only the linear layers)."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization import quantize_dynamic as quantize_linear_layers
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, ModelError, SpecError
from niwaki.folders import temporary
from niwaki.models.onnxfile import load_onnx, metadata
from niwaki.models.onnxsession import quiet, scores
from niwaki.models.opset import check_opset, ir_version_of
from niwaki.training.loss import cause_of_loss, logits_of, output_step
from niwaki.training.qdq_network import MULTIPLIES, QdqNetwork, with_initializers
from niwaki.training.quantize_checks import (
    INT8_OPERATORS,
    bounds,
    check_accumulators,
    check_clamps,
    check_scales,
    constants,
    float_nodes,
)
from niwaki.training.quantize_graph import in_order, last_softmax, prepared
from niwaki.training.quantize_ranges import Range, activation_ranges
from niwaki.training.quantize_regions import regions_of
from niwaki.training.settings import QuantizeSettings

AT_ONCE = 100  # images through the network together
POOR_AGREEMENT = 98.0  # percent of the calibration images; a note is added below this


@dataclass(frozen=True)
class Quantized:
    """An int8 ONNX model, and what its user should know: float operators that remain, poor agreement with float."""

    onnx: bytes
    notes: tuple[str, ...] = ()


def quantize(float_onnx: bytes, images: np.ndarray, settings: QuantizeSettings) -> Quantized:
    """`quantize_static` or `quantize_dynamic`, as `settings.kind` says; the second needs no images.

    Raises SpecError for `qat`, which needs more than images: `quantize_aware` does it.
    """
    if settings.kind == "qat":
        raise SpecError("kind = qat trains: use niwaki quantize (niwaki.quantize), or a study")
    return quantize_static(float_onnx, images, settings) if settings.kind == "static" else quantize_dynamic(float_onnx)


def quantize_static(float_onnx: bytes, images: np.ndarray, settings: QuantizeSettings) -> Quantized:
    """Int8 throughout, as QDQ: ONNX Runtime's static quantization with ranges from `activation_ranges`.

    Weights of 4 or 2 bits (`settings.bits`, `settings.layer_bits`) are values of the int8 tensors that fit into that
    many bits: each channel's scale is the one with the least squared error.

    `float_onnx` is what `to_onnx` writes; `images` are uint8 (n, C, H, W), from the training split. Activations are
    int8 with any zero point, weights int8 without one and with a scale per output channel, biases int32. The
    preprocessing alone determines the input's quantization. Opset, file version and metadata stay those of the float
    file; the same input gives the same bytes.

    ONNX Runtime removes Relu and Clip and relies on the zero point and the range of the next tensor instead. If a layer
    is dead on the calibration images (every output 0), its range is meaningless and the clamp would be lost, so such an
    activation gets a range that ends at 0. Each removed clamp is then checked in the file.

    Raises ModelError for a file that has no preprocessing, is quantized already, or has an opset below 13, and if the
    int8 file would compute something else (a lost clamp, a scale that is not a positive number, an accumulator that
    could exceed 32 bits); DataError for no images or images of another kind.
    """
    calibrated = calibrate(float_onnx, images, settings)
    bits = bits_of_layers(calibrated.quantized, settings)
    fewest = min(bits.values(), default=8)
    changed = trainable(calibrated, bits).initializers() if fewest < 8 else {}
    data = write(calibrated, changed)
    notes = _agreement_notes(float_onnx, data, calibrated.inputs, fewest)
    return Quantized(data, (*_float_notes(onnx.load_from_string(data)), *notes))


@dataclass(frozen=True)
class Calibrated:
    """A float ONNX as given, as the quantizer needs it, and with quantizers in it; and the calibration images."""

    data: bytes
    model: ModelProto
    ready: ModelProto
    quantized: ModelProto
    inputs: np.ndarray
    preprocessing: Preprocessing


def calibrate(float_onnx: bytes, images: np.ndarray, settings: QuantizeSettings) -> Calibrated:
    """The start of static quantization and quantization-aware training. Raises as `quantize_static` does."""
    model = _open(float_onnx)
    preprocessing = metadata(model).preprocessing
    if preprocessing is None:
        raise ModelError(
            "the float ONNX does not say how images are preprocessed for it: export it with its preprocessing"
        )
    if len(images) == 0:
        raise DataError("no images to calibrate on: give at least one")
    inputs = preprocessing.scale(images)
    _check_size(model, images)
    ready = prepared(model)
    ranges = _usable(ready, activation_ranges(ready, inputs, settings))
    quantized = _insert(ready, ranges, input_quantization(preprocessing.table()))
    return Calibrated(float_onnx, model, ready, quantized, inputs, preprocessing)


def trainable(calibrated: Calibrated, bits: dict[str, int]) -> QdqNetwork:
    """The quantized network as a module. The input's step size does not learn, nor one at the end of a Clip."""
    clips = [f"{node.output[0]}_scale" for node in calibrated.ready.graph.node if node.op_type == "Clip"]
    fixed = frozenset([f"{calibrated.model.graph.input[0].name}_scale", *clips])
    return QdqNetwork(calibrated.quantized, constants(calibrated.ready), bits, fixed)


def bits_of_layers(quantized: ModelProto, settings: QuantizeSettings) -> dict[str, int]:
    """The bits of each layer's weights, by the name of its node.

    Raises SpecError for a pattern of `layer_bits` that no layer fits.
    """
    known = {tensor.name for tensor in quantized.graph.initializer}
    makers = {node.output[0]: node for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    layers = [
        node.name
        for node in quantized.graph.node
        if node.op_type in MULTIPLIES and node.input[1] in makers and makers[node.input[1]].input[0] in known
    ]
    for pattern in settings.layer_bits:
        if not any(fnmatchcase(layer, pattern) for layer in layers):
            raise SpecError(f"layer_bits: no layer is called {pattern!r}; the layers are {', '.join(layers)}")
    return {layer: settings.bits_of(layer) for layer in layers}


def write(calibrated: Calibrated, changed: dict[str, np.ndarray]) -> bytes:
    """The int8 file, with other values for some constants, checked. Raises ModelError as `quantize_static` does."""
    quantized = with_initializers(calibrated.quantized, changed) if changed else calibrated.quantized
    check_scales(quantized)
    check_clamps(calibrated.ready, quantized)
    check_accumulators(quantized)
    return _finished(quantized, calibrated.model)


def quantize_dynamic(float_onnx: bytes) -> Quantized:
    """The source study's method: int8 weights of the linear layers, whose inputs are quantized at run time.

    Convolutions stay float. It needs no images, and a runtime that knows MatMulInteger (ONNX Runtime does).
    Raises ModelError for a file that is quantized already, has an opset below 13, or has no linear layer.
    """
    model = _open(float_onnx)
    if not any(node.op_type in ("Gemm", "MatMul") for node in model.graph.node):
        raise ModelError("dynamic quantization is for linear layers, and this network has none: use static")
    with quiet(), temporary("quantize") as folder:
        path = Path(folder) / "dynamic.onnx"
        quantize_linear_layers(
            model, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
        )
        quantized = onnx.load(path)
    return Quantized(_finished(quantized, model))


def input_quantization(table: np.ndarray) -> tuple[np.float32, np.int8]:
    """Scale and zero point of the input that cover every value of a preprocessing `table`, float32 (C, 256), and 0.

    For x/255 they are 1/255 and −128, so that the int8 of a pixel is pixel − 128.
    """
    low, high = min(0.0, float(table.min())), max(0.0, float(table.max()))
    scale = (high - low) / 255
    return np.float32(scale), np.int8(np.clip(round(-128 - low / scale), -128, 127))


def _open(data: bytes) -> ModelProto:
    model: ModelProto = load_onnx(data)
    if any(
        node.op_type in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear") for node in model.graph.node
    ):
        raise ModelError("the ONNX is quantized already: give the float one")
    if _opset(model) < 13:
        raise ModelError(f"opset {_opset(model)}: int8 with a scale per channel needs 13: export it with 13 or more")
    return model


def _check_size(model: ModelProto, images: np.ndarray) -> None:
    sides = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:])
    if images.shape[1:] != sides:
        raise DataError(f"images to calibrate on have the shape {images.shape[1:]}; the ONNX takes {sides}")


def _opset(model: ModelProto) -> int:
    return next((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _usable(model: ModelProto, ranges: dict[str, Range]) -> dict[str, Range]:
    """The ranges, with dead activations replaced: their values are too close to 0 for a scale, so they get −1 to 1.

    Relu or Clip may reduce that range further.
    """
    known = constants(model)
    limits = {node.output[0]: bounds(node, known) for node in model.graph.node if node.op_type in ("Relu", "Clip")}
    usable = {}
    for name, (low, high) in ranges.items():
        usable[name] = low, high
        if max(high, 0.0) - min(low, 0.0) < _SMALLEST_RANGE:
            least, most = limits.get(name, (-1.0, 1.0))
            usable[name] = max(-1.0, least), min(1.0, most)
    return usable


_SMALLEST_RANGE = 1e-9
# Their factors and offsets stay as they are: the integer form takes them with more than 8 bits.
NORMALIZATIONS = ("InstanceNormalization", "LayerNormalization", "LpNormalization", "RMSNormalization")


def _insert(model: ModelProto, ranges: dict[str, Range], fixed: tuple[np.float32, np.int8]) -> ModelProto:
    """The model with QuantizeLinear and DequantizeLinear around each int8 operator, as ONNX Runtime inserts them."""
    measured = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    scale, zero_point = fixed
    options = {
        "ForceQuantizeNoInputCheck": True,  # pooling or a change of shape right after the input, too
        "TensorQuantOverrides": {
            model.graph.input[0].name: [{"scale": np.array(scale), "zero_point": np.array(zero_point)}]
        },
    }
    regions = regions_of(model)
    normal = [node for node in model.graph.node if node.op_type in NORMALIZATIONS]
    with quiet():
        quantizer = _Quantizer(
            model, per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8, nodes_to_quantize=[],
            nodes_to_exclude=[*last_softmax(model), *regions.nodes, *(node.name for node in normal)],
            tensors_range=TensorsData(CalibrationMethod.MinMax, measured),
            op_types_to_quantize=INT8_OPERATORS, extra_options=options,
        )  # fmt: skip
        quantizer.inside = regions.inside
        for name in (*regions.ends, *(name for node in normal for name in (node.input[0], node.output[0]))):
            quantizer.quantize_activation_tensor(name)
        quantized: ModelProto = quantizer.quantize_model()
    return quantized


class _Quantizer(QDQQuantizer):  # type: ignore[misc]
    """ONNX Runtime's, which leaves activations inside a region as they are."""

    inside: frozenset[str] = frozenset()

    def quantize_activation_tensor(self, tensor_name: str) -> None:
        """Have an activation quantized, unless it is inside a region."""
        if tensor_name not in self.inside:
            super().quantize_activation_tensor(tensor_name)


def _finished(quantized: ModelProto, model: ModelProto) -> bytes:
    """The bytes of a quantized model: nodes in order, the float model's opset and metadata, nothing unused."""
    opset = _opset(model)
    nodes = in_order(quantized.graph)
    used = {name for node in nodes for name in node.input}
    graph = onnx.GraphProto(
        name="niwaki", node=nodes, input=model.graph.input, output=model.graph.output,
        initializer=[tensor for tensor in quantized.graph.initializer if tensor.name in used],
    )  # fmt: skip
    finished = ModelProto(
        ir_version=ir_version_of(opset), opset_import=[helper.make_opsetid("", opset)], producer_name="niwaki",
        graph=graph, metadata_props=model.metadata_props,
    )  # fmt: skip
    data: bytes = finished.SerializeToString(deterministic=True)
    check_opset(data, opset, ir_version_of(opset))
    return data


def _float_notes(quantized: ModelProto) -> tuple[str, ...]:
    remaining = float_nodes(quantized)
    if not remaining:
        return ()
    named = ", ".join(f"{node.op_type} ({node.name})" for node in remaining[:3])
    more = f" and {len(remaining) - 3} more" if len(remaining) > 3 else ""
    return (f"computed in float: {named}{more}; the model runs in ONNX Runtime, but is not an integer network",)


def trained_notes(calibrated: Calibrated, data: bytes, network: QdqNetwork) -> tuple[str, ...]:
    """Float operators that remain in a trained file, and whether ONNX Runtime computes something else from it."""
    quantized = onnx.load_from_string(data)
    _, softmax = output_step(quantized)
    with torch.no_grad():
        parts = np.array_split(calibrated.inputs, -(-len(calibrated.inputs) // AT_ONCE))
        expected = np.concatenate([network(torch.from_numpy(part)).numpy() for part in parts])
    agreement = _same(expected, logits_of(scores(data, calibrated.inputs), softmax))
    if agreement >= POOR_AGREEMENT:
        return _float_notes(quantized)
    count = len(calibrated.inputs)
    told = f"the file and what was trained give the same class on {agreement:.1f} % of the {count} calibration images"
    return (*_float_notes(quantized), f"{told}; likely cause: the runtime: niwaki verify says which form differs")


def _agreement_notes(float_onnx: bytes, int8_onnx: bytes, inputs: np.ndarray, bits: int) -> tuple[str, ...]:
    step, softmax = output_step(onnx.load_from_string(int8_onnx))
    expected, found = (logits_of(scores(data, inputs), softmax) for data in (float_onnx, int8_onnx))
    agreement = _same(expected, found)
    if agreement >= POOR_AGREEMENT:
        return ()
    told = f"int8 and float give the same class on {agreement:.1f} % of the {len(inputs)} calibration images"
    unoptimized = _same(expected, logits_of(scores(int8_onnx, inputs, mode="plain"), softmax))
    if unoptimized > (agreement + 100) / 2:
        return (f"{told}; likely cause: the runtime: with its optimizations off, {unoptimized:.1f} % agree",)
    if bits < 8:
        return (f"{told}; likely cause: weights of {bits} bits, for which the network was not trained: use kind = qat",)
    return (f"{told}; likely cause: {cause_of_loss(expected, found, step)}",)


def _same(one: np.ndarray, other: np.ndarray) -> float:
    """Percent of the rows with the same highest score."""
    return 100 * float((one.argmax(1) == other.argmax(1)).mean())
