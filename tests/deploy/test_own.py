"""Whose C it is, file by file."""

from pathlib import Path

import pytest

from niwaki.codegen.generate import generate, write
from niwaki.deploy.own import own_files
from niwaki.errors import ModelError
from random_graphs import Builder


def test_a_model_that_an_earlier_niwaki_wrote_said_less_of_the_stack(tmp_path: Path) -> None:
    builder = Builder((4, 6, 6), 0)
    builder.conv(3, (3, 3))
    graph = builder.graph()
    folder = write(generate(graph, title="model-int8.onnx"), tmp_path)
    source = folder / "model.c"
    whole = source.read_text()
    (line,) = [line for line in whole.splitlines(keepends=True) if "NIWAKI_PAIRS" in line]
    before = whole.replace(line, "")
    source.write_text(before)
    (folder / "niwaki_dsp.h").unlink()
    assert own_files(folder, graph, "model-int8.onnx")["model.c"] == whole.encode()
    source.write_text(before.replace("layer0_conv", "layer9_conv"))
    with pytest.raises(ModelError, match=r"model\.c: differs from what this niwaki generates"):
        own_files(folder, graph, "model-int8.onnx")
