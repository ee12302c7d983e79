import json
import re
import shutil
from pathlib import Path

import pytest

from niwaki.live import build as module
from niwaki.live.build import build, embeddable


def test_what_the_script_is_told(part, study):
    told = json.loads(part.data)
    assert part.note == ""
    assert told["input"] == {"channels": 1, "height": 28, "width": 28, "pad": 2, "resize": "fit"}
    assert (told["scale"], told["zero_point"]) == (study.c.interface.output_scale, study.c.interface.output_zero_point)
    assert (told["vision"], told["finds"]) == (True, True)


def test_the_fragment_brings_its_own_ids_and_no_code(part):
    assert all(name.startswith("live") for name in re.findall(r'\bid="([^"]+)"', part.html))
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?:", part.html)
    assert not re.search(r"\bfetch\(|XMLHttpRequest|https?:|import\(", part.script)


def test_korean(study):
    part = build(study.folder, lang="ko", data=study.data)
    told = json.loads(part.data)
    assert "시험 이미지" in part.html
    assert told["text"]["speak"] == "소리 내어 말하기"
    assert "옷 하나" in told["text"]["drop_hint"]


def test_a_study_that_has_chosen_nothing(tmp_path):
    part = build(tmp_path)
    assert "run it to its end" in part.note
    assert "run it to its end" in part.html
    assert (part.script, part.style, part.data) == ("", "", "")


def test_a_model_with_no_integer_form_says_why(tmp_path):
    (tmp_path / "verify.json").write_text(json.dumps({"ok": None, "reason": "Erf <is> no such operator"}))
    part = build(tmp_path)
    assert "Erf <is> no such operator" in part.note
    assert "Erf &lt;is&gt; no such operator" in part.html


def test_a_folder_without_c(study, tmp_path):
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen/model-int8.onnx").write_bytes((study.folder / "chosen/model-int8.onnx").read_bytes())
    assert "no generated C" in build(tmp_path, data=study.data).note


def test_what_an_older_niwaki_exported_runs_with_the_kernels_of_this_one(study, part, tmp_path):
    shutil.copytree(study.folder / "chosen", tmp_path / "chosen")
    c = tmp_path / "chosen/c"
    (c / "niwaki_blocks.h").write_text("#error of another version\n")
    (c / "niwaki_strip.h").unlink()
    again = build(tmp_path, data=study.data)
    assert again.note == ""
    assert json.loads(again.data)["module"] == json.loads(part.data)["module"]


def test_a_module_too_large_for_a_page(study, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    assert re.search(r"[\d,]+ bytes, more than the 1,000", build(study.folder, data=study.data).note)


def test_without_images_the_rest_is_there(small_export, small_data, study, tmp_path):
    (tmp_path / "chosen").symlink_to(small_export)
    part = build(tmp_path, data=study.data)
    assert "no test images to click on" in part.note
    assert 'id="live-strip"' not in part.html
    assert 'id="live-pad"' in part.html
    assert "object" in part.html  # nothing says that these are garments


def test_images_are_looked_for_as_verify_does(study, part):
    assert build(study.folder).data == part.data


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--", "a & b", "\u2028 \u2029"])
def test_nothing_ends_the_data(text):
    embedded = embeddable({"label": text})
    assert not re.search("[<>&\u2028\u2029]", embedded)
    assert json.loads(embedded) == {"label": text}


def test_the_package_holds_what_it_reads():
    folder = Path(module.__file__).parent
    assert {file.stem for file in (folder / "js").iterdir()} == set(module.SCRIPTS)
