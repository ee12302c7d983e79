"""The stage that makes a float model int8: export to ONNX, quantize, measure everything except time."""

from __future__ import annotations

import numpy as np
import onnx

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.dataset import Dataset, Split
from niwaki.deploy.cause import STEPS, Int8File, furthest, likely_cause, worst_images
from niwaki.deploy.images import calibration_images
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.emit.generate import Footprint, generate
from niwaki.errors import ModelError
from niwaki.files import canonical_json, sha256_of
from niwaki.measure.accuracy import Accuracy, Predict, evaluate
from niwaki.measure.memory import peak_activation_bytes
from niwaki.measure.onnxcost import count_onnx
from niwaki.measure.predict import torch_predictor
from niwaki.models import modelfile
from niwaki.models.onnx_export import to_onnx
from niwaki.randomness import derive_seed
from niwaki.study.plan import Stage
from niwaki.study.records import Results
from niwaki.study.structure import structure_id
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import widths
from niwaki.training.qat import quantize_aware
from niwaki.training.quantize import quantize
from niwaki.training.settings import QuantizeSettings
from niwaki.training.train import Epoch, Training

BATCH = 500
COMPARED = 200  # calibration images whose scores are compared


def quantize_stage(
    stage: Stage, parent: bytes, data: Dataset, training: Training, *, trust: bool
) -> tuple[bytes, Results]:
    """The int8 ONNX of the model file `parent`, and its measurements; `qat` trains as `training` says.

    Accuracy is ONNX Runtime's with one thread. Flash and RAM are those of the C generated from the ONNX; a note says
    why if none can be. Raises ModelError or StageFailed if the model cannot be exported, quantized or run.
    """
    model, info = modelfile.loads(parent, trust=trust)
    settings = QuantizeSettings.model_validate({k: value for k, value in stage.settings.items() if k != "tools"})
    history: list[Epoch] = []
    images = calibration_images(data.train, settings.images, derive_seed(stage.seed, "quantize", stage.position))
    if settings.kind == "qat":
        done, history = quantize_aware(to_onnx(model, info), images, data.train, settings, training)
    else:
        done = quantize(to_onnx(model, info), images, settings)
    table = data.preprocessing.table()
    predict, before = onnxruntime_predictor(done.onnx, table), torch_predictor(model, table)
    cost = count_onnx(onnx.load_from_string(done.onnx))
    activations: int | None
    if settings.kind != "dynamic":
        graph, footprint, notes = _integer_network(done.onnx)
        if graph is not None:
            notes = _step_notes(Int8File(done.onnx, graph, table), images)
        activations = footprint.lifetimes_bytes if footprint else None
    else:  # between layers, activations stay float
        footprint, notes = None, ()
        activations = peak_activation_bytes(model, data.input_shape)
    results = Results(
        validation=_accuracy(predict, data.validation, data),
        test=_accuracy(predict, data.test, data),
        params=cost.params,
        macs=cost.macs,
        macs_tp=None,
        bytes=cost.bytes,
        file_bytes=len(done.onnx),
        activation_bytes=activations,
        widths=widths(model, find_heads(model, data.input_shape)),
        structure=_structure(structure_id(model, info), settings),
        epochs=tuple(epoch.to_dict() for epoch in history),
        notes=(*done.notes, *notes),
        agreement=count_agreement(before, predict, data.test.images),
        flash=footprint.constant_bytes if footprint else None,
        ram=footprint.ram_bytes if footprint else None,
    )
    return done.onnx, results


def count_agreement(one: Predict, other: Predict, images: np.ndarray) -> int:
    """For how many uint8 `images` (n, C, H, W) two classifiers predict the same class."""
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return sum(int((one(part).argmax(axis=1) == other(part).argmax(axis=1)).sum()) for part in parts)


def _accuracy(predict: Predict, split: Split, data: Dataset) -> Accuracy:
    return evaluate(predict, split.images, split.labels, data.num_classes)


def _integer_network(int8_onnx: bytes) -> tuple[Graph | None, Footprint | None, tuple[str, ...]]:
    """The network in integers and what its C needs, known without a compiler; or why there is none."""
    try:
        graph = read_qdq(onnx.load_from_string(int8_onnx), "the int8 ONNX")
        return graph, generate(graph).report, ()
    except ModelError as error:
        return None, None, (f"no C can be generated: {error}",)


def _step_notes(file: Int8File, images: np.ndarray) -> tuple[str, ...]:
    """How ONNX Runtime, whose accuracy is recorded, differs from the integers by more than rounding, and the cause."""
    if not file.has_steps:
        return ()
    images = images[:COMPARED]
    expected = reference.run(file.graph, reference.quantize_pixels(file.graph, images))
    found = file.run("exact", images, expected)
    off, worst = furthest(found, expected), worst_images(found, expected)
    if off <= STEPS:
        return ()
    told = f"a score of ONNX Runtime differs from that of the integer network by {off} int8 steps"
    cause = likely_cause(file, images[worst], expected[worst])
    return (f"{told} on {len(images)} calibration images; likely cause: {cause}",)


def _structure(of_float: str, settings: QuantizeSettings) -> str:
    """From the float network and its int8 parts: calibration and training change numbers, not what is computed."""
    kind = "static" if settings.kind == "qat" else settings.kind
    return sha256_of(canonical_json([of_float, kind]))[:16]
