"""What an inference takes on a Cortex-M4, counted by the emulator: exact, so any growth is seen."""

import pytest

from niwaki.compiled.on_target import measure_on_board
from niwaki.toolchain.targets import TARGETS, missing_tools

M4 = TARGETS["cortex-m4"]


@pytest.fixture(autouse=True)
def tools():
    if missing_tools(M4):
        pytest.skip(f"needs {M4.packages}: apt-get install {M4.packages}")


@pytest.mark.parametrize("flag", ["-ffreestanding", "-fno-builtin"])
def test_loads_stay_loads_without_a_c_library(lenet5, flag):
    """Zephyr compiles so: a memcpy of four bytes would be a call, and the whole take four times the instructions."""
    example = lenet5("pruned")
    hosted, alone = (measure_on_board(example.folder, example.images[:1], M4, ("-O2", *more)) for more in ((), (flag,)))
    assert (alone.scores == example.scores[:1]).all()
    assert alone.instructions[0] < 1.05 * hosted.instructions[0]
