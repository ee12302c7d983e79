"""The end of a study: the chosen model is exported and verified, and kept while it is intact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from niwaki.deploy import export
from niwaki.errors import ModelError
from niwaki.models.opset import DEFAULT_OPSET, OPSETS
from niwaki.study.export_chosen import _quantization
from niwaki.study.plan import make_plan
from niwaki.study.scheduler import StudyResult
from niwaki.study.spec import parse_spec
from niwaki.study.store import Store
from niwaki.training.settings import QuantizeSettings
from tests.study.conftest import Niwaki, records


def run(niwaki: Niwaki, study: Path, **more: int):  # type: ignore[no-untyped-def]
    return niwaki("study", "run", study / "s.toml", "--jobs", 1, "--out", study / "out", **more)


def verified(study: Path) -> dict:
    return json.loads((study / "out" / "verify.json").read_bytes())


def test_the_chosen_model_is_exported_and_its_forms_agree(study: Path, niwaki: Niwaki) -> None:
    chosen = study / "out" / "chosen"
    choice = json.loads((study / "out" / "choice.json").read_bytes())
    int8 = study / "out" / "stages" / choice["key"] / "model.onnx"
    assert (chosen / "model-int8.onnx").read_bytes() == int8.read_bytes()  # the very model that was measured
    assert (chosen / "model.safetensors").read_bytes() == (study / "out" / "chosen.safetensors").read_bytes()
    assert {"model.onnx", "c/model.c", "c/model.h", "c/README.md"} < set(verified(study)["files"])
    found = verified(study)
    assert found["ok"] is True
    forms = {form["form"]: form for form in found["forms"]}
    assert {"torch", "onnx", "onnx-int8", "reference", "c"} <= set(forms)
    (record,) = (r for r in records(study / "out") if r["key"] == choice["key"])
    assert forms["onnx-int8"]["accuracy"]["correct"] == record["results"]["test"]["correct"]
    flash_and_ram = record["results"]["flash"], record["results"]["ram"]
    assert (found["exported"]["c"]["flash"], found["exported"]["c"]["ram"]) == flash_and_ram
    assert (
        f"within accuracy_drop<=50 and flash<=16KB and ram<=2KB on validation. Chosen: {choice['value']}: "
        in (choice["reason"])
    )
    assert f"{flash_and_ram[0]:,} flash, {flash_and_ram[1]:,} ram." in choice["reason"]
    shown = niwaki("study", "show", study / "out").stdout
    assert "verified on all 100 test images of npz: all forms agree" in shown
    assert "NumPy, integers only" in shown
    assert f"C: {flash_and_ram[0]:,} bytes of constants in flash" in shown
    del found["checksum"], found["format"]  # of the file, not of what it says
    assert json.loads(niwaki("study", "show", study / "out", "--json").stdout)["verification"] == found


def test_onnxruntime_is_timed_for_int8_and_its_float_parent(study: Path) -> None:
    timings = json.loads((study / "out" / "timings.json").read_bytes())
    structures = {record["kind"]: record["results"]["structure"] for record in records(study / "out")}
    assert set(timings["models"]) == {structures["train"]}
    assert set(timings["onnxruntime"]) == set(structures.values())  # both calibrations are one structure
    assert all(row["1"]["median_us"] > 0 for row in timings["onnxruntime"].values())
    assert "onnxruntime" in timings["machine"]


def test_a_second_run_keeps_what_is_whole_and_takes_away_what_is_not_asked_for(study: Path, niwaki: Niwaki) -> None:
    before = verified(study)
    again = run(niwaki, study).stderr
    assert "exported" not in again
    assert "timing" not in again
    assert verified(study) == before
    (study / "s.toml").write_text((study / "s.toml").read_text().replace("[select]", "[select]\nexport = false"))
    run(niwaki, study)
    assert not (study / "out" / "chosen").exists()
    assert "verified" not in niwaki("study", "show", study / "out").stdout


@pytest.mark.soak
def test_the_chosen_model_has_the_opset_that_its_board_reads(study: Path, niwaki: Niwaki) -> None:
    assert opsets(study) == [DEFAULT_OPSET, DEFAULT_OPSET]
    text = (study / "s.toml").read_text()
    (study / "s.toml").write_text(text.replace("[select]", f"[select]\nopset = {OPSETS.start}"))
    assert "exporting the chosen model" in run(niwaki, study).stderr
    assert opsets(study) == [OPSETS.start, OPSETS.start]
    assert verified(study)["ok"] is True
    assert verified(study)["made_of"]["opset"] == OPSETS.start
    assert "exporting the chosen model" not in run(niwaki, study).stderr
    (study / "s.toml").write_text(text.replace("[select]", f"[select]\nopset = {OPSETS.stop}"))
    assert "select.opset = 19: " in run(niwaki, study, check=2).stderr


def opsets(study: Path) -> list[int]:
    names = ("model.onnx", "model-int8.onnx")
    return [onnx.load(study / "out" / "chosen" / name).opset_import[0].version for name in names]


def test_a_run_that_is_cut_off_leaves_no_choice_of_an_earlier_one(
    study: Path, niwaki: Niwaki, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("niwaki.study.run.drive", cut_off)
    niwaki("study", "run", study / "s.toml", "--jobs", 1, "--seeds", 2, "--out", study / "out", check=130)
    assert not (study / "out" / "choice.json").exists()
    assert not (study / "out" / "chosen.safetensors").exists()
    shown = niwaki("study", "show", study / "out").stdout
    assert "stages are still to run" in shown
    assert "Choice." not in shown
    assert "all forms agree" not in shown


def test_forms_that_disagree_fail_the_study(study: Path, niwaki: Niwaki, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file is noticed, and the forms are made again; this time the C is another model's."""
    whole = export.export_all

    def cut_off(model: Path, out: Path, **more: Any) -> export.ExportReport:
        report = whole(model, out, **more)
        source = out / "c" / "model.c"
        source.write_text(source.read_text().replace(".high = 127", ".high = -20"))
        return report

    monkeypatch.setattr(export, "export_all", cut_off)
    before = verified(study)["files"]
    header = study / "out" / "chosen" / "c" / "model.h"
    header.write_bytes(header.read_bytes() + b"\n")
    done = run(niwaki, study, check=1)
    assert "exporting the chosen model" in done.stderr
    assert "a form of the chosen model could not be compared: c (c): " in done.stderr
    found = verified(study)
    assert found["ok"] is False
    assert {name for name in before if found["files"].get(name) != before[name]} == {"c/model.c"}
    shown = niwaki("study", "show", study / "out").stdout
    assert "NOT COMPARED: c" in shown
    assert "DISAGREE" not in shown
    assert "c/model.c: not the file that export.json lists" in shown


def test_a_form_that_cannot_be_made_is_said_and_the_others_are_there(
    study: Path, niwaki: Niwaki, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("operator Erf: no integer form")

    monkeypatch.setattr("niwaki.deploy.forms.generate", refuse)
    (study / "out" / "chosen" / "c" / "model.h").write_bytes(b"")
    done = run(niwaki, study, check=1)
    assert "the chosen model has no c: operator Erf: no integer form" in done.stderr
    assert "MISSING: no c: operator Erf: no integer form" in done.stdout
    found = verified(study)
    assert (found["ok"], found["missing"]) == (True, {"c": "operator Erf: no integer form"})
    assert {path.name for path in (study / "out" / "chosen").iterdir()} == {
        "model.safetensors", "model.onnx", "model-int8.onnx", "export.json",
    }  # fmt: skip
    assert "The chosen model has no c: operator Erf: no integer form" in (study / "out" / "report.md").read_text()


def test_a_missing_compiler_is_said(
    study: Path, niwaki: Niwaki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("niwaki.toolchain.compiler.has_zig", lambda: False)
    done = run(niwaki, study)  # what can be verified here is not what it was
    assert "c, plain C, cc -O2 -DNIWAKI_PORTABLE: not run: no cc on this machine; apt-get install gcc" in done.stderr
    assert verified(study)["ok"] is True
    assert "c, plain C, cc -O2 -DNIWAKI_PORTABLE: not run: no cc on this machine" in done.stdout
    assert "NumPy, integers only" in done.stdout


def test_a_model_that_cannot_be_exported_is_said(study: Path, niwaki: Niwaki, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("operator Sigmoid: no integer form")

    monkeypatch.setattr(export, "export_all", refuse)
    (study / "out" / "verify.json").write_text("{")
    done = run(niwaki, study, check=1)
    assert "verify.json: damaged" in done.stderr
    assert "the chosen model cannot be exported and verified: operator Sigmoid: no integer form" in done.stderr
    assert "The chosen model cannot be exported and verified: operator Sigmoid: no integer form" in done.stdout
    assert verified(study)["ok"] is None
    assert not (study / "out" / "chosen").exists()


def test_a_float_choice_becomes_int8_as_a_trial_did_it_or_as_the_study_says() -> None:
    spec = parse_spec(FLOAT, "x")
    plan = make_plan(spec, data="d", environment={})
    base = plan.trials[0].rows[0]
    store, result = Store(Path("none")), StudyResult(Path("none"), plan, {})
    assert _quantization(spec, store, result, base) == (QuantizeSettings(), None)  # that stage is not done
    named = spec.model_copy(update={"quantize": QuantizeSettings(images=7)})
    assert _quantization(named, store, result, base) == (QuantizeSettings(images=7), None)
    dynamic = spec.model_copy(update={"quantize": QuantizeSettings(kind="dynamic")})
    assert _quantization(dynamic, store, result, base) == (QuantizeSettings(), None)


FLOAT = """
[[experiment]]
name = "float"
[[experiment]]
name = "int8"
set = { "quantize.images" = 9 }
[select]
experiment = "float"
"""
