"""The benchmark of microcontrollers: its peer's figures, its table, its verdicts."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is beside tests/, not installed

from benchmarks import microcontrollers
from benchmarks.microcontrollers import M4, M55

from niwaki.data.dataset import Dataset, Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import NiwakiError
from niwaki.toolchain.targets import TARGETS, missing_tools


def cost(name: str, fast: int) -> microcontrollers.Cost:
    counts = {"-O2": fast, "-Os": 1_500_000, "-O3": 999}
    return microcontrollers.Cost(name, 100_000, counts, {"-O2": 2000, "-Os": 1500}, 300, 40)


def test_the_peer_has_a_figure_for_every_network_and_level() -> None:
    for level in ("-O2", "-O3", "-Ofast"):
        assert set(microcontrollers.peers(M4, level)) == set(M4.goals)
    assert microcontrollers.peers()["LeNet-5, 60 %"] == 1_337_160
    assert microcontrollers.peers(M4, "-O3")["MobileNetV1-0.25"] == 24_712_840
    assert set(microcontrollers.peers(M55)) == set(M4.goals)
    assert microcontrollers.peers(M55)["ResNet-8"] == 4_803_188


def test_each_network_has_two_verdicts() -> None:
    made = microcontrollers.report(
        {M4: [cost("LeNet-5, 60 %", 280_000), cost("autoencoder", 400_000)], M55: [cost("LeNet-5, 60 %", 100_000)]}
    )
    row = made.tables[0].rows[0]
    assert row[:6] == ("LeNet-5, 60 %", "100,000", "280,000", "2.80", "1,337,160", "4.78")
    assert row[6:] == ("1,500,000", "999", "2,000", "1,500", "300", "40")
    assert made.findings == (
        "cortex-m4, LeNet-5, 60 %: 2.80 instructions a MAC; goal: at most 2.8 (met).",
        "cortex-m4, LeNet-5, 60 %: 4.78 times fewer than CMSIS-NN; goal: 1.5 (met).",
        "cortex-m4, autoencoder: 4.00 instructions a MAC; goal: at most 1.4 (MISSED).",
        "cortex-m4, autoencoder: 1.48 times fewer than CMSIS-NN; goal: 1.5 (MISSED).",
        "cortex-m55, LeNet-5, 60 %: 5.76 times fewer than CMSIS-NN; goal: 1 (met).",
    )
    assert made.figures["cortex-m4"]["autoencoder"]["cmsis_nn"] == 593_840


@pytest.mark.soak
def test_a_network_is_counted_and_its_scores_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing_tools(TARGETS["cortex-m4"]):
        pytest.skip(f"needs {TARGETS['cortex-m4'].packages}")
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 32, 32), dtype=np.uint8)
    part = Split(images, np.zeros(20, np.int64))
    data = Dataset("noise", ("a",), Preprocessing(pad=2), "", "", True, part, part, part)
    (row,) = microcontrollers.run(data, quick=True).tables[0].rows
    assert row[:2] == ("LeNet-5, 60 %", "78,314")
    monkeypatch.setattr(microcontrollers.reference, "run", lambda _graph, inputs: np.zeros((len(inputs), 10), np.int8))
    with pytest.raises(NiwakiError, match="other scores than those of the reference"):
        microcontrollers.run(data, quick=True)
