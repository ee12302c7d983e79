"""`niwaki inspect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from niwaki.cli.output import output, print_json
from niwaki.errors import ModelError, step
from niwaki.reporting.terminal import Column, print_table

_COLUMNS: tuple[Column, ...] = (
    ("layer", "left"), ("kind", "left"), ("output", "left"), ("parameters", "right"), ("MACs", "right"),
    ("bytes", "right"), ("type", "left"),
)  # fmt: skip


def inspect(file: Path, *, as_json: bool, trust: bool) -> None:
    """Print what a model file or an ONNX holds."""
    if not file.exists():
        raise ModelError(f"{file}: there is no such file")
    if file.suffix not in (".safetensors", ".onnx"):
        raise ModelError(
            f"{file}: expected a model file (.safetensors), as niwaki.save and studies write them, or an ONNX (.onnx)"
        )
    if trust:
        sys.path.insert(0, str(Path.cwd()))
    facts = describe_onnx(file) if file.suffix == ".onnx" else describe(file, trust=trust)
    if as_json:
        print_json(facts)
    else:
        _print(facts)


@step("counting a model file")
def describe(file: Path, *, trust: bool) -> dict[str, Any]:
    """Parameters, MACs, bytes and layers of a model file, as JSON values."""
    from niwaki.measure.cost import count
    from niwaki.measure.memory import peak_activation_bytes
    from niwaki.models import modelfile

    model, info = modelfile.load_with_info(file, trust=trust)
    cost = count(model, info.input_shape)
    facts = cost.to_dict()
    return {
        "file": str(file),
        "factory": info.factory,
        "args": info.args,
        "input_shape": list(info.input_shape),
        "labels": list(info.labels),
        "preprocessing": info.preprocessing.model_dump(mode="json"),
        "original_widths": info.original_widths,
        "pruning_step": info.pruning.step if info.pruning else None,
        "provenance": dict(info.provenance),
        "params": facts["params"],
        "macs": facts["macs"],
        "macs_tp": facts["macs_tp"],
        "uncounted": list(facts["uncounted"]),
        "bytes": {**facts["bytes"], "file": file.stat().st_size},
        "activation_bytes": peak_activation_bytes(model, info.input_shape),
        "layers": facts["layers"],
    }


@step("counting an ONNX")
def describe_onnx(file: Path) -> dict[str, Any]:
    """Parameters, MACs, bytes and layers of an ONNX, float or int8, and what a runtime must know, as JSON values.

    `quantization` is none, qdq (QuantizeLinear around float operators, as niwaki writes it), qoperator (QLinearConv
    and the like) or dynamic.
    """
    from niwaki.measure.onnxcost import count_onnx
    from niwaki.models.onnxfile import load_onnx, metadata

    model = load_onnx(file)
    try:
        about, facts = metadata(model), count_onnx(model).to_dict()
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    entry = next(value for value in model.graph.input if value.name not in constants)
    return {
        "file": str(file),
        "input_shape": [dim.dim_value for dim in entry.type.tensor_type.shape.dim[1:]],
        "labels": list(about.labels),
        "preprocessing": about.preprocessing.model_dump(mode="json") if about.preprocessing else None,
        "opset": next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None),
        "ir_version": model.ir_version,
        "domains": sorted(entry.domain or "ai.onnx" for entry in model.opset_import),
        "producer": model.producer_name,
        "quantization": _quantization({node.op_type for node in model.graph.node}),
        "params": facts["params"],
        "macs": facts["macs"],
        "macs_tp": facts["macs_tp"],
        "uncounted": list(facts["uncounted"]),
        "bytes": {**facts["bytes"], "file": file.stat().st_size},
        "layers": facts["layers"],
    }


def _quantization(operators: set[str]) -> str:
    if any(operator.startswith("QLinear") for operator in operators):
        return "qoperator"
    if "QuantizeLinear" in operators:
        return "qdq"
    return "dynamic" if "DynamicQuantizeLinear" in operators else "none"


def _heading(facts: dict[str, Any]) -> str:
    shape = "×".join(map(str, facts["input_shape"]))
    if "factory" in facts:
        kind = facts["factory"]
    else:
        form = "float" if facts["quantization"] == "none" else f"int8 ({facts['quantization']})"
        kind = f"ONNX, {form}, opset {facts['opset']}, file version {facts['ir_version']}"
    classes = f"{len(facts['labels'])} classes" if facts["labels"] else "no labels"
    return f"{facts['file']}: {kind}, input {shape}, {classes}"


def _print(facts: dict[str, Any]) -> None:
    console = output()
    console.print(_heading(facts), highlight=False, markup=False)
    rows = [
        (
            layer["name"], layer["kind"], "×".join(map(str, layer["output_shape"])), f"{layer['params']:,}",
            f"{layer['macs']:,}", f"{layer['bytes']:,}", layer["dtype"],
        )
        for layer in facts["layers"]
    ]  # fmt: skip
    print_table(console, _COLUMNS, rows)
    weights = ", ".join(f"{count:,} {name}" for name, count in facts["bytes"].items() if name != "file")
    macs_tp = f" (torch-pruning counts {facts['macs_tp']:,})" if facts["macs_tp"] is not None else ""
    console.print(f"{facts['params']:,} parameters, {facts['macs']:,} MACs{macs_tp}", highlight=False)
    for name in facts["uncounted"]:
        console.print(f"not counted in the MACs: {name}", highlight=False, markup=False)
    activations = f"; activations at batch 1 {facts['activation_bytes']:,}" if "activation_bytes" in facts else ""
    console.print(f"bytes: {weights}; file {facts['bytes']['file']:,}{activations}", highlight=False)
