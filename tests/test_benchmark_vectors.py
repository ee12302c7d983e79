"""The benchmark of vector units: its table and its verdicts, and a count."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import vectors
from benchmarks.executed import Block
from benchmarks.peers import MissingPeer
from benchmarks.static_cycles import MISSING, cycles_of, has_tools
from benchmarks.vectors import A57, AVX2, Cost

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import NiwakiError
from niwaki.toolchain.targets import missing_tools


def test_goals_are_in_instructions_or_in_instructions_a_mac() -> None:
    made = vectors.report(
        {
            AVX2: [Cost("LeNet-5", 400_000, 90_000), Cost("autoencoder", 264_000, 50_000)],
            A57: [Cost("LeNet-5", 400_000, 200_000, 100_000), Cost("autoencoder", 264_000, 60_000)],
        },
        ["Cortex-A76: no emulator"],
    )
    assert made.tables[0].rows == (
        ("LeNet-5", "400,000", "90,000", "0.225", "200,000", "0.500", "100,000", "0.250"),
        ("autoencoder", "264,000", "50,000", "0.189", "60,000", "0.227", "–", "–"),
    )
    assert made.findings == (
        "x86 with AVX2, LeNet-5: 90,000 instructions; goal: at most 100,000 (met).",
        "Cortex-A57, LeNet-5: 0.500 instructions a MAC; goal: at most 0.45 (MISSED).",
        "Cortex-A76: no emulator",
    )


def test_cycles_follow_the_chain_of_results_and_a_call_costs_no_more_than_a_jump() -> None:
    """A57's optimization guide: a multiplication of 64 bits takes 5 cycles, an addition 1, three instructions start a
    cycle at most.
    """
    if not has_tools():
        pytest.skip(f"needs llvm: {MISSING}")
    add, multiply = Block("a", ("8b010000",)), Block("b", ("9b017c00", "8b010000"))  # x0 = x0 ∘ x1
    call = Block("c", ("8b010000", "94000010"))
    found = cycles_of((add, multiply, call), "cortex-a57")
    assert found[add] == pytest.approx(1, abs=0.1)
    assert found[multiply] == pytest.approx(6, abs=0.1)
    assert found[call] == pytest.approx(1, abs=0.1)
    with pytest.raises(NiwakiError, match="llvm-mc read 0 instructions of 1"):
        cycles_of((Block("d", ("ffffffff",)),), "cortex-a57")


def test_without_the_tools_the_estimate_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingPeer, match="the estimate of cycles is missing: apt-get install llvm"):
        cycles_of((Block("a", ("8b010000",)),), "cortex-a57")


@pytest.mark.soak
def test_a_network_is_counted_and_its_scores_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing_tools(A57.target) or not shutil.which("valgrind"):
        pytest.skip(f"needs valgrind {A57.target.packages}")
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    part = Split(images, np.zeros(20, np.int64))
    data = Dataset("noise", ("a",), Preprocessing(pad=2), "", "", True, part, part, part)
    (row,) = vectors.run(data, quick=True).tables[0].rows
    assert row[:2] == ("LeNet-5, 60 %", "78,314")
    monkeypatch.setattr(vectors.reference, "run", lambda _graph, inputs: np.zeros((len(inputs), 10), np.int8))
    with pytest.raises(NiwakiError, match="other scores than those of the reference"):
        vectors.run(data, quick=True)
