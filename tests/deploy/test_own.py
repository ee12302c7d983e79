"""Whose C it is, file by file."""

import re
from pathlib import Path

import pytest

from niwaki.deploy.own import own_files
from niwaki.emit.generate import generate, write
from niwaki.errors import ModelError
from random_graphs import Builder

EARLIER = (  # what is written now, and what was
    ("static const NIWAKI_FLASH ", "static const "),
    ("NIWAKI_RUN(niwaki_run_conv, niwaki_conv, layer0_conv, ", "niwaki_run_conv(&layer0_conv, "),
    ("NIWAKI_RUN(niwaki_run_depthwise, niwaki_conv, layer1_conv, ", "niwaki_run_depthwise(&layer1_conv, "),
    ("NIWAKI_RUN(niwaki_run_reshape, niwaki_reshape, output, ", "niwaki_run_reshape(&output, "),
    ("NIWAKI_RUN(niwaki_run_reshape, niwaki_reshape, layer2_reshape, ", "niwaki_run_reshape(&layer2_reshape, "),
    ("NIWAKI_RUN(niwaki_run_reshape, niwaki_reshape, arrange, ", "niwaki_run_reshape(&arrange, "),
    (
        "arrange = {\n        .in_h = 1, .in_w = 1, .in_c = 144,\n        .out_h",
        "arrange = {.in_h = 1, .in_w = 1, .in_c = 144,\n                                           .out_h",
    ),
)


def without_room(model: str) -> str:
    return model.replace(",\n  .roomy = 1", "")


def without_later(model: str) -> str:
    """Without what only the kernels of today ask for: room in sums, weights of −128, depthwise weights tap by tap."""
    assert without_room(model) != model
    shorter, count = re.subn(r"#elif NIWAKI_BLOCKS\n.*?(?=#else)", "", without_room(model), flags=re.DOTALL)
    assert count == 1
    assert "#define NIWAKI_LOWEST 1" in model
    return re.sub(r"#define NIWAKI_LOWEST 1.*\n", "", shorter)


def test_a_model_that_an_earlier_niwaki_wrote_said_less(tmp_path: Path) -> None:
    builder = Builder((4, 6, 6), 0)
    builder.conv(3, (3, 3))
    builder.conv(3, (3, 3), groups=3)
    graph = builder.graph()
    folder = write(generate(graph, title="model-int8.onnx"), tmp_path)
    source = folder / "model.c"
    whole = source.read_text()
    (line,) = [line for line in whole.splitlines(keepends=True) if "NIWAKI_PAIRS" in line]
    before = without_later(whole)
    for now, then in EARLIER:
        before = before.replace(now, then)
    assert not re.search("FLASH|NIWAKI_RUN", before)
    assert before.count("(&") == 4
    (folder / "niwaki_dsp.h").unlink()
    earlier = (without_room(whole), without_later(whole), before, before.replace(line, ""))
    for form in earlier:  # with its earlier kernels: neither knows the macros
        source.write_text(form)
        assert own_files(folder, graph, "model-int8.onnx")["model.c"] == form.encode()
    source.write_text(earlier[-1].replace("layer0_conv", "layer9_conv"))
    with pytest.raises(ModelError, match=r"model\.c: differs from what this niwaki generates"):
        own_files(folder, graph, "model-int8.onnx")


def test_c_by_stripes_of_rows_is_known_by_its_own_ram(tmp_path: Path) -> None:
    """Whatever the limit was: its form fits best into the RAM that it takes, too."""
    builder = Builder((2, 24, 9), 0)
    for _ in range(3):
        builder.conv(8, (3, 3), pads=(1, 1, 1, 1))
    builder.dense(4)
    graph = builder.graph()
    made = generate(graph, ram_limit=2800)
    assert made.report.ram_bytes < 2800
    assert made.program.stripes
    folder = write(made, tmp_path)
    assert own_files(folder, graph, "model-int8.onnx") == made.compiled
    kernels = folder / "niwaki_stripes.h"
    kernels.write_bytes(kernels.read_bytes().replace(b"done + p->most", b"done + 1"))
    with pytest.raises(ModelError, match=r"niwaki_stripes\.h: differs from what this niwaki generates"):
        own_files(folder, graph, "model-int8.onnx")
