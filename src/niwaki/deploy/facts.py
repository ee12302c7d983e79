"""What a file holds, and of an int8 ONNX what the C that is generated from it stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from niwaki.deploy.origin import open_origin
from niwaki.errors import ModelError
from niwaki.measure import facts
from niwaki.measure.facts import InC, ModelFacts, OnnxFacts


def facts_of(file: Path, *, trust: bool = False) -> ModelFacts | OnnxFacts:
    """`measure.facts.facts_of`, with the bits and bytes that the C takes for each layer if C can be generated.

    A TensorFlow Lite file is described as the ONNX that it becomes. Raises ModelError if the file is none of these, or
    cannot be read.
    """
    if file.suffix.lower() == ".tflite" and file.is_file():
        found: ModelFacts | OnnxFacts = facts.describe_onnx(file, onnx.load_from_string(open_origin(file).data))
    else:
        found = facts.facts_of(file, trust=trust)
    if isinstance(found, OnnxFacts) and found.quantization == "qdq":
        return replace(found, c=_in_c(found.model))
    return found


def _in_c(model: onnx.ModelProto) -> InC | None:
    from niwaki.codegen.readers.qdq import read_qdq
    from niwaki.codegen.readers.qdq_constants import name_of
    from niwaki.emit.generate import generate
    from niwaki.measure.onnxcost import layer_name

    try:
        needs = generate(read_qdq(model, "the ONNX")).report
    except ModelError:
        return None
    names = {name_of(node): layer_name(node) for node in model.graph.node}
    weights = {names.get(stored.layer, stored.layer): stored for stored in needs.weights}
    return InC(
        needs.constant_bytes,
        {name: stored.bits for name, stored in weights.items()},
        {name: stored.bytes for name, stored in weights.items()},
    )
