"""Scores far off are a fault of the file only if a layer by itself is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.ties import with_ties
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.cause import Int8File
from niwaki.deploy.compare_forms import FormReport, Judge
from niwaki.deploy.exported import Export
from niwaki.deploy.layer_alone import layers_alone
from niwaki.deploy.runners import Subject
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.deploy.sample import Sample
from niwaki.deploy.verify import VerifyOptions, verify_file
from niwaki.models.onnxfile import load_onnx
from qdq_models import start

IMAGES = np.random.default_rng(1).integers(0, 256, (40, 2, 6, 6), np.uint8)
TABLE = np.tile(np.arange(-128, 128, dtype=np.float32) * np.float32(0.5), (2, 1))


def near_ties(times: int) -> bytes:
    """Halves its pixel up to the last bit of a float32, and multiplies that by `times`."""
    model, x = start(1, 1, 1, scale=0.1)
    half = model.qdq(model.conv(x, weights=np.full((1, 1, 1, 1), 3, np.int8), scale=1.0, name="half"), 0.6)
    weights = np.array([times, -times], np.int8).reshape(2, 1, 1, 1)
    y = model.qdq(model.conv(half, weights=weights, scale=1.0), 0.6)
    return model.build(model.qdq(model.node("Flatten", [y]), 0.6)).SerializeToString()


def deep(*, weight: int = 0, scale: float = 1.0) -> bytes:
    """Two convolutions and a layer with factors of 8; `weight` steps and a `scale` that are wrong in the second one."""
    rng = np.random.default_rng(0)
    model, x = start(2, 6, 6)
    first, second = (rng.integers(-127, 128, shape).astype(np.int8) for shape in ((8, 2, 3, 3), (8, 8, 3, 3)))
    second[5, 2, 1, 1] = weight
    scales = np.full(8, 0.01, np.float32)
    scales[5] *= np.float32(scale)
    y = model.qdq(model.conv(x, weights=first, scale=0.01, name="first"), 0.77)
    y = model.qdq(model.conv(y, weights=second, scale=scales, name="second"), 2.9)
    y = model.qdq(model.node("MaxPool", [y], kernel_shape=[2, 2]), 2.9)
    last = (8 * np.eye(8, dtype=np.int8)[2:6]).reshape(4, 8, 1, 1)
    y = model.qdq(model.conv(y, weights=last, scale=1.0, name="last"), 4.3)
    return model.build(model.qdq(model.node("Flatten", [y]), 4.3)).SerializeToString()


def graph_of(data: bytes) -> Graph:
    return read_qdq(load_onnx(data, "it"), "it")


def verdict(data: bytes, against: bytes) -> tuple[FormReport, list[str]]:
    """What ONNX Runtime's run of a file is judged to be, beside the integers of another one."""
    graph = graph_of(against)
    pixels = (IMAGES.astype(np.int16) - 128).astype(np.int8)
    judge = Judge(cast(Export, type("It", (), {"graph": graph})), Sample(IMAGES, "images"))
    judge.scores["reference"] = reference.run(graph, pixels).reshape(len(IMAGES), -1)
    file = Int8File(data, graph, TABLE)
    subject = Subject("onnx-int8", "test", onnxruntime_predictor(data, TABLE), int8=file)
    return judge.take(subject, lambda *_: None), list(judge.ties.values())


def test_roundings_that_add_up_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "/nonexistent")
    data, path = near_ties(8), tmp_path / "near.onnx"
    path.write_bytes(data)
    report = verify_file(path, options=VerifyOptions(100))
    (form,) = (form for form in report.forms if form.form == "onnx-int8")
    assert form.agreement is not None
    assert form.agreement.difference is not None
    assert form.agreement.difference > 3
    assert (form.ok, report.ok) == (True, True), form.reason
    (told,) = (note for note in report.notes if note.startswith("onnx-int8: scores are up to"))
    assert "each layer by itself gives the reference's values" in told


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (deep(), ""),
        (deep(weight=3), "layer 'second': by itself 1 int8 step off for"),
        (deep(weight=100), "layer 'second': by itself"),
        (deep(scale=1.005), "layer 'second': by itself 1 int8 step off for"),
        (deep(scale=1.05), "layer 'second': by itself"),
    ],
    ids=["right", "3 steps of a weight", "a weight", "0.5 % of a scale", "a scale"],
)
def test_one_wrong_number_is_found_in_its_layer(wrong: bytes, fault: str) -> None:
    found = layers_alone(wrong, graph_of(deep()), TABLE, IMAGES[:20])
    assert found.fault.startswith(fault)
    assert bool(found.fault) == bool(fault)
    assert found.values > 20 * 8 * (16 + 4)


@pytest.mark.parametrize("wrong", [deep(weight=100), deep(scale=1.05)], ids=["weight", "scale"])
def test_a_file_with_a_wrong_number_is_not_excused(wrong: bytes) -> None:
    report, told = verdict(wrong, deep())
    assert (report.ok, told) == (False, [])
    right, _ = verdict(deep(), deep())
    assert right.ok, right.reason


def test_near_ties_go_both_ways() -> None:
    """Half of the odd pixels, up to the last bit of a float."""
    graph = graph_of(near_ties(1))
    pixels = np.arange(-128, 128, dtype=np.int8).reshape(256, 1, 1, 1)
    half, early, late = (
        reference.run_layer(with_ties(graph, ties).layers[0], [pixels], graph.tensors).ravel().tolist()
        for ties in ("up", "early", "late")
    )
    assert early == [-(-n // 2) for n in range(-128, 128)]
    assert late == [n // 2 for n in range(-128, 128)]
    assert half == [int(n / 2) for n in range(-128, 128)]
