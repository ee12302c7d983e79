"""The contents of a model file or an ONNX file: its layers, parameters, MACs and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from niwaki.errors import ModelError, step
from niwaki.measure.cost import Cost, count
from niwaki.measure.memory import peak_activation_bytes
from niwaki.models import modelfile
from niwaki.models.modelfile import ModelInfo
from niwaki.tabular import Tabular

if TYPE_CHECKING:
    from onnx import ModelProto

    from niwaki.models.onnxfile import Metadata


@dataclass(frozen=True)
class ModelFacts:
    """The contents of a model file."""

    file: Path
    info: ModelInfo
    cost: Cost
    activation_bytes: int

    def __repr__(self) -> str:
        return f"<ModelFacts {self.heading}>"

    def _repr_html_(self) -> str:
        return self.table().to_html()

    @property
    def heading(self) -> str:
        """A description in one line."""
        return _heading(self.file, self.info.factory, self.info.input_shape, self.info.labels)

    def table(self) -> Tabular:
        """The layers as a table, with the sums below."""
        kept = f"; activations at batch 1 {self.activation_bytes:,}"
        return self.cost.table(self.heading, beside=f"; file {self.file.stat().st_size:,}{kept}")

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        info = self.info
        return {
            "file": str(self.file),
            "factory": info.factory,
            "args": info.args,
            "input_shape": list(info.input_shape),
            "labels": list(info.labels),
            "preprocessing": info.preprocessing.model_dump(mode="json"),
            "original_widths": info.original_widths,
            "pruning_step": info.pruning.step if info.pruning else None,
            "provenance": dict(info.provenance),
            **_costs(self.cost, self.file),
            "activation_bytes": self.activation_bytes,
            "layers": [asdict(layer) for layer in self.cost.layers],
        }


@dataclass(frozen=True)
class InC:
    """The constants that the generated C stores, in bytes: all of them, and the weights of each layer by its name."""

    flash: int
    bits: Mapping[str, int]
    """Of a layer's weights: 8, 4 or 2."""
    packed: Mapping[str, int]


@dataclass(frozen=True)
class OnnxFacts:
    """The contents of an ONNX file, float or int8, and what a runtime must know.

    `quantization` is none, qdq (QuantizeLinear around float operators, as niwaki writes it), qoperator (QLinearConv
    and the like) or dynamic.
    """

    file: Path
    model: ModelProto
    about: Metadata
    cost: Cost
    input_shape: tuple[int, ...]
    c: InC | None = None
    """None if no C can be generated, as of float networks."""

    def __repr__(self) -> str:
        return f"<OnnxFacts {self.heading}>"

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """The layers as a table, with the sums below; if there can be C, with the bits and bytes of weights in it."""
        table = self.cost.table(self.heading, beside=f"; file {self.file.stat().st_size:,}")
        if self.c is None:
            return table
        cells = ((self.c.bits.get(layer.name), self.c.packed.get(layer.name)) for layer in self.cost.layers)
        return replace(
            table,
            columns=(*table.columns, ("bits", "right"), ("in C", "right")),
            rows=tuple(
                (*row, *("–" if size is None else f"{size:,}" for size in sizes))
                for row, sizes in zip(table.rows, cells, strict=True)
            ),
            notes=(*table.notes, f"C: {self.c.flash:,} bytes of constants"),
        )

    @property
    def heading(self) -> str:
        """A description in one line."""
        form = "float" if self.quantization == "none" else f"int8 ({self.quantization})"
        kind = f"ONNX, {form}, opset {self.opset}, file version {self.model.ir_version}"
        if self.file.suffix.lower() == ".tflite":
            kind = "TensorFlow Lite, int8"
        return _heading(self.file, kind, self.input_shape, self.about.labels)

    @property
    def opset(self) -> int | None:
        """The version of the standard operators."""
        return next((entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")), None)

    @property
    def quantization(self) -> str:
        """How it is quantized."""
        return _quantization({node.op_type for node in self.model.graph.node})

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        preprocessing = self.about.preprocessing
        return {
            "file": str(self.file),
            "input_shape": list(self.input_shape),
            "labels": list(self.about.labels),
            "preprocessing": preprocessing.model_dump(mode="json") if preprocessing else None,
            "opset": self.opset,
            "ir_version": self.model.ir_version,
            "domains": sorted(entry.domain or "ai.onnx" for entry in self.model.opset_import),
            "producer": self.model.producer_name,
            "quantization": self.quantization,
            **_costs(self.cost, self.file),
            "flash": self.c.flash if self.c else None,
            "layers": [
                {
                    **asdict(layer),
                    "bits": self.c.bits.get(layer.name) if self.c else None,
                    "packed_bytes": self.c.packed.get(layer.name) if self.c else None,
                }
                for layer in self.cost.layers
            ],
        }


FILES_TAKEN = (
    "a model file (.safetensors), as niwaki.save and studies write it, an ONNX file (.onnx) or an int8 TensorFlow Lite "
    "file (.tflite)"
)


def facts_of(file: Path, *, trust: bool = False) -> ModelFacts | OnnxFacts:
    """The contents of a model file (.safetensors) or an ONNX file (.onnx): parameters, MACs, bytes, layers.

    Raises ModelError if the file is neither or cannot be read.
    """
    if not file.exists():
        raise ModelError(f"{file}: there is no such file")
    ending = file.suffix.lower()
    if ending not in (".safetensors", ".onnx"):
        raise ModelError(f"{file}: expected {FILES_TAKEN}")
    return describe_onnx(file) if ending == ".onnx" else describe(file, trust=trust)


@step("counting a model file")
def describe(file: Path, *, trust: bool) -> ModelFacts:
    """Parameters, MACs, bytes and layers of a model file."""
    model, info = modelfile.load_with_info(file, trust=trust)
    return ModelFacts(file, info, count(model, info.input_shape), peak_activation_bytes(model, info.input_shape))


@step("counting an ONNX file")
def describe_onnx(file: Path, model: ModelProto | None = None) -> OnnxFacts:
    """Parameters, MACs, bytes and layers of an ONNX file, or of the ONNX `model` made from another file."""
    from niwaki.measure.onnxcost import count_onnx  # imported here: a model file does not need ONNX
    from niwaki.models.onnxfile import load_onnx, metadata

    model = load_onnx(file) if model is None else model
    try:
        about, cost = metadata(model), count_onnx(model)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    entry = next(value for value in model.graph.input if value.name not in constants)
    return OnnxFacts(file, model, about, cost, tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:]))


def _costs(cost: Cost, file: Path) -> dict[str, object]:
    return {
        "params": cost.params,
        "macs": cost.macs,
        "macs_tp": cost.macs_tp,
        "uncounted": list(cost.uncounted),
        "bytes": {**cost.bytes, "file": file.stat().st_size},
    }


def _quantization(operators: set[str]) -> str:
    if any(operator.startswith("QLinear") for operator in operators):
        return "qoperator"
    if "QuantizeLinear" in operators:
        return "qdq"
    return "dynamic" if "DynamicQuantizeLinear" in operators else "none"


def _heading(file: Path, kind: str, shape: Sequence[int], labels: Sequence[str]) -> str:
    classes = f"{len(labels)} class{'' if len(labels) == 1 else 'es'}" if labels else "no labels"
    return f"{file}: {kind}, input {'×'.join(map(str, shape))}, {classes}"
