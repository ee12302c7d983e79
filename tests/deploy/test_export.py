"""From a model file or an ONNX file to a folder: its contents, what is refused, and that it appears whole or not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import niwaki
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import CModel
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.deploy import cause, forms
from niwaki.deploy import export as exporting
from niwaki.deploy import folder as folders
from niwaki.deploy import pictures as finding
from niwaki.deploy.export import export_file
from niwaki.deploy.exported import open_export
from niwaki.deploy.folder import NOTE, read_note
from niwaki.deploy.forms import ExportOptions
from niwaki.deploy.images import random_images
from niwaki.deploy.origin import open_origin
from niwaki.deploy.own import own_files
from niwaki.deploy.pictures import ImageNeeds, Pictures, find_pictures, fit_to
from niwaki.errors import DataError, ModelError, NiwakiError
from niwaki.files import sha256_of
from niwaki.models.onnxfile import load_onnx, metadata, write_metadata
from niwaki.models.provenance import Provenance
from niwaki.toolchain.compiler import find_compiler
from niwaki.training.settings import QuantizeSettings
from tflite_files import small_file

ALL = {"model.safetensors", "model.onnx", "model-int8.onnx", "model-dynamic.onnx", "c", NOTE}


@pytest.fixture(autouse=True)
def unmeasured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling for a board takes a second each time: only those tests do it that look at it."""
    if "board" not in request.node.name:
        monkeypatch.setattr(exporting, "_measured", lambda _folder, _notify: (None, ()))


def open_export_error(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        open_export(folder)
    return str(caught.value)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def foreign(path: Path, out: Path) -> Path:
    """The same ONNX as if another tool had written it: no metadata."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, out)
    return out


def options(**settings: object) -> ExportOptions:
    return ExportOptions(settings=QuantizeSettings(**settings))


def test_all_forms_in_one_folder(small_model: Path, small_data: Dataset, tmp_path: Path) -> None:
    out, lines = tmp_path / "deep" / "small", []
    report = export_file(small_model, ["all"], out, options=options(images=80), notify=lines.append)
    assert {path.name for path in out.iterdir()} == ALL
    assert {path.name for path in out.parent.iterdir()} == {"small"}
    facts = report.to_dict()
    for form in ("model", "onnx", "onnx-int8", "onnx-dynamic"):
        assert facts["forms"][form]["bytes"] == Path(facts["forms"][form]["path"]).stat().st_size
    assert facts["calibration"] == "minmax on 80 training images of npz"
    assert lines == ["exporting to ONNX", f"quantizing, calibrated by {facts['calibration']}", "generating C"]
    header = (out / "c" / "model.h").read_text()
    c = facts["forms"]["c"]
    assert f"ARENA_BYTES {c['arena']}" in header
    assert c["ram"] == c["arena"] + small_data.num_classes
    assert (out / "model.safetensors").read_bytes() == small_model.read_bytes()
    written = contents(out)
    note = read_note(out)
    assert note is not None
    assert {path: digest for form in note.forms.values() for path, digest in form.files.items()} == {
        path: digest for path, digest in written.items() if path != NOTE
    }
    assert note.provenance["data"] == small_data.fingerprint
    again = export_file(small_model, ["all"], tmp_path / "again", options=options(images=80))
    assert contents(again.folder) == written
    for name in ("model-int8.onnx", "model-dynamic.onnx"):
        told = [note for note in report.notes if note.startswith(f"{name}: in ONNX Runtime, x86 processors without")]
        assert [note.endswith(": set the session option session.x64quantprecision = 1 there") for note in told] == [
            True
        ]


def test_an_int8_onnx_that_onnx_runtime_does_not_take_becomes_c(
    small_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_file: object) -> None:
        raise ModelError("ONNX Runtime rejects the model: too new")

    monkeypatch.setattr(cause, "exact_way", refuse)
    report = export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out")
    assert "model-int8.onnx: ONNX Runtime rejects the model: too new" in report.notes
    assert "c" in report.sizes


def test_the_c_gives_what_the_reference_gives(small_export: Path, small_data: Dataset) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    graph = read_qdq(load_onnx(small_export / "model-int8.onnx"), "small")
    images = small_data.test.images
    expected = reference.run(graph, reference.quantize_pixels(graph, images))
    scores = niwaki.load_c(small_export / "c")(images)
    np.testing.assert_array_equal(scores, expected)
    assert (scores.argmax(1) == small_data.test.labels).mean() > 0.9


def test_a_form_that_cannot_be_made_takes_no_other_with_it(
    small_model: Path, small_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = export_file(small_model, ["all"], tmp_path / "out", options=ExportOptions(ram_limit=100))
    assert {path.name for path in report.folder.iterdir()} == ALL - {"c"}
    assert not report.ok
    assert list(report.missing) == ["c"]
    assert "more than the limit of 100: prune further or raise the limit" in report.to_dict()["missing"]["c"]
    note = read_note(report.folder)
    assert note is not None
    assert "c" not in note.forms
    lines: list[str] = []
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path / "empty"))  # nothing to calibrate on
    report = export_file(small_model, ["onnx", "onnx-int8", "c"], tmp_path / "float", notify=lines.append)
    assert {path.name for path in report.folder.iterdir()} == {"model.safetensors", "model.onnx", NOTE}
    assert set(report.missing) == {"onnx-int8", "c"}
    assert all("name them" in reason for reason in report.missing.values())
    assert lines == ["exporting to ONNX"]
    report = export_file(foreign(small_export / "model.onnx", tmp_path / "t.onnx"), ["all"], tmp_path / "theirs")
    assert set(report.missing) == {"onnx-int8", "c"}
    assert "does not say how pixels become its input" in report.missing["c"]


def test_a_limit_of_ram_is_kept_by_stripes_of_rows_and_recorded(small_export: Path, tmp_path: Path) -> None:
    source = small_export / "model-int8.onnx"
    whole = export_file(source, ["c"], tmp_path / "whole").footprint
    limit = whole.ram_bytes - 1
    report = export_file(source, ["c"], tmp_path / "out", options=ExportOptions(ram_limit=limit))
    assert report.footprint.ram_bytes <= limit
    (said,) = report.to_dict()["forms"]["c"]["stripes"]
    assert re.fullmatch(r"conv1( to conv2)?: \d+ rows? more in each of \d+ passes", said)
    assert f"C, by stripes of rows: {said}" in report.table().notes
    note = read_note(report.folder)
    assert note.forms["c"].settings == {"prefix": "niwaki_model", "ram_limit": limit, "stripes": said}
    own = own_files(report.folder / "c", read_qdq(load_onnx(source), "it"), "model-int8.onnx")
    assert own["model.c"] == (report.folder / "c" / "model.c").read_bytes()


def test_calibration_sees_training_images_only(
    small_export: Path, small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []

    def watch(data: bytes, images: np.ndarray, settings: QuantizeSettings) -> object:
        seen.append(images)
        return quantize(data, images, settings)

    quantize = forms.quantize_static
    monkeypatch.setattr(forms, "quantize_static", watch)
    material = forms.Material(open_origin(small_export / "model.onnx"), Pictures(small_data))
    exporting.write_forms(
        material, ["onnx-int8"], tmp_path / "out", options=options(images=200), notify=lambda _line: None
    )
    rows = {image.tobytes() for image in seen[0]}
    assert len(rows) == 200
    assert rows <= {image.tobytes() for image in small_data.train.images}
    assert not rows & {image.tobytes() for image in small_data.test.images}


def test_a_file_where_the_folder_has_to_be(small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("mine")
    for out in (tmp_path / "plain.txt", tmp_path / "plain.txt" / "deeper"):
        lines: list[str] = []
        with pytest.raises(ModelError, match=r"plain\.txt is a file: give a folder with `out=`"):
            export_file(small_model, ["onnx"], out, notify=lines.append)
        assert lines == []
    assert (tmp_path / "plain.txt").read_text() == "mine"


def test_one_form_and_then_another(small_export: Path, small_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_file(small_model, ["onnx"], out, options=ExportOptions(opset=13))
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "model.onnx", NOTE}
    assert [entry.version for entry in load_onnx(out / "model.onnx").opset_import] == [13]
    source, out = small_export / "model-int8.onnx", tmp_path / "more"
    export_file(source, ["onnx-int8"], out)
    assert {path.name for path in out.iterdir()} == {"model-int8.onnx", NOTE}
    export_file(source, ["c"], out)
    assert {path.name for path in out.iterdir()} == {"model-int8.onnx", "c", NOTE}
    note = read_note(out)
    assert note is not None
    assert note.forms["c"].made_of == note.forms["onnx-int8"].files["model-int8.onnx"]


def test_what_is_no_longer_true_is_removed(small_export: Path, small_npz: Path, tmp_path: Path) -> None:
    out, lines, source = tmp_path / "out", [], small_export / "model.onnx"
    export_file(source, ["all"], out, data=str(small_npz), options=options(images=40))
    (out / "c" / "mine.txt").write_text("kept")
    export_file(source, ["onnx-int8"], out, data=str(small_npz), options=options(images=40), notify=lines.append)
    assert (out / "c" / "model.c").exists()  # the same int8 ONNX: its C is still true
    rough = options(images=40, calibration="percentile", percentile=60.0)
    export_file(source, ["onnx-int8"], out, data=str(small_npz), options=rough, notify=lines.append)
    assert f"{out}: removed c, made from another model or with other settings" in lines
    assert [path.name for path in (out / "c").iterdir()] == ["mine.txt"]
    assert (out / "model-dynamic.onnx").exists()
    (out / "c" / "mine.txt").unlink()
    export_file(source, ["c"], out, data=str(small_npz), options=rough)
    export_file(small_export / "model-int8.onnx", ["c"], out)  # another origin: nothing of the old one is left
    assert {path.name for path in out.iterdir()} == {"model-int8.onnx", "c", NOTE}
    assert (out / "model-int8.onnx").read_bytes() == (small_export / "model-int8.onnx").read_bytes()


def test_a_float_onnx_of_ours_is_calibrated_on_named_data(
    small_export: Path, small_npz: Path, small_data: Dataset, tmp_path: Path
) -> None:
    source, out = small_export / "model.onnx", tmp_path / "out"
    with pytest.raises(DataError, match=r"model.onnx: int8 needs training images .* name them with `data=`"):
        export_file(source, ["c"], out)
    assert not out.exists()
    report = export_file(source, ["c"], out, data=str(small_npz), options=options(images=30))
    assert report.calibration == "minmax on 30 training images of npz"
    assert (out / "model.onnx").read_bytes() == source.read_bytes()
    assert metadata(load_onnx(out / "model-int8.onnx")).labels == small_data.labels
    note = read_note(out)
    assert note is not None
    assert note.data == str(small_npz)


def test_a_foreign_int8_onnx_becomes_c_as_it_is(small_export: Path, tmp_path: Path) -> None:
    source = foreign(small_export / "model-int8.onnx", tmp_path / "theirs.onnx")
    report = export_file(source, ["all"], tmp_path / "out", options=ExportOptions(prefix="theirs"))
    assert {path.name for path in report.folder.iterdir()} == {"model-int8.onnx", "c", NOTE}
    assert (report.folder / "model-int8.onnx").read_bytes() == source.read_bytes()
    remark = "the file does not say how pixels become its input: the C takes pixels as x/255"
    assert any(note.startswith(remark) for note in report.notes)
    assert "int theirs_run(const int8_t *input" in (report.folder / "c" / "model.h").read_text()


def test_a_tensorflow_lite_file_becomes_c_in_its_own_order(tmp_path: Path) -> None:
    (tmp_path / "theirs.tflite").write_bytes(small_file().build())
    said: list[str] = []
    report = export_file(tmp_path / "theirs.tflite", ["all"], tmp_path / "out", data="synthetic", notify=said.append)
    assert f"{tmp_path / 'theirs.tflite'}: its ranges stay as they are: nothing is calibrated on images" in said
    assert {path.name for path in report.folder.iterdir()} == {"model-int8.onnx", "model.tflite", "c", NOTE}
    assert open_export(report.folder).tflite == small_file().build()
    (report.folder / "model.tflite").write_bytes(small_file(1).build())
    assert "model.tflite: not the file that export.json lists" in open_export_error(report.folder)
    told = next(note for note in report.notes if note.startswith("the file does not say how pixels become its input"))
    assert "the C takes int8 inputs only, in the file's own order (rows of pixels, HWC)" in told
    assert told.endswith("q = round(number / 0.0500000007) +3; say it with `preprocessing=`")
    header = (report.folder / "c" / "model.h").read_text()
    assert "int8, rows of pixels (HWC)" in header
    assert "run_pixels" not in header


def test_weights_beside_a_foreign_onnx_come_into_the_export(small_export: Path, tmp_path: Path) -> None:
    model = onnx.load(small_export / "model-int8.onnx")
    onnx.save(model, tmp_path / "big.onnx", save_as_external_data=True, location="big.bin", size_threshold=0)
    report = export_file(tmp_path / "big.onnx", ["c"], tmp_path / "out")
    inside = onnx.load(report.folder / "model-int8.onnx", load_external_data=False)
    assert all(tensor.data_location != onnx.TensorProto.EXTERNAL for tensor in inside.graph.initializer)
    assert (report.folder / "c" / "model.c").read_text().split("\n", 2)[2] == (
        (small_export / "c" / "model.c").read_text().split("\n", 2)[2]
    )


@pytest.mark.parametrize(
    ("name", "form", "settings", "message"),
    [
        ("model.onnx", "onnx", {"opset": 13}, "an ONNX keeps its operator set: leave out `opset=`"),
        ("model-int8.onnx", "onnx", {}, "is int8, and no float form can be made from it"),
        ("model-dynamic.onnx", "c", {}, "is quantized dynamically, which runs in ONNX Runtime only"),
        ("model-int8.onnx", "c", {"ram_limit": 100}, "more than the limit of 100: prune further or raise the limit"),
        ("model-int8.onnx", "c", {"prefix": "9lives"}, "prefix '9lives': expected a C identifier"),
        (
            "model-int8.onnx",
            "tflite",
            {},
            '`to="tflite"`: expected onnx, onnx-int8, onnx-dynamic, c, arduino, platformio, esp-idf, zephyr, cmake, or '
            "all",
        ),
        ("theirs.onnx", "c", {}, "a float ONNX that does not say how pixels become its input"),
        ("short.onnx", "c", {}, "short.onnx: "),
        ("model.h5", "c", {}, "expected a model file (.safetensors)"),
        ("model.tflite", "c", {}, "model.tflite: not a TensorFlow Lite file"),
        ("whole.tflite", "onnx", {}, "whole.tflite: is int8, and no float form can be made from it"),
        ("none.onnx", "c", {}, "there is no such file"),
    ],
)
def test_what_is_refused(name, form, settings, message, small_export, small_model, tmp_path) -> None:
    for file in ("model.onnx", "model-int8.onnx"):
        (tmp_path / file).write_bytes((small_export / file).read_bytes())
    dynamic = forms.quantize_dynamic((small_export / "model.onnx").read_bytes())
    (tmp_path / "model-dynamic.onnx").write_bytes(dynamic.onnx)
    (tmp_path / "short.onnx").write_bytes((small_export / "model.onnx").read_bytes()[:500])
    (tmp_path / "model.h5").write_bytes(b"")
    (tmp_path / "model.tflite").write_bytes(b"TFL3")
    (tmp_path / "whole.tflite").write_bytes(small_file().build())
    foreign(small_export / "model.onnx", tmp_path / "theirs.onnx")
    with pytest.raises(ModelError) as caught:
        export_file(tmp_path / name, [form], tmp_path / "out", options=ExportOptions(**settings))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_opset_is_checked_before_work(small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="opset 12: expected 13 to 18"):
        export_file(small_model, ["onnx"], tmp_path / "out", options=ExportOptions(opset=12))
    with pytest.raises(ModelError, match=r"""`to="onx"`: did you mean 'onnx'\? expected onnx"""):
        export_file(small_model, ["c", "onx"], tmp_path / "out")
    with pytest.raises(ModelError, match='`to=""`: expected onnx'):
        export_file(small_model, [], tmp_path / "out")


def test_data_must_be_those_of_the_model(small_model: Path, small_data: Dataset, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16), np.uint8)
    np.savez(tmp_path / "many.npz", x_train=images, y_train=np.arange(60) % 6)
    with pytest.raises(
        DataError, match=r"6 classes \(0, .*\), but the model has 4 classes \(0, 1, 2, 3\): give the data"
    ):
        export_file(small_model, ["c"], tmp_path / "out", data=str(tmp_path / "many.npz"))
    with pytest.raises(DataError, match=r'`data="nowhere"`: not fashion-mnist'):
        export_file(small_model, ["c"], tmp_path / "out", data="nowhere")
    with pytest.raises(DataError, match=r"small.npz: its images are 1×16×16, but the model takes 3×32×32"):
        fit_to(small_data, (3, 32, 32), small_data.labels, print)
    with pytest.raises(DataError, match=r"4 classes \(0, 1, 2, 3\), but the model has 5 outputs: give the data"):
        fit_to(small_data, (1, 16, 16), (), print, outputs=5)
    told: list[str] = []
    assert fit_to(small_data, (1, 16, 16), (), told.append, outputs=4) is small_data
    assert told == ["the model does not name its classes: niwaki takes its outputs as 0, 1, 2, 3, in this order"]


def test_other_data_than_it_was_trained_on_is_said(small_npz: Path, small_data: Dataset, tmp_path: Path) -> None:
    lines: list[str] = []
    known = {"data": small_data.fingerprint, "data_name": "npz"}
    needs = ImageNeeds("m", small_data.input_shape, (), small_data.preprocessing, Provenance(known))
    same = find_pictures(needs, str(small_npz), lines.append).data
    assert same is not None
    assert same.fingerprint == small_data.fingerprint  # split as for training, though only the file was named
    assert not any("other images" in line for line in lines)
    np.savez(tmp_path / "new.npz", x_train=small_data.train.images[:100, 0], y_train=small_data.train.labels[:100])
    find_pictures(needs, str(tmp_path / "new.npz"), lines.append)
    assert "new.npz: not the images that the model was trained on, or split differently" in lines
    assert find_pictures(replace(needs, provenance=Provenance()), None, lines.append) == Pictures()


def test_a_dataset_that_is_built_in_is_had_by_its_name(small_data: Dataset, monkeypatch) -> None:
    asked: list[DataSpec] = []

    def prepared(spec: DataSpec, **_settings: object) -> Path:
        asked.append(spec)
        return Path(small_data.train.images.filename).parent

    monkeypatch.setattr(finding, "prepare", prepared)
    named = Provenance({"data_name": "fashion-mnist"})
    needs = ImageNeeds("m", small_data.input_shape, (), Preprocessing(pad=2), named)
    assert find_pictures(needs, None, lambda _line: None).data is not None
    assert asked == [DataSpec(name="fashion-mnist")]
    find_pictures(replace(needs, provenance=Provenance()), "synthetic", lambda _line: None)
    assert asked[1] == DataSpec(name="synthetic")


def test_a_model_trained_on_synthetic_data_says_so(tmp_path: Path) -> None:
    spec = DataSpec(name="synthetic", train_samples=200, test_samples=40, validation=20)
    data = open_dataset(prepare(spec))
    path = niwaki.save(niwaki.LeNet5(), tmp_path / "m.safetensors", factory="lenet5", data=data)
    lines: list[str] = []
    report = export_file(path, ["onnx-int8"], tmp_path / "out", options=options(images=20), notify=lines.append)
    assert "calibrated on synthetic data: garments that niwaki draws, not photographs" in report.notes
    assert "synthetic: garments that niwaki draws; these results say nothing about Fashion-MNIST" in lines


def test_without_its_data_nothing_can_be_calibrated(small_model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"\(it was trained on 'npz' data that are not in the cache\): name them"):
        export_file(small_model, ["onnx-int8"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_compiler_for_the_board_code_is_not_measured(small_export: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    report = export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out")
    assert report.board is None
    assert report.to_dict()["forms"]["c"]["board"] is None
    assert any("code size not measured: cortex-m4: no arm-none-eabi-gcc" in note for note in report.notes)


def test_flash_and_ram_on_a_board_are_the_linkers(small_export: Path, tmp_path: Path) -> None:
    report = export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out")
    if report.board is None:
        pytest.skip("needs arm-none-eabi-gcc: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    board = report.to_dict()["forms"]["c"]["board"]
    assert report.footprint is not None
    assert board["ram"] == report.footprint.ram_bytes
    assert board["flash"] >= board["code"] + board["constants"]
    assert 0 <= board["constants"] - report.footprint.constant_bytes < 256


def test_files_of_others_are_never_overwritten(small_export: Path, tmp_path: Path) -> None:
    mine = tmp_path / "model-int8.onnx"
    mine.write_bytes(b"mine")
    with pytest.raises(ModelError, match=r"model-int8.onnx: exists, and no export wrote it"):
        export_file(small_export / "model-int8.onnx", ["c"], tmp_path)
    assert mine.read_bytes() == b"mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="file is a file: give a folder"):
        export_file(small_export / "model.onnx", ["onnx"], tmp_path / "file")


def test_exporting_beside_the_source_keeps_it(small_export: Path, tmp_path: Path) -> None:
    source = tmp_path / "model-int8.onnx"
    source.write_bytes((small_export / "model-int8.onnx").read_bytes())
    export_file(source, ["c"], tmp_path)
    assert source.read_bytes() == (small_export / "model-int8.onnx").read_bytes()
    assert (tmp_path / "c" / "model.c").exists()


def test_a_damaged_note_is_said(small_export: Path, tmp_path: Path) -> None:
    export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out")
    note = tmp_path / "out" / NOTE
    note.write_text(note.read_text()[:-20])
    with pytest.raises(ModelError, match=r"export.json: damaged: move the folder away and export again"):
        export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out")
    text = (small_export / NOTE).read_text()
    note.write_text(text.replace('"images": ', '"images": 1'))
    with pytest.raises(ModelError, match=r"export.json: damaged: move the folder away and"):
        read_note(tmp_path / "out")
    said = json.loads(text)
    del said["checksum"]
    for path in ("../model.onnx", "/etc/model.onnx"):
        note.write_text(json.dumps(said).replace('"model.onnx"', f'"{path}"'))
        with pytest.raises(ModelError, match=r"export.json: damaged"):
            read_note(tmp_path / "out")
    note.unlink()
    note.mkdir()
    with pytest.raises(ModelError, match=r"export.json: cannot be read: Is a directory"):
        read_note(tmp_path / "out")


def interrupt_at(call: int) -> Callable[[Path, bytes], None]:
    """What writes files, until Ctrl-C at one of them."""
    count = 0

    def write(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == call:
            raise KeyboardInterrupt
        write_whole(path, data)

    write_whole = folders.write_whole
    return write


@pytest.mark.parametrize("call", [1, 4, 12])
def test_ctrl_c_leaves_nothing_half_written(call: int, small_export: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(folders, "write_whole", interrupt_at(call))
    with pytest.raises(KeyboardInterrupt):
        export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()


def test_ctrl_c_leaves_an_earlier_export_as_it_was(small_export: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    export_file(small_export / "model-int8.onnx", ["c"], out)
    before = contents(out)
    monkeypatch.setattr(folders, "write_whole", interrupt_at(5))
    with pytest.raises(KeyboardInterrupt):
        export_file(small_export / "model-int8.onnx", ["c"], out, options=ExportOptions(prefix="other"))
    assert contents(out) == before


def test_random_images_are_the_same_every_time() -> None:
    images = random_images((3, 7, 5), 6)
    assert images.shape == (6, 3, 7, 5)
    np.testing.assert_array_equal(images, random_images((3, 7, 5), 6))
    assert (images[1, 0, :4, :4] == images[1, 0, 0, 0]).all()  # a patch
    assert len(np.unique(images[0])) > 50  # noise


def test_a_network_without_linear_layers_has_no_dynamic_form(small_data: Dataset, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 1, 16, 16)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], "conv"), helper.make_node("Flatten", ["y"], ["z"], "flat")]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 4])], [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    write_metadata(model, small_data.labels, small_data.preprocessing)
    onnx.save(model, tmp_path / "conv.onnx")
    np.savez(tmp_path / "d.npz", x_train=small_data.train.images[:, 0], y_train=small_data.train.labels)
    settings = options(images=20)
    report = export_file(
        tmp_path / "conv.onnx", ["all"], tmp_path / "out", data=str(tmp_path / "d.npz"), options=settings
    )
    assert any(note.startswith("no onnx-dynamic: dynamic quantization is for linear layers") for note in report.notes)
    with pytest.raises(NiwakiError, match="this network has none"):
        export_file(tmp_path / "conv.onnx", ["onnx-dynamic"], tmp_path / "more")


def test_c_model_needs_a_folder_that_was_generated(tmp_path: Path) -> None:
    with pytest.raises(NiwakiError, match="make the folder with niwaki export"):
        CModel(tmp_path)
