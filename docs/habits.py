"""The table of what other tools' int8 ONNX files have: each row is tried on a small file that the tests write."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from onnx import ModelProto

from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.origin import open_origin
from niwaki.errors import ModelError
from niwaki.models.onnxfile import load_onnx

TESTS = Path(__file__).parent.parent / "tests"


def habits_page() -> str:
    """What is read, and what is refused with which words."""
    sys.path.insert(0, str(TESTS))
    from foreign_habits import HABITS, REFUSED

    lines = [
        "# Int8 ONNX files of other tools", "",
        "What the files of each tool have that others do not, and what becomes of it "
        "([how to use them](../guides/int8-files.md)). The tests have a small file for each row. In those that are "
        "read, no score for 200 random inputs is more than one int8 step from what the nodes give one by one.", "",
        "| tools | what is in the file | what niwaki makes of it |", "|---|---|---|",
    ]  # fmt: skip
    for habit in HABITS.values():
        _tried(habit.build())
        lines.append(f"| {habit.tools} | {habit.found} | {habit.made} |")
    lines += ["", "## Refused", "", "| tools | what is in the file | the error |", "|---|---|---|"]
    for habit in REFUSED.values():
        lines.append(f"| {habit.tools} | {habit.found} | {_refused(habit.build())} |")
    return "\n".join(lines) + "\n"


def _tried(model: ModelProto) -> None:
    """Raise ModelError if the file does not become integers; AssertionError if they give nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "theirs.onnx"
        file.write_bytes(model.SerializeToString())
        graph = read_qdq(load_onnx(open_origin(file).data), "theirs.onnx")
    inputs = np.random.default_rng(1).integers(-128, 128, (50, *graph.tensors[graph.input].shape)).astype(np.int8)
    assert len(np.unique(reference.run(graph, inputs))) > 10


def _refused(model: ModelProto) -> str:
    """The error for a file."""
    from niwaki.deploy.export import export_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "theirs.onnx"
        file.write_bytes(model.SerializeToString())
        try:
            export_file(file, ["c"], Path(folder) / "out")
        except ModelError as error:
            return str(error).removeprefix(f"{file}: ")
    raise AssertionError("it is not refused")
