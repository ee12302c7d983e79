"""Other tools' files, each node as it stands, beside what niwaki made of them: ties are told from faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, helper

import niwaki
from foreign_habits import HABITS, drawn
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.arithmetic import requantize, round_off
from niwaki.codegen.graph.ties import with_ties
from niwaki.deploy import runners
from niwaki.deploy.exported import Export, open_export
from niwaki.deploy.images import random_images
from niwaki.deploy.origin import Origin, open_origin
from niwaki.deploy.runners import inputs_of
from niwaki.deploy.specification import explained, specification
from qdq_models import Qdq


def exported(model: ModelProto, folder: Path) -> tuple[Origin, Export]:
    (folder / "theirs.onnx").write_bytes(model.SerializeToString())
    niwaki.export(folder / "theirs.onnx", folder / "out", to="onnx-int8")
    return open_origin(folder / "theirs.onnx"), open_export(folder / "out")


@pytest.mark.parametrize("name", HABITS)
def test_a_file_as_it_stands_gives_steps_of_the_export(name: str, tmp_path: Path) -> None:
    origin, export = exported(HABITS[name].build(), tmp_path)
    subject = specification(origin, export)
    assert subject.run is not None, subject.reason
    pixels = random_images((2, 6, 6), 50)
    expected = reference.run(export.integer, inputs_of(export.integer, pixels))
    found = subject.run(pixels)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1.6
    assert explained(export.integer, pixels, 2, found, expected).fault is None


def powers_of_two() -> ModelProto:
    """Scales with which halves are frequent."""
    model = Qdq((2, 6, 6), opset=17)
    y = model.qdq("x", 2**-7)
    for number in range(4):
        weights = model.weights(drawn(8, 2 if number == 0 else 8, 1, 1, low=-9, high=10, seed=number), 2**-4)
        y = model.qdq(model.node("Add", [model.node("Conv", [y, weights]), model.constant(np.float32(0))]), 2**-3)
    y = model.qdq(model.node("AveragePool", [y], kernel_shape=[2, 2]), 2**-4)
    y = model.qdq(model.node("Add", [y, y]), 2**-2)
    y = model.qdq(model.node("GlobalAveragePool", [y]), 2**-4)
    return model.build(y)


def test_halves_to_even_are_what_onnx_runtime_rounds() -> None:
    products, shift = np.arange(-12, 13), np.array([2])
    assert round_off(products, shift, 0, ties="even").tolist() == np.rint(products / 4).astype(int).tolist()
    assert requantize(products, np.array([1]), shift, 0).tolist() == np.floor(products / 4 + 0.5).astype(int).tolist()


def test_ties_are_told_from_faults(tmp_path: Path) -> None:
    origin, export = exported(powers_of_two(), tmp_path)
    graph, pixels = export.integer, random_images((2, 6, 6), 80)
    theirs = reference.run(graph, inputs_of(graph, pixels)).reshape(80, -1)
    run = specification(origin, export).run
    assert run is not None
    ours = run(pixels).reshape(80, -1)
    even = reference.run(with_ties(graph, "even"), inputs_of(graph, pixels)).reshape(80, -1)
    assert (ours != theirs).mean() > 0.1
    assert np.array_equal(ours, even)
    found = explained(graph, pixels, 0, ours, theirs)
    assert found.fault is None
    assert "come from ties: with halves rounded to even, as ONNX Runtime rounds, they are gone" in found.said
    wrong = ours.copy()
    wrong[7] += 9
    assert explained(graph, pixels, 2, wrong, theirs).fault == 7


def test_another_class_is_a_near_tie_only_within_the_steps(tmp_path: Path) -> None:
    _, export = exported(HABITS["casts"].build(), tmp_path)
    graph, pixels = export.integer, random_images((2, 6, 6), 20)
    theirs = reference.run(graph, inputs_of(graph, pixels)).astype(np.float64)
    row, best = 3, int(theirs[3].argmax())
    second = int(np.argsort(theirs[row])[-2])
    near, far = theirs.copy(), theirs.copy()
    theirs[row, best] = theirs[row, second] + 1
    near[row, best] = near[row, second] - 1
    assert explained(graph, pixels, 2, near, theirs).said == (
        "another class for 1 of 20 images, each a near tie (within 2 steps)"
    )
    far[row, second] = far[row, best] + 40
    assert explained(graph, pixels, 2, far, theirs).fault == row


def test_a_file_that_onnx_runtime_refuses_is_not_run(tmp_path: Path) -> None:
    origin, export = exported(HABITS["casts"].build(), tmp_path)
    broken = HABITS["casts"].build()
    broken.graph.node[-1].domain = "nobody"
    broken.opset_import.append(helper.make_opsetid("nobody", 1))
    subject = specification(replace(origin, given=broken.SerializeToString()), export)
    assert subject.run is None
    assert "DequantizeLinear 'DequantizeLinear20'" in subject.reason


def test_verify_compares_the_file_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "missing_tools", lambda _target: ("compiler",))
    (tmp_path / "theirs.onnx").write_bytes(HABITS["rows of integers"].build().SerializeToString())
    report = niwaki.verify(tmp_path / "theirs.onnx", images=60)
    found = {form.form: form for form in report.forms}
    assert found["file"].ok is True
    assert found["file"].how.startswith("each node as it stands, ONNX Runtime")
    assert report.of == "60 random images"
    assert any(note.startswith("random images, since no file says how pixels") for note in report.notes)
    assert "All forms agree" not in report.summary
    assert "Not run: c" in report.summary


def test_verify_names_a_fault_of_the_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export whose numbers are not those of the file."""
    monkeypatch.setattr(runners, "missing_tools", lambda _target: ("compiler",))
    other = HABITS["scales for channels"].build().SerializeToString()
    file = tmp_path / "theirs.onnx"
    file.write_bytes(HABITS["casts"].build().SerializeToString())
    monkeypatch.setattr(
        "niwaki.deploy.verify.specification", lambda origin, export: specification(replace(origin, given=other), export)
    )
    report = niwaki.verify(file, images=60)
    (form,) = (form for form in report.forms if form.form == "file")
    assert form.ok is False
    assert "its scores differ by more than rounding and ties explain; first image" in form.reason
    assert report.summary == "The forms disagree."
