import shutil

from counted import count_reads
from niwaki.deploy.exported import open_export
from niwaki.live import build as live
from niwaki.reporting.build import build_report


def test_a_report_opens_the_chosen_export_once(finished_study, tmp_path, monkeypatch):
    """Each file is read twice: compared with the SHA-256 in verify.json, and opened."""
    copy = shutil.copytree(finished_study, tmp_path / "study")
    monkeypatch.setattr(live, "compile_module", lambda *_, **__: b"WebAssembly")
    opened = []
    monkeypatch.setattr(live, "open_export", lambda folder: opened.append(open_export(folder)) or opened[-1])
    seen = count_reads(copy / "chosen", monkeypatch)
    report = build_report(copy)
    assert report.note == "" or report.note.startswith("no test images to click on")  # the rest is there
    assert [export.folder for export in opened] == [copy / "chosen"]
    assert set(seen) >= {"export.json", "model.safetensors", "model.onnx", "model-int8.onnx", "c/model.h"}
    assert set(seen.values()) == {2}
