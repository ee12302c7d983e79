"""`niwaki quantize`."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from niwaki.cli.entry import run


def quantize(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["quantize", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_training_with_rounding_from_the_command_line(
    tmp_path: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "two.onnx"
    code, said, beside = quantize(
        capsys, small_model, "--out", out, "--kind", "qat", "--bits", 2, "--layer-bits", "fc3=8", "--epochs", 1,
        "--images", 20, "--teacher", small_model, "--json",
    )  # fmt: skip
    assert code == 0
    report = json.loads(said)
    assert report["kind"] == "qat"
    assert report["constants"] > 0
    assert len(report["epochs"]) == 1
    assert "epoch 1/1: loss" in beside
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(out).graph.initializer}
    assert weights["fc1.weight_quantized"].min() >= -2
    assert weights["fc1.weight_quantized"].max() <= 1
    assert weights["fc3.weight_quantized"].max() > 7


def test_the_table_and_what_comes_next(tmp_path: Path, small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = quantize(capsys, small_model, "--out", tmp_path / "my int8.onnx", "--images", 20)
    assert code == 0
    assert "validation %" in said
    assert "bytes of constants" in said
    assert "niwaki export" in said
    assert "--to c" in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--epochs", 1], "--kind qat"),
        (["--layer-bits", "fc3"], "expected LAYER=BITS, as in fc3=8"),
        (["--layer-bits", "fc9=4"], "no layer is called 'fc9'"),
        (["--kind", "int4"], "--kind int4: expected 'static', 'dynamic' or 'qat'"),
        (["--bits", 3], "--bits 3: expected 8, 4 or 2"),
        (["--kind", "qat", "--epochs", -1], "--epochs -1: expected greater than or equal to 0"),
    ],
)
def test_wrong_flags_are_named(
    given: list, message: str, tmp_path: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, beside = quantize(capsys, small_model, "--out", tmp_path / "x.onnx", *given)
    assert code == 2
    assert message in beside
    assert not list(tmp_path.iterdir())


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, beside = quantize(capsys, tmp_path / "none.safetensors", "--out", tmp_path / "x.onnx")
    assert code == 2
    assert "none.safetensors" in beside
