from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import niwaki
from niwaki.deploy import bench, bench_forms
from niwaki.deploy.bench import BenchRow, apart, bench_files, int8_notes
from niwaki.deploy.bench_forms import Subject, forms_of
from niwaki.deploy.images import random_images
from niwaki.errors import ModelError, SpecError
from niwaki.measure.latency import Latency, LatencyTable
from niwaki.models import modelfile
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.provenance import Provenance
from niwaki.toolchain import compiler
from niwaki.training.quantize import Quantized, quantize_dynamic, quantize_static
from niwaki.training.settings import QuantizeSettings
from tflite_files import small_file

SHAPE = (1, 32, 32)
INFO = ModelInfo(factory="lenet5", args={"widths": [2, 3, 8, 6]}, input_shape=SHAPE, labels=tuple("0123456789"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file and its ONNX forms, beside each other."""
    folder = tmp_path_factory.mktemp("bench")
    torch.manual_seed(0)
    model = LeNet5((2, 3, 8, 6)).eval()
    (folder / "small.safetensors").write_bytes(modelfile.dumps(model, INFO))
    exported = to_onnx(model, INFO)
    (folder / "float.onnx").write_bytes(exported)
    (folder / "int8.onnx").write_bytes(quantize_static(exported, random_images(SHAPE, 20), QuantizeSettings()).onnx)
    (folder / "dynamic.onnx").write_bytes(quantize_dynamic(exported).onnx)
    return folder


def compiled() -> None:
    if compiler.find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")


def test_every_form_of_a_model_file_is_timed_in_one_run(files: Path) -> None:
    compiled()
    told: list[str] = []
    report = bench_files([files / "small.safetensors"], rounds=2, notify=told.append)
    assert [(row.form, row.runtime) for row in report.rows] == [
        ("torch", "torch"),
        ("onnx", "ONNX Runtime"),
        ("onnx-int8", "ONNX Runtime"),
        ("c", "C"),
        ("c", "C, in a loop"),
        ("onnx-dynamic", "ONNX Runtime"),
    ]
    medians = {row.runtime if row.form == "c" else row.form: row.median_us for row in report.rows}
    fastest = min(value for name, value in medians.items() if name not in ("C", "C, in a loop"))
    c, loop = (next(row for row in report.rows if row.runtime == name) for name in ("C", "C, in a loop"))
    assert (c.ratio, loop.ratio) == (c.median_us / fastest, loop.median_us / fastest)
    assert all(0 < row.median_us <= row.p95_us and row.runs >= 4 and row.batch == 1 for row in report.rows)
    assert loop.runs == 4 * 256  # two samples in each of two rounds
    assert report.left_out == ()
    assert (
        f"{files / 'small.safetensors'}: int8 is calibrated on made-up images, which does not affect times"
        in report.notes
    )
    assert told == [f"preparing {files / 'small.safetensors'}", "timing 6 calls in turn on one processor"]
    plain = json.loads(json.dumps(report.to_dict()))
    assert {"form", "runtime", "batch", "median_us", "p95_us", "runs"} <= plain["rows"][0].keys()


def test_int8_is_calibrated_on_the_models_own_training_images_where_they_lie_ready(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = niwaki.load_data("synthetic", train_samples=60, test_samples=20, validation=10)
    seen: list[np.ndarray] = []

    def quantize(float_onnx: bytes, images: np.ndarray, settings: QuantizeSettings) -> Quantized:
        seen.append(images)
        raise ModelError("enough is known")

    monkeypatch.setattr(bench_forms, "quantize_static", quantize)
    info = INFO.model_copy(update={"provenance": Provenance({"data": data.fingerprint})})
    path = tmp_path / "trained.safetensors"
    path.write_bytes(modelfile.dumps(LeNet5((2, 3, 8, 6)), info))
    found = forms_of(path)
    assert found.notes == []
    assert [(left.form, left.reason) for left in found.left_out] == [
        ("onnx-int8", "enough is known"),
        ("c", "enough is known"),
    ]
    known = {image.tobytes() for image in data.train.images}
    assert len(seen[0]) == 50
    assert all(image.tobytes() in known for image in seen[0])


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("float.onnx", ["onnx", "onnx-int8", "c", "c", "onnx-dynamic"]),
        ("int8.onnx", ["onnx-int8", "c", "c"]),
        ("dynamic.onnx", ["onnx-dynamic"]),
    ],
)
def test_an_onnx_is_timed_with_what_can_be_made_of_it(files: Path, name: str, forms: list[str]) -> None:
    compiled()
    found = forms_of(files / name)
    assert ([subject.form for subject in found.subjects], found.left_out) == (forms, [])
    for subject in found.subjects:
        subject.call()


def test_an_exported_folder_is_timed_as_it_is(files: Path, tmp_path: Path) -> None:
    compiled()
    for name in ("small.safetensors", "float.onnx", "int8.onnx", "dynamic.onnx"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    graph = bench_forms.read_qdq(bench_forms.load_onnx(files / "int8.onnx"), "int8.onnx")
    bench_forms.write(bench_forms.generate(graph), tmp_path / "c")
    (left,) = forms_of(tmp_path).left_out
    assert "C without the model-int8.onnx that it was generated from, so niwaki cannot tell who wrote it" in left.reason
    (tmp_path / "int8.onnx").rename(tmp_path / "model-int8.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"")
    found = forms_of(tmp_path)
    assert [(left.form, "broken.onnx: not an ONNX" in left.reason) for left in found.left_out] == [("onnx", True)]
    forms = [subject.form for subject in found.subjects]
    assert forms == ["torch", "onnx-dynamic", "onnx", "onnx-int8", "c", "c"]
    assert [subject.form for subject in forms_of(tmp_path / "c").subjects] == ["c", "c"]


def test_c_without_known_pixels_takes_int8(files: Path, tmp_path: Path) -> None:
    compiled()
    graph = bench_forms.read_qdq(bench_forms.load_onnx(files / "int8.onnx"), "int8.onnx")
    bench_forms.write(bench_forms.generate(dataclasses.replace(graph, table=None)), tmp_path)
    one, loop = forms_of(tmp_path, trust=True).subjects
    assert np.array_equal(one.call()[0], loop.call()[0])
    assert loop.call().shape == (256, 10)


def test_a_tensorflow_lite_file_is_timed_in_its_own_runtime_too(tmp_path: Path) -> None:
    compiled()
    (tmp_path / "theirs.tflite").write_bytes(small_file().build())
    found = forms_of(tmp_path / "theirs.tflite")
    assert [(subject.form, subject.runtime) for subject in found.subjects if subject.form != "tflite"] == [
        ("onnx-int8", "ONNX Runtime"), ("c", "C"), ("c", "C, in a loop"),
    ]  # fmt: skip
    if importlib.util.find_spec("ai_edge_litert") is None:
        (left,) = found.left_out
        assert (left.form, left.failed) == ("tflite", False)
        assert left.reason == "no ai-edge-litert on this machine: pip install 'niwaki[litert]'"


def test_two_files_are_compared_each_with_its_own(files: Path) -> None:
    report = bench_files([files / "dynamic.onnx", files / "dynamic.onnx"], rounds=1)
    assert [row.ratio for row in report.rows] == [None, None]
    assert [row.noise for row in report.rows] == [False, False]


def test_without_a_compiler_the_c_is_left_out_with_the_reason(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "find_compiler", lambda: None)
    found = forms_of(files / "int8.onnx")
    assert [subject.form for subject in found.subjects] == ["onnx-int8"]
    assert [(left.form, left.reason[:13]) for left in found.left_out] == [("c", "no C compiler")]


def changed(files: Path, name: str, batch: int | str, height: int | str) -> Path:
    """The float ONNX with another input shape."""
    model = onnx.load(files / "float.onnx")
    for axis, value in ((0, batch), (2, height)):
        dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
        dim.Clear()
        setattr(dim, "dim_value" if isinstance(value, int) else "dim_param", value)
    path = files / name
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("batch", "height", "reason"),
    [(8, 32, "takes 8 images at once, but bench times one"), ("batch", "height", "takes images of any size")],
)
def test_an_onnx_that_takes_no_single_image_is_left_out(
    files: Path, batch: int | str, height: int | str, reason: str
) -> None:
    path = changed(files, f"takes-{batch}-{height}.onnx", batch, height)
    left = forms_of(path).left_out
    assert {(out.form, reason in out.reason) for out in left} >= {("onnx", True), ("onnx-int8", True)}
    with pytest.raises(SpecError, match=f"nothing to time: .*{reason}"):
        bench_files([path])


def test_what_cannot_be_timed_at_all(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nothing to time: give a model file"):
        bench_files([])
    told: list[str] = []
    with pytest.raises(ModelError, match="no model and no generated C in it"):
        bench_files([tmp_path], notify=told.append)
    (tmp_path / "broken.onnx").write_bytes(b"no ONNX")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        bench_files([tmp_path / "broken.onnx"], notify=told.append)
    assert told == []  # nothing was prepared


def test_a_ratio_is_to_the_fastest_other_form_and_a_loop_counts_per_image() -> None:
    def call() -> None:
        raise AssertionError("nothing is called here")

    def latency(median: float) -> Latency:
        return Latency(median, 2 * median, median / 2, runs=10, batch=1, block=5)

    subjects = [
        Subject("f", "torch", "torch", call),
        Subject("f", "onnx", "ONNX Runtime", call),
        Subject("f", "c", "C", call),
        Subject("f", "c", "C, in a loop", call, images=256),
    ]
    table = LatencyTable({str(n): latency(us) for n, us in enumerate((41.0, 40.0, 10.0, 256 * 4.0))}, noise_floor=0.03)
    torch_row, onnx_row, c_row, loop_row = bench._rows(subjects, table)
    assert (torch_row.ratio, torch_row.noise) == (4.1, False)
    assert (onnx_row.ratio, onnx_row.noise) == (4.0, False)
    assert (c_row.ratio, c_row.noise) == (0.25, False)
    assert (loop_row.median_us, loop_row.p95_us, loop_row.ratio) == (4.0, 8.0, 0.1)
    assert (loop_row.runs, loop_row.block) == (2560, 1280)
    near, _ = bench._rows(subjects[:2], table)
    assert (near.ratio, near.noise) == (1.025, True)


@pytest.mark.parametrize(("a", "b", "expected"), [(103, 100, True), (102, 100, False), (100, 103, True), (5, 5, False)])
def test_medians_are_apart_beyond_the_noise(a: float, b: float, expected: bool) -> None:
    assert apart(a, b, noise_floor=0.025) is expected


def test_int8_that_does_not_pay_is_told() -> None:
    def row(form: str, us: float, file: str = "a", runtime: str = "ONNX Runtime") -> BenchRow:
        return BenchRow(file, form, runtime, 1, us, us, runs=1, block=1, ratio=None, noise=False)

    rows = [
        row("onnx", 21.0), row("onnx-int8", 51.0), row("onnx-dynamic", 21.1), row("c", 99.0, runtime="C"),
        row("onnx", 90.0, "b"), row("onnx-int8", 30.0, "b"), row("onnx-int8", 50.0, "alone"),
    ]  # fmt: skip
    assert list(int8_notes(rows, noise_floor=0.01)) == [
        "a: onnx-int8 is slower than float in ONNX Runtime: 51.0 µs against 21.0 in float",
        "a: onnx-dynamic is as fast as float in ONNX Runtime, within the noise (21.1 µs against 21.0 in float)",
    ]
