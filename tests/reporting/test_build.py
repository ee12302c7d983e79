import shutil

from counted import count_reads
from niwaki.live import build as live
from niwaki.reporting.build import build_report


def test_a_report_reads_each_file_of_the_chosen_export_once(finished_study, tmp_path, monkeypatch):
    copy = shutil.copytree(finished_study, tmp_path / "study")
    monkeypatch.setattr(live, "compile_module", lambda *_, **__: b"WebAssembly")
    seen = count_reads(copy / "chosen", monkeypatch)
    assert build_report(copy).note.startswith("no test images to click on")  # the rest is there
    models = {name: count for name, count in seen.items() if not name.startswith("c/")}
    assert models == dict.fromkeys(("export.json", "model.safetensors", "model.onnx", "model-int8.onnx"), 1)
