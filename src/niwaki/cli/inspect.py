"""`niwaki inspect`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from niwaki.cli.study import output
from niwaki.errors import ModelError


def inspect(file: Path, *, as_json: bool, trust: bool) -> None:
    """Print what a model file holds."""
    if not file.exists():
        raise ModelError(f"{file}: there is no such file")
    if file.suffix != ".safetensors":
        raise ModelError(f"{file}: expected a model file (.safetensors), as niwaki.save and studies write them")
    if trust:
        sys.path.insert(0, str(Path.cwd()))
    facts = describe(file, trust=trust)
    if as_json:
        print(json.dumps(facts))
    else:
        _print(facts)


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
        "provenance": info.provenance,
        "params": facts["params"],
        "macs": facts["macs"],
        "macs_tp": facts["macs_tp"],
        "bytes": {**facts["bytes"], "file": file.stat().st_size},
        "activation_bytes": peak_activation_bytes(model, info.input_shape),
        "layers": facts["layers"],
    }


def _print(facts: dict[str, Any]) -> None:
    console = output()
    channels, height, width = facts["input_shape"]
    console.print(
        f"{facts['file']}: {facts['factory']}, input {channels}×{height}×{width}, {len(facts['labels'])} classes",
        highlight=False,
        markup=False,
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("layer", "kind", "output"):
        table.add_column(heading)
    for heading in ("parameters", "MACs", "bytes"):
        table.add_column(heading, justify="right")
    table.add_column("type")
    for layer in facts["layers"]:
        table.add_row(
            escape(layer["name"]), layer["kind"], "×".join(map(str, layer["output_shape"])), f"{layer['params']:,}",
            f"{layer['macs']:,}", f"{layer['bytes']:,}", layer["dtype"],
        )  # fmt: skip
    console.print(table)
    weights = ", ".join(f"{count:,} {name}" for name, count in facts["bytes"].items() if name != "file")
    macs_tp = f" (torch-pruning counts {facts['macs_tp']:,})" if facts["macs_tp"] is not None else ""
    console.print(f"{facts['params']:,} parameters, {facts['macs']:,} MACs{macs_tp}", highlight=False)
    console.print(
        f"bytes: {weights}; file {facts['bytes']['file']:,}; activations at batch 1 {facts['activation_bytes']:,}",
        highlight=False,
    )
