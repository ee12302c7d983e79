import importlib.util

import pytest

from niwaki.errors import NiwakiError
from niwaki.live import wasm


def test_no_zig(study, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NiwakiError, match=r"zig.*pip install ziglang"):
        wasm.compile_module(study.folder / "chosen/c")


def test_what_the_compiler_says(study, tmp_path):
    (tmp_path / "model.h").write_bytes((study.folder / "chosen/c/model.h").read_bytes())
    (tmp_path / "model.c").write_text("int broken(void) { return no_such_thing; }")
    with pytest.raises(NiwakiError, match=f"^{tmp_path}: .*no_such_thing"):
        wasm.compile_module(tmp_path, vision=False)


def test_c_that_takes_no_pixels(study, tmp_path):
    header = (study.folder / "chosen/c/model.h").read_text()
    (tmp_path / "model.h").write_text(header.replace("_run_pixels(", "_run_other("))
    with pytest.raises(NiwakiError, match="int8 inputs only"):
        wasm.compile_module(tmp_path)
