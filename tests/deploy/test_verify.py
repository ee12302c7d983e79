"""Every form compared with every other, on real files: they agree, and the smallest change is found and named."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import niwaki
from niwaki.data.dataset import Dataset
from niwaki.deploy import exported, runners
from niwaki.deploy.agreement import allowed, compare, count_right
from niwaki.deploy.compare_forms import FormReport, Judge
from niwaki.deploy.export import export_file
from niwaki.deploy.exported import open_export
from niwaki.deploy.folder import NOTE, read_note
from niwaki.deploy.forms import ExportOptions
from niwaki.deploy.pictures import Pictures
from niwaki.deploy.runners import Subject
from niwaki.deploy.sample import Sample, choose_sample
from niwaki.deploy.verify import VerifyOptions, VerifyReport, verify_file, verify_folder
from niwaki.errors import DataError, ModelError
from niwaki.files import sha256_of
from niwaki.models.modelfile import load
from niwaki.toolchain import compiler
from niwaki.toolchain.compiler import find_compiler
from niwaki.toolchain.targets import TARGETS, Target, missing_tools
from tflite_files import small_file

INTEGER_FORMS = ("reference", "onnx-int8", "c", "c")


@pytest.fixture
def here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C compiler, in a hurry, and no emulators (compiling for them takes seconds)."""
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")

    def missing(target: Target) -> tuple[str, ...]:
        return missing_tools(target) or target.emulator[:1]

    monkeypatch.setattr(runners, "missing_tools", missing)
    monkeypatch.setattr(runners, "SPEED", ("-O0",))
    monkeypatch.setattr(runners, "PORTABLE", ("-O0", "-DNIWAKI_PORTABLE"))


@pytest.fixture
def copy(small_export: Path, tmp_path: Path) -> Path:
    """An export to do harm to."""
    return Path(shutil.copytree(small_export, tmp_path / "copy"))


def relist(folder: Path) -> None:
    """Write the hashes of what is there into `export.json`, as whoever hands a folder over can do too."""
    note = read_note(folder)
    assert note is not None
    there = {
        form: entry.model_copy(
            update={"files": {path: sha256_of((folder / path).read_bytes()) for path in entry.files}}
        )
        for form, entry in note.forms.items()
        if all((folder / path).is_file() for path in entry.files)
    }
    (folder / NOTE).write_text(note.model_copy(update={"forms": there}).model_dump_json())


def forms_of(report: VerifyReport) -> dict[str, list[FormReport]]:
    found: dict[str, list[FormReport]] = {}
    for form in report.forms:
        found.setdefault(form.form, []).append(form)
    return found


def wrong(report: VerifyReport) -> set[str]:
    return {form.form for form in report.forms if form.ok is False}


def test_all_forms_agree(small_export: Path, small_data: Dataset, small_model: Path) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    done: list[tuple[str, int, int]] = []
    report = verify_folder(small_export, data=small_data, progress=lambda *seen: done.append(seen))
    assert report.ok
    assert report.of == "all 100 test images of npz"
    assert [form.form for form in report.forms] == ["torch", "onnx", *INTEGER_FORMS, "c", "c"]
    assert ("torch", 100, 100) in done
    right = {form.form: form.right for form in report.forms if form.right}
    assert right["torch"] is not None
    assert right["torch"].percent == niwaki.evaluate(load(small_model), small_data).accuracy
    for form in report.forms[4:]:
        if form.images:
            assert form.agreement is not None
            assert (form.ok, form.agreement.equal, form.agreement.difference) == (True, True, 0)
            assert form.right == right["reference"]
        else:
            assert "Debian: apt-get install" in form.reason
    onnx_int8 = report.forms[3]
    assert onnx_int8.ok
    assert onnx_int8.agreement is not None
    assert onnx_int8.agreement.unit == "int8 step"
    facts = report.to_dict()
    assert facts["ok"] is True
    assert facts["forms"][4]["agreement"] == {
        "against": "reference", "same_class": 100, "equal": True, "difference": 0.0, "unit": "int8 step",
    }  # fmt: skip
    low, high = facts["forms"][0]["accuracy"]["interval"]
    assert low < facts["forms"][0]["accuracy"]["percent"] <= high
    assert re.search(r"^int8 and float give the same class for \d+\.\d\d % of the images; accuracy ", report.notes[-1])


def test_a_study_s_folder_means_its_chosen_model(
    small_export: Path, small_data: Dataset, tmp_path: Path, here_only: None
) -> None:
    shutil.copytree(small_export, tmp_path / "study" / "chosen")
    report = verify_file(tmp_path / "study", options=VerifyOptions(5))
    assert report.ok
    assert {"reference", "c"} <= set(forms_of(report))


def test_the_data_are_found_in_the_cache(small_export: Path, here_only: None) -> None:
    report = verify_folder(small_export, options=VerifyOptions(30))
    assert report.of == "30 of the 100 test images of npz"
    assert report.ok


def change(file: Path, pattern: str, replacement: str) -> None:
    text = file.read_text()
    changed = re.sub(pattern, replacement, text, count=1, flags=re.DOTALL)
    assert changed != text
    file.write_text(changed)


def scale_last_bias(file: Path, factor: float) -> None:
    """Multiply the last layer's biases in an ONNX."""
    model = onnx.load(file)
    names = [name for node in model.graph.node for name in node.input]
    tensor = max(
        (t for t in model.graph.initializer if list(t.dims) == [4] and "bias" in t.name and t.name in names
         and t.data_type in (TensorProto.INT32, TensorProto.FLOAT) and not t.name.endswith("_scale")),
        key=lambda t: np.abs(numpy_helper.to_array(t)).max(),
    )  # fmt: skip
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), tensor.name))
    onnx.save(model, file)


def flip_last_bias(file: Path) -> None:
    """Change one number of one bias in generated C: that of the last layer."""
    text = file.read_text()
    at = [match.end() for match in re.finditer(r"_bias\[[^\]]*\] = \{\s*", text)][-1]
    number = re.match(r"-?\d+", text[at:])
    assert number
    file.write_text(text[:at] + str(int(number[0]) + 100_000) + text[at + number.end() :])


def test_one_changed_number_in_the_c_is_found(copy: Path, small_data: Dataset, here_only: None) -> None:
    flip_last_bias(copy / "c" / "model.c")
    report = verify_folder(copy, data=small_data, options=VerifyOptions(trust=True))
    assert not report.ok
    assert wrong(report) == {"c"}
    assert re.search(
        r"^c \(plain C, .*\): first image \d+: \[[-\d ]+\], reference \[[-\d ]+\]$", report.disagreements[0]
    )


def test_a_changed_int8_onnx_is_found_by_its_c(copy: Path, small_data: Dataset, here_only: None) -> None:
    scale_last_bias(copy / "model-int8.onnx", -3)
    relist(copy)
    report = verify_folder(copy, data=small_data)
    assert wrong(report) == {"c"}
    assert (
        "model.c: differs from what this niwaki generates from model-int8.onnx; it was changed"
        in report.disagreements[0]
    )
    report = verify_folder(copy, data=small_data, options=VerifyOptions(trust=True))
    assert wrong(report) == {"c"}
    assert "plain C" in report.disagreements[0]


def test_foreign_c_is_neither_compiled_nor_run_unasked(
    copy: Path, small_data: Dataset, tmp_path: Path, here_only: None
) -> None:
    """Not in `model.c`, not in a header that a system's would be taken for, and no rule of a Makefile."""
    ran = tmp_path / "ran"
    steal = f'\n#include <stdlib.h>\n__attribute__((constructor)) static void f(void) {{ system("touch {ran}"); }}\n'
    source = copy / "c" / "model.c"
    whole = source.read_text()
    source.write_text(whole + steal)
    report = verify_folder(copy, data=small_data, options=VerifyOptions(5))
    assert "model.c: not the file that export.json lists: the export was interrupted" in report.disagreements[0]
    (copy / "c" / "Makefile").write_text(f"$(shell touch {ran})")
    relist(copy)
    report = verify_folder(copy, data=small_data, options=VerifyOptions(5))
    assert (
        "model.c: differs from what this niwaki generates from model-int8.onnx; it was changed"
        in report.disagreements[0]
    )
    with pytest.raises(ModelError, match=r"model\.c: differs from what this niwaki generates"):
        niwaki.load_c(copy / "c")
    source.write_text(whole)
    (copy / "c" / "stdint.h").write_text("#include_next <stdint.h>" + steal)  # found before the system's, by -I
    relist(copy)
    assert verify_folder(copy, data=small_data, options=VerifyOptions(5)).ok
    niwaki.load_c(copy / "c")
    assert not ran.exists()
    (copy / "c" / "stdint.h").unlink()
    source.write_text(whole + steal)
    verify_folder(copy, data=small_data, options=VerifyOptions(5, trust=True))
    assert ran.exists()


def test_what_an_earlier_niwaki_exported_is_verified_with_the_kernels_that_lie_there(
    tmp_path: Path, here_only: None
) -> None:
    """`stored/export` is never to be made anew: whoever changes kernels adds the old ones to earlier_kernels.txt."""
    folder = Path(shutil.copytree(Path(__file__).parent / "stored/export", tmp_path / "export"))
    report = verify_folder(folder, options=VerifyOptions(5))
    assert report.ok, report.disagreements
    assert [form.ok for form in forms_of(report)["c"]] == [True, True, None, None]
    first = folder / "c/niwaki_add_avx512.h"
    first.write_text(first.read_text() + "\n#error")
    relist(folder)
    report = verify_folder(folder, options=VerifyOptions(5))
    assert "niwaki_add_avx512.h: differs from what this niwaki generates" in report.disagreements[0]


def test_c_that_is_not_there_is_no_disagreement(copy: Path, here_only: None) -> None:
    shutil.rmtree(copy / "c")
    for trust, said in ((False, "lists it; export again, or say `trust=True`"), (True, "lists it: export again")):
        report = verify_folder(copy, options=VerifyOptions(5, trust=trust))
        (form,) = forms_of(report)["c"]
        assert (form.ok, form.images) == (False, 0)
        assert said in form.reason


@pytest.mark.parametrize(
    ("now", "then"), [("c/example/main.c", "c/main.c"), ("c/Makefile", "c/example/Makefile")], ids=["flat", "example"]
)
def test_c_of_an_older_layout_is_still_niwaki_s(
    now: str, then: str, copy: Path, small_data: Dataset, here_only: None
) -> None:
    (copy / now).rename(copy / then)
    note = (copy / NOTE).read_text()
    assert now in note
    moved = json.loads(note.replace(now, then))
    del moved["checksum"]  # as it was before there was one
    (copy / NOTE).write_text(json.dumps(moved))
    assert verify_folder(copy, data=small_data, options=VerifyOptions(5)).ok


@pytest.mark.parametrize("name", ["model-int8.onnx", "c", "c/model.c", "model.safetensors", NOTE])
def test_a_link_out_of_the_folder_is_not_followed(name: str, copy: Path, small_data: Dataset, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (copy / name).rename(outside)
    (copy / name).symlink_to(outside)
    for trust in (False, True):
        try:
            said = verify_folder(copy, data=small_data, options=VerifyOptions(5, trust=trust)).disagreements[0]
        except ModelError as error:  # the note itself
            said = str(error)
        assert f"{copy / name}: is a link, which may lead out of the folder: put the file itself there" in said


def test_a_changed_float_onnx_is_found(copy: Path, small_data: Dataset, here_only: None) -> None:
    shutil.rmtree(copy / "c")
    scale_last_bias(copy / "model.onnx", 1.5)
    relist(copy)
    report = verify_folder(copy, data=small_data)
    assert wrong(report) == {"onnx"}
    assert "a score differs from torch by " in report.disagreements[0]
    scale_last_bias(copy / "model.onnx", 10_000)
    relist(copy)
    report = verify_folder(copy, data=small_data)
    assert wrong(report) == {"onnx"}
    assert re.search(
        r"another class than torch for \d+ of 100 images, at most 1 allowed; first image", report.disagreements[0]
    )


def test_scores_that_are_no_numbers_are_found(copy: Path, small_data: Dataset) -> None:
    shutil.rmtree(copy / "c")
    model = onnx.load(copy / "model.onnx")
    tensor = next(tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT)
    broken = numpy_helper.to_array(tensor) * np.float32("nan")
    tensor.CopyFrom(numpy_helper.from_array(broken, tensor.name))
    onnx.save(model, copy / "model.onnx")
    relist(copy)
    report = verify_folder(copy, data=small_data)
    assert report.disagreements[0].endswith("100 images have scores that are not finite; image 0")


def test_c_that_does_not_compile_or_crashes_disagrees(
    small_export: Path, copy: Path, small_data: Dataset, here_only: None
) -> None:
    source = copy / "c" / "model.c"
    change(source, r"\n  return 0;\n", "\n  return 0\n")
    report = verify_folder(copy, data=small_data, options=VerifyOptions(5, trust=True))
    assert wrong(report) == {"c"}
    assert "could not compile" in report.disagreements[0]
    shutil.copy(small_export / "c" / "model.c", source)
    change(source, r"(int RUN_PIXELS_IN\([^;{]*\{)", r"\1 *(volatile int *)0 = 1;")
    report = verify_folder(copy, data=small_data, options=VerifyOptions(5, trust=True))
    assert wrong(report) == {"c"}
    assert re.search("ended by SIG", report.disagreements[0])


def test_without_compilers_zig_compiles_or_the_rest_is_verified(
    small_export: Path, small_data: Dataset, zig: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", "/nonexistent")
    monkeypatch.setattr(runners, "SPEED", ("-O1", "-march=native"))
    report = verify_folder(small_export, data=small_data, options=VerifyOptions(20))
    found = forms_of(report)["c"]
    assert [form.ok for form in found] == [True, True, None, None]
    assert found[1].how == "this processor, zig cc -O1 -march=native"
    monkeypatch.setattr(compiler, "has_zig", lambda: False)
    report = verify_folder(small_export, data=small_data, options=VerifyOptions(20))
    assert report.ok
    missing = forms_of(report)["c"]
    assert [form.ok for form in missing] == [None] * 4
    assert missing[0].reason == (
        "no cc on this machine; apt-get install gcc libc6-dev (Debian), or pip install ziglang; or set CC"
    )
    assert missing[2].reason.startswith("no aarch64-linux-gnu-gcc and no qemu-aarch64-static on this machine")
    assert [form.ok for form in report.forms[:4]] == [None, True, None, True]


def test_c_is_run_on_every_target_that_the_table_says(small_export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    another = replace(TARGETS["armhf"], tried_as="32-bit ARM, emulated", macs=1)
    monkeypatch.setattr(runners, "TARGETS", {**TARGETS, "another": another})
    monkeypatch.setattr(runners, "missing_tools", lambda _target: ())
    found = {subject.how: subject.images for subject in runners.subjects_of(open_export(small_export))}
    assert {"64-bit ARM with NEON, emulated", "Cortex-M4, emulated"} <= set(found)
    assert found["32-bit ARM, emulated"] == 1


def test_a_foreign_int8_onnx_is_tried_on_random_images(small_export: Path, tmp_path: Path, here_only: None) -> None:
    model = onnx.load(small_export / "model-int8.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    report = verify_file(tmp_path / "theirs.onnx", options=VerifyOptions(50))
    assert report.ok
    assert report.of == "50 random images"
    assert [form.form for form in report.forms] == [*INTEGER_FORMS, "c", "c", "file"]
    assert all(form.right is None for form in report.forms)
    assert "random images, since no file says how pixels become the model's input" in report.notes
    with pytest.raises(
        ModelError, match=r"theirs\.onnx: no file says how .* so `data=` does not apply to it: give the file"
    ):
        verify_file(tmp_path / "theirs.onnx", data="fashion-mnist")


def test_a_model_file_is_exported_first(small_model: Path, small_npz: Path, here_only: None, monkeypatch) -> None:
    report = verify_file(small_model, options=VerifyOptions(40))
    assert report.ok
    assert [form.form for form in report.forms] == ["torch", "onnx", "onnx-dynamic", *INTEGER_FORMS, "c", "c"]
    assert sum("give the same class for" in note for note in report.notes) == 2


def test_a_float_onnx_alone_has_no_int8(small_export: Path, small_npz: Path, tmp_path: Path, here_only: None) -> None:
    report = verify_file(small_export / "model.onnx", options=VerifyOptions(40))
    assert report.ok
    assert [form.form for form in report.forms] == ["onnx", "onnx-dynamic"]
    assert report.of == "40 random images"
    assert any(note.startswith("no int8 and no C: niwaki does not know which images") for note in report.notes)
    assert "random images, since no file says which data the model was trained on: name it with `data=`" in report.notes
    report = verify_file(small_export / "model.onnx", data=str(small_npz), options=VerifyOptions(40))
    assert [form.form for form in report.forms] == ["onnx", "onnx-dynamic", *INTEGER_FORMS, "c", "c"]
    assert report.of == "40 of the 100 test images of npz"


def test_data_that_were_named_at_export_are_found_again(
    small_export: Path, small_npz: Path, tmp_path: Path, here_only: None, monkeypatch
) -> None:
    own = tmp_path / "own.npz"
    own.write_bytes(small_npz.read_bytes())
    export_file(small_export / "model.onnx", ["onnx-int8"], tmp_path / "out", data=str(own))
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path / "empty"))
    assert verify_file(tmp_path / "out", options=VerifyOptions(9)).of == "9 of the 100 test images of npz"
    own.unlink()
    report = verify_file(tmp_path / "out", options=VerifyOptions(9))
    assert report.of == "9 random images"
    assert "the model's own data is not available" in report.notes[0]
    with pytest.raises(DataError, match="not fashion-mnist, not synthetic"):
        verify_file(tmp_path / "out", data="gone.npz")
    with pytest.raises(DataError, match="not fashion-mnist, not synthetic"):
        verify_file(small_export / "model.onnx", data="gone.npz")


def test_a_foreign_factory_is_run_only_when_trusted(small_data: Dataset, tmp_path: Path, here_only: None) -> None:
    from networks import ResidualNet

    path = niwaki.save(
        ResidualNet(4, 4), tmp_path / "m.safetensors", factory="networks:ResidualNet",
        args={"width": 4, "num_classes": 4}, data=small_data,
    )  # fmt: skip
    export_file(path, ["onnx"], tmp_path / "out", options=ExportOptions(trust=True))
    report = verify_folder(tmp_path / "out", data=small_data, options=VerifyOptions(10))
    assert (
        report.forms[0].reason == "its factory 'networks:ResidualNet' is not niwaki's: say `trust=True` to run its code"
    )
    assert [form.ok for form in report.forms] == [None, None]
    report = verify_folder(tmp_path / "out", data=small_data, options=VerifyOptions(10, trust=True))
    assert [form.ok for form in report.forms] == [None, True]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ((), "contains neither model.onnx nor model-int8.onnx"),
        (("model.safetensors",), "contains neither model.onnx nor model-int8.onnx"),
        (
            ("model.safetensors", NOTE),
            "model.onnx: No such file or directory, though export.json lists it: export again",
        ),
    ],
)
def test_folders_that_cannot_be_verified(kept: tuple[str, ...], message: str, copy: Path, small_data: Dataset) -> None:
    for path in copy.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match=message):
        verify_folder(copy, data=small_data)


def test_what_cannot_be_asked(copy: Path, small_data: Dataset) -> None:
    with pytest.raises(DataError, match="0 images: give at least 1"):
        verify_folder(copy, data=small_data, options=VerifyOptions(0))


def test_one_damaged_form_takes_no_other_with_it(copy: Path, small_data: Dataset) -> None:
    file = copy / "model-int8.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    (copy / "model.safetensors").write_bytes(b"short")
    relist(copy)
    report = verify_folder(copy, data=small_data, options=VerifyOptions(5))
    assert [(form.form, form.ok) for form in report.forms] == [
        ("torch", False), ("onnx", None), ("onnx-int8", False), ("c", False),
    ]  # fmt: skip
    assert report.forms[1].images == 5
    assert [re.search(r"[a-z0-9-]+\.\w+: ", line)[0] for line in report.disagreements] == [  # type: ignore[index]
        "model.safetensors: ", "model-int8.onnx: ", "model-int8.onnx: ",
    ]  # fmt: skip
    assert not report.ok


def test_c_without_its_int8_onnx_fails_alone(copy: Path, small_data: Dataset) -> None:
    (copy / "model-int8.onnx").unlink()
    (copy / NOTE).unlink()
    report = verify_folder(copy, data=small_data, options=VerifyOptions(5))
    assert [(form.form, form.ok) for form in report.forms] == [("torch", None), ("onnx", True), ("c", False)]
    assert "C, but not the model-int8.onnx that it was generated from: export again" in report.disagreements[0]


def test_an_int8_onnx_that_is_no_integer_network(copy: Path, small_data: Dataset, here_only: None) -> None:
    model = onnx.load(copy / "model-int8.onnx")
    graph = model.graph
    last = graph.output[0].name  # something in float at the end
    for node in graph.node:
        node.output[:] = ["before" if name == last else name for name in node.output]
    graph.node.append(helper.make_node("Sin", ["before"], [last], "end"))
    onnx.save(model, copy / "model-int8.onnx")
    relist(copy)
    report = verify_folder(copy, data=small_data, options=VerifyOptions(10))
    assert wrong(report) == {"c"}
    assert "end" in report.disagreements[0]
    shutil.rmtree(copy / "c")
    relist(copy)
    report = verify_folder(copy, data=small_data, options=VerifyOptions(10))
    found = forms_of(report)
    assert "end" in found["reference"][0].reason
    assert found["onnx-int8"][0].ok is None  # with nothing to hold it against but float
    assert found["onnx-int8"][0].agreement is not None
    assert report.ok


def test_an_onnx_without_an_input_is_no_network(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.zeros((1, 4), np.float32)))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([constant], "constant", [], [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "constant.onnx")
    with pytest.raises(ModelError, match="has no input"):
        verify_file(tmp_path / "constant.onnx")


@pytest.fixture
def judge(small_export: Path) -> Judge:
    """With made-up scores of the reference for 1,000 images."""
    rng = np.random.default_rng(0)
    sample = Sample(rng.integers(0, 256, (1000, 1, 16, 16), dtype=np.uint8), "1,000 images", np.zeros(1000, np.int64))
    return Judge(open_export(small_export), sample, {"reference": rng.integers(-50, 50, (1000, 4)).astype(np.int8)})


def as_onnx_runtime(judge: Judge, steps: np.ndarray) -> FormReport:
    """The verdict on an int8 ONNX in ONNX Runtime that has scores of so many int8 steps."""
    graph = judge.export.graph
    assert graph is not None
    end = graph.tensors[graph.output]
    real = ((steps.astype(np.float32) - end.zero_point) * np.float32(end.scale)).astype(np.float32)
    rows = iter(np.split(real, 5))
    return judge.take(Subject("onnx-int8", "test", lambda images: next(rows)), lambda *_seen: None)


@pytest.mark.parametrize(("others", "ok"), [(0, True), (5, True), (6, False)])
def test_onnx_runtime_may_differ_in_one_image_of_two_hundred(judge: Judge, others: int, ok: bool) -> None:
    judge.scores["reference"][:others] = 7, 8, 0, 0
    changed = judge.scores["reference"].copy()
    changed[:others] = 9, 8, 0, 0
    report = as_onnx_runtime(judge, changed)
    assert report.ok is ok
    assert report.agreement is not None
    assert report.agreement.same_class == 1000 - others
    if not ok:
        assert report.reason.startswith("another class than reference for 6 of 1000 images, at most 5 allowed; first")


@pytest.mark.parametrize(("off", "limit", "ok"), [(3, 3, True), (4, 3, False), (4, 4, True), (1, 0, False)])
def test_a_score_may_be_three_int8_steps_off(judge: Judge, off: int, limit: int, ok: bool) -> None:
    """Where the class stays the same."""
    reference = judge.scores["reference"]
    reference[777] = 0, 9, 0, 0
    changed = reference.copy()
    changed[777, 1] += off
    judge.steps = limit
    report = as_onnx_runtime(judge, changed)
    assert (report.ok, report.agreement and report.agreement.same_class) == (ok, 1000)
    if not ok:
        assert report.reason == (
            f"a score differs from reference by {off} int8 steps, but rounding explains at most {limit}; "
            f"first image 777: [0 {9 + off} 0 0], reference [0 9 0 0]"
        )


def test_one_bit_in_a_thousand_images_is_too_much_for_c(judge: Judge) -> None:
    scores = judge.scores["reference"].copy()
    scores[777, 2] += 1
    report = judge.take(Subject("c", "test", lambda images: scores, at_once=True), lambda *_seen: None)
    assert report.ok is False
    assert report.agreement is not None
    assert report.agreement.difference == 1
    before, after = (" ".join(map(str, rows[777])) for rows in (judge.scores["reference"], scores))
    assert report.reason == f"first image 777: [{after}], reference [{before}]"


def test_comparing_by_hand() -> None:
    ours, theirs = np.array([[1.0, 2.0], [5.0, 4.0], [0.0, 0.0]]), np.array([[1.5, 2.0], [3.0, 4.0], [0.0, 0.0]])
    found = compare(ours, theirs, "torch")
    assert (found.same_class, found.equal, found.difference, found.first) == (2, None, 2.0, 1)
    assert compare(ours, theirs, "torch", unit="").difference is None
    assert count_right(ours, np.array([1, 0, 1])).to_dict()["percent"] == pytest.approx(200 / 3)
    assert [allowed(n, 99.9) for n in (1, 1000, 1001, 10_000)] == [1, 1, 2, 10]


def test_a_network_too_large_for_the_board_is_not_run_on_it(small_export: Path, monkeypatch) -> None:
    import dataclasses

    board = dataclasses.replace(TARGETS["cortex-m4"].board, flash_bytes=1000)
    monkeypatch.setitem(runners.TARGETS, "cortex-m4", dataclasses.replace(TARGETS["cortex-m4"], board=board))
    monkeypatch.setattr(runners, "missing_tools", lambda _target: ())
    found = runners.subjects_of(open_export(small_export))[-1]
    assert found.run is None
    assert re.fullmatch(r"[\d,]+ bytes of weights are too many for the board mps2-an386", found.reason)


def test_prefix_and_pixels_of_the_c_do_not_matter(small_export: Path, tmp_path: Path, here_only: None) -> None:
    export_file(small_export / "model-int8.onnx", ["c"], tmp_path / "out", options=ExportOptions(prefix="net"))
    report = verify_file(tmp_path / "out", options=VerifyOptions(12))
    assert report.ok
    assert report.of == "12 random images"  # the int8 ONNX says how pixels go in, but not which images they were
    assert [form.ok for form in forms_of(report)["c"][:2]] == [True, True]


def test_a_float_onnx_that_does_not_say_its_preprocessing_is_not_run(small_export: Path, tmp_path: Path) -> None:
    model = onnx.load(small_export / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    report = verify_file(tmp_path / "theirs.onnx")
    assert {form.reason for form in report.forms} == {"no file says how pixels become its input"}


def test_an_onnx_that_takes_int8_is_tried_in_c_only(small_export: Path, tmp_path: Path, here_only: None) -> None:
    model = onnx.load(small_export / "model-int8.onnx")
    graph = model.graph
    del model.metadata_props[:]
    first = next(node for node in graph.node if node.input[0] == graph.input[0].name)
    after = next(node for node in graph.node if node.input[0] == first.output[0])
    assert (first.op_type, after.op_type) == ("QuantizeLinear", "DequantizeLinear")
    after.input[0] = graph.input[0].name
    graph.node.remove(first)
    graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    onnx.save(model, tmp_path / "int8.onnx")
    report = verify_file(tmp_path / "int8.onnx", options=VerifyOptions(20))
    assert report.ok
    assert forms_of(report)["onnx-int8"][0].reason.startswith("its input is not a batch of float images")
    assert [form.ok for form in forms_of(report)["c"][:2]] == [True, True]


def test_scores_behind_a_softmax_are_compared_in_steps(small_export: Path, tmp_path: Path, here_only: None) -> None:
    model = onnx.load(small_export / "model-int8.onnx")
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["scores" if name == graph.output[0].name else name for name in node.output]
    graph.node.append(helper.make_node("Softmax", ["scores"], [graph.output[0].name], "softmax", axis=-1))
    onnx.save(model, tmp_path / "softmax.onnx")
    report = verify_file(tmp_path / "softmax.onnx", options=VerifyOptions(20))
    found = forms_of(report)["onnx-int8"][0]
    assert report.ok
    assert found.agreement is not None
    assert (found.ok, found.agreement.same_class, found.agreement.unit) == (True, 20, "int8 step")
    assert found.agreement.difference is not None
    assert found.agreement.difference <= 1


def test_where_macs_are_unknown_few_images_are_tried(small_export: Path, small_data: Dataset, monkeypatch) -> None:
    def unknown(_model: onnx.ModelProto) -> None:
        raise ModelError("node 'x': no known work")

    monkeypatch.setattr(exported, "count_onnx", unknown)
    export = open_export(small_export)
    assert export.macs == exported.MACS
    assert len(choose_sample(export, Pictures(small_data), None).images) == 100


def test_the_c_of_a_tensorflow_lite_file_has_the_bits_of_its_reference(tmp_path: Path, here_only: None) -> None:
    """ONNX Runtime, which cannot round twice, is reported and not judged."""
    (tmp_path / "theirs.tflite").write_bytes(small_file().build())
    report = verify_file(tmp_path / "theirs.tflite", options=VerifyOptions(20))
    assert report.ok, report.disagreements
    assert [form.ok for form in forms_of(report)["c"]] == [True, True, None, None]
    (runtime,) = forms_of(report)["onnx-int8"]
    assert runtime.ok is None
    assert runtime.agreement is not None
    assert runtime.agreement.against == "reference"
    assert not report.not_held
    (kernels,) = forms_of(report)["tflite"]
    if importlib.util.find_spec("ai_edge_litert") is None:
        assert (kernels.ok, kernels.images) == (None, 0)
        assert kernels.reason == "no ai-edge-litert on this machine: pip install 'niwaki[litert]'"
    assert any("ONNX Runtime rounds once, TensorFlow Lite twice" in note for note in report.notes)
