"""The hand-written layouts of Video4Linux equal those of the kernel's header, on 64 and 32 bits."""

import json
import subprocess

import pytest

from device.foreign import DEVICE, HERE, PYTHONS, foreign_python

SHOW = """
import json, runpy, sys
values = {name: value for name, value in runpy.run_path(sys.argv[1]).items() if name.isupper() and name[0] != "_"}
print(json.dumps({name: getattr(value, "size", value) for name, value in values.items()}))
"""


@pytest.mark.parametrize("name", PYTHONS)
def test_sizes_and_numbers_are_the_compilers_own(name, tmp_path):
    python = foreign_python(name)
    program = python.build(HERE / "shim" / "v4l2_numbers.c", tmp_path / "numbers", "-static")
    said = subprocess.run([*python.emulator, program], check=True, capture_output=True).stdout
    shown = python.run("-c", SHOW, DEVICE / "sources" / "v4l2_layout.py", check=True).stdout
    assert json.loads(shown) == json.loads(said)
    assert json.loads(said)["BUFFER"] == {64: 88, 32: 68}[python.bits]
