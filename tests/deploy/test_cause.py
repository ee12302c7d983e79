"""If ONNX Runtime's int8 deviates from the integers more than it should, the likely cause is found and named."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy import cause, drift
from niwaki.deploy.agreement import Agreement
from niwaki.deploy.cause import Int8File, likely_cause, saturation, way_out
from niwaki.deploy.compare_forms import FormReport, Judge
from niwaki.deploy.drift import default_is_wrong
from niwaki.deploy.exported import Export
from niwaki.deploy.runners import Subject
from niwaki.deploy.sample import Sample
from niwaki.deploy.verify import VerifyOptions, VerifyReport, verify_file
from niwaki.errors import DataError
from niwaki.models import onnxsession
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import Mode
from overflowing import CUT, PIXELS, TOP, overflowing, overflowing_dynamic
from qdq_models import start


def ties(times: int) -> bytes:
    """Halves its pixel, whose ties ONNX Runtime rounds to even and the integers up, and multiplies that by `times`."""
    model, x = start(1, 1, 1, scale=1.0)
    half = model.qdq(model.conv(x, weights=np.ones((1, 1, 1, 1), np.int8), scale=1.0, name="half"), 2.0)
    weights = np.array([times, -times], np.int8).reshape(2, 1, 1, 1)
    y = model.qdq(model.conv(half, weights=weights, scale=1.0, name="times"), 2.0)
    return model.build(model.qdq(model.node("Flatten", [y]), 2.0)).SerializeToString()


def bias_beyond_32_bits() -> bytes:
    """Two scores that are 50 whatever the image; ONNX Runtime fuses the second away, whose weight is tiny."""
    model, x = start(1, 1, 1, scale=1 / 255, zero_point=-128)
    bias = model.constant(np.float32([50, 50]))
    y = model.qdq(model.conv(x, bias, np.full((2, 1, 1, 1), 100, np.int8), [1e-3, 1e-12]), 1.0)
    return model.build(model.qdq(model.node("Flatten", [y]), 1.0)).SerializeToString()


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "/nonexistent")


@pytest.mark.parametrize("times", [3, 4])
def test_a_network_may_be_three_steps_off_by_rounding_and_further_by_ties(times: int, tmp_path: Path, no_compiler):
    path = tmp_path / "ties.onnx"
    path.write_bytes(ties(times))
    report = verify_file(path, options=VerifyOptions(200))
    (form,) = (form for form in report.forms if form.form == "onnx-int8")
    assert form.agreement is not None
    assert (form.agreement.same_class, form.agreement.difference) == (200, times)
    assert (form.ok, report.ok) == (True, True)
    told = [note for note in report.notes if "come from ties: with halves rounded to even" in note]
    assert [note.partition(":")[0] for note in told] == ["onnx-int8", "file"] * (times == 4)
    with pytest.raises(DataError, match="-1 int8 steps: give 0 or more"):
        verify_file(path, options=VerifyOptions(1, steps=-1))


def file_of(data: bytes) -> Int8File:
    graph = read_qdq(load_onnx(data, "it"), "it")
    shape = graph.tensors[graph.input].shape
    entry = graph.tensors[graph.input]
    table = ((np.arange(-128, 128) - entry.zero_point) * entry.scale).astype(np.float32)
    return Int8File(data, graph, np.tile(table, (shape[0], 1)))


WHITE = np.full((3, PIXELS, 1, 1), 255, np.uint8)
EXPECTED = np.tile(np.array([[TOP, -TOP]], np.int8), (3, 1))


def runtime(monkeypatch: pytest.MonkeyPatch, wrong: Mode) -> None:
    """A processor on which one session saturates each pair of products."""
    make = cause.onnxruntime_predictor

    def predictor(data: bytes, table: np.ndarray, *, mode: Mode):
        run = make(data, table, mode="exact" if mode == wrong else mode)  # whatever this processor does
        return lambda images: run(images) * (CUT / TOP if mode == wrong else 1)

    monkeypatch.setattr(cause, "onnxruntime_predictor", predictor)


def test_rounding_that_adds_up_is_named() -> None:
    file = file_of(ties(4))
    pixels = np.random.default_rng(0).integers(0, 256, (200, *file.graph.tensors[file.graph.input].shape), np.uint8)
    expected = reference.run(file.graph, (pixels.astype(np.int16) - 128).astype(np.int8))
    assert likely_cause(file, pixels, expected) == (
        "rounding: no layer by itself is more than 1 int8 step off, but these steps add up"
    )


def test_the_runtime_is_the_cause_where_each_node_by_itself_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime(monkeypatch, "exact")
    found = likely_cause(file_of(overflowing()), WHITE, EXPECTED)
    assert found == "the runtime: with optimization off, scores are at most 0 int8 steps off, with it 50"


def test_a_layer_that_is_off_by_itself_is_named() -> None:
    """As if the reference read the file otherwise than ONNX Runtime does."""
    file = file_of(overflowing())
    changed = [
        dataclasses.replace(layer, bias=layer.bias + 9 * 255 * 81) if hasattr(layer, "bias") else layer
        for layer in file.graph.layers
    ]
    file = dataclasses.replace(file, graph=dataclasses.replace(file.graph, layers=tuple(changed)))
    expected = reference.run(file.graph, np.full((3, PIXELS, 1, 1), 127, np.int8))
    assert likely_cause(file, WHITE, expected) == "layer 'Conv3': by itself 9 int8 steps off, with optimization off"


def test_a_default_session_that_saturates_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime(monkeypatch, "default")
    found = saturation(file_of(overflowing()), WHITE, EXPECTED)
    assert found.startswith("another class for 0 of 3 images, up to 50 int8 steps off; likely cause: saturation: ")
    runtime(monkeypatch, "plain")  # here both sessions are wrong, so it is something else
    monkeypatch.setattr(cause.Int8File, "off", lambda *_: (50, 0))
    assert saturation(file_of(overflowing()), WHITE, EXPECTED) == ""


def test_the_way_out_is_an_option_that_the_file_takes() -> None:
    said = "in ONNX Runtime, x86 processors without VNNI saturate sums of this file and may predict wrong classes"
    assert way_out(overflowing()) == f"{said}: set the session option session.x64quantprecision = 1 there"
    assert way_out(overflowing(shared=True)) == f"{said}: set the session option session.disable_quant_qdq = 1 there"
    assert way_out(overflowing_dynamic(shared=True)).startswith(f"{said}; no session option helps")


def test_what_the_runtime_fuses_wrongly_is_told_with_the_option_that_leaves_it_be() -> None:
    data, inputs = bias_beyond_32_bits(), np.ones((1, 1, 1, 1), np.float32)
    assert onnxsession.scores(data, inputs).tolist() == [[50, 50]]
    assert onnxsession.scores(data, inputs, mode="default").tolist() == [[50, 0]]
    said = "ONNX Runtime fuses nodes of this file into a different network"
    assert way_out(data) == f"{said}: set the session option session.disable_quant_qdq = 1"
    found = saturation(file_of(data), np.full((3, 1, 1, 1), 255, np.uint8), np.full((3, 2), 50, np.int8))
    assert found.endswith("likely cause: the runtime, which fuses nodes of this file into a different network")


def test_a_dynamic_form_that_saturates_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    data, table = overflowing_dynamic(), np.tile(np.linspace(0, 1, 256, dtype=np.float32), (PIXELS, 1))
    exact = cause.onnxruntime_predictor(data, table)
    subject = Subject("onnx-dynamic", "how", exact, dynamic=(data, table))
    judge = Judge(cast(Export, None), Sample(WHITE, "images"))
    judge.take(subject, lambda *_: None)
    monkeypatch.setattr(drift, "onnxruntime_predictor", lambda *_, mode: exact)
    assert list(judge.warnings(subject)) == []
    monkeypatch.setattr(drift, "onnxruntime_predictor", lambda *_, mode: lambda images: exact(images) * CUT / TOP)
    first, second = judge.warnings(subject)
    assert "processor: another class for 0 of 3 images, scores off by up to 4.06e+03; likely cause: satur" in first
    assert second == f"onnx-dynamic: {way_out(data)}"


@pytest.mark.parametrize("make", [overflowing, overflowing_dynamic])
def test_bench_is_told_where_the_default_session_is_wrong(make, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = drift.scores

    def saturated(data: bytes, inputs: np.ndarray, *, batch: int, mode: Mode) -> np.ndarray:
        return scores(data, inputs, batch=batch, mode="exact") * (CUT / TOP if mode == "default" else 1)

    shape = (PIXELS, 1, 1)
    monkeypatch.setattr(drift, "scores", lambda *args, batch, mode: scores(*args, batch=batch, mode="exact"))
    assert default_is_wrong(make(), shape) == ""
    monkeypatch.setattr(drift, "scores", saturated)
    found = default_is_wrong(make(), shape)
    off = r"up to \d\d int8 steps off" if make is overflowing else r"scores off by up to [\d.e+]+"
    assert found.startswith("another class for 0 of 20 made-up images, ")
    assert re.search(off, found)
    assert found.endswith("set the session option session.x64quantprecision = 1 there")


# The summary


def form(name: str, ok: bool | None, against: str = "", images: int = 10) -> FormReport:
    agreement = Agreement(against, images, None, 0.0, "score", None) if against else None
    return FormReport(name, "how", ok, images, agreement)


def far(name: str, apart: int) -> FormReport:
    """An int8 with another class than float for some of 10 images."""
    return FormReport(name, "how", None, 10, Agreement("torch", 10 - apart, None, 0.0, "score", None))


TORCH, ONNX, DYNAMIC = form("torch", None), form("onnx", True, "torch"), form("onnx-dynamic", None, "torch")
REFERENCE, INT8, C = (
    form("reference", None, "torch"),
    form("onnx-int8", True, "reference"),
    form("c", True, "reference"),
)
NO_TORCH, NO_REFERENCE, NO_C = (form(name, None, images=0) for name in ("torch", "reference", "c"))
BAD_C = form("c", False, images=0)
ALONE = form("onnx", None)
FLOAT_ONLY = form("onnx-int8", None, "torch")
FAR = "gives another class than float for 30.00 % of the images"
AGREE = "The forms that were compared agree."


@pytest.mark.parametrize(
    ("forms", "summary"),
    [
        ((TORCH, ONNX, DYNAMIC, REFERENCE, INT8, C), "All forms agree."),
        ((REFERENCE, form("onnx-int8", None, "reference"), C), "All forms that are judged agree."),
        ((TORCH, ONNX, REFERENCE, INT8, NO_C), f"{AGREE} Not run: c (how)."),
        ((NO_TORCH, ALONE, REFERENCE, INT8, C), f"{AGREE} Not run: torch (how). No counterpart: onnx (how)."),
        ((TORCH, ONNX, FLOAT_ONLY), f"{AGREE} No counterpart: onnx-int8 (how)."),
        ((TORCH, ONNX, NO_REFERENCE), f"{AGREE} Not run: reference (how)."),
        ((ALONE, DYNAMIC), "There are no two forms that must agree."),
        ((TORCH, ONNX, far("reference", 2), INT8, C), "All forms agree."),
        ((TORCH, ONNX, far("reference", 3), INT8, C), f"{AGREE[:-1]}; int8 {FAR}."),
        ((TORCH, ONNX, far("onnx-dynamic", 3)), f"{AGREE[:-1]}; dynamic int8 {FAR}."),
        ((TORCH, far("onnx-int8", 3)), f"There are no two forms that must agree; int8 {FAR}."),
        ((TORCH, ONNX, REFERENCE, INT8, BAD_C), f"{AGREE} Not compared: c (how)."),
        ((TORCH, form("onnx", False, "torch"), BAD_C), "The forms disagree."),
        ((TORCH, form("onnx", False, "torch"), NO_C), "The forms disagree."),
    ],
)
def test_agreement_is_said_only_of_forms_that_were_compared(forms: tuple[FormReport, ...], summary: str) -> None:
    report = VerifyReport(all(form.ok is not False for form in forms), "images", forms)
    assert report.summary == report.to_dict()["summary"] == summary
