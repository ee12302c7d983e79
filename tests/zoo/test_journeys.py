"""The zoo: named architectures from training to verified C, and the page about them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bundled import need_tool
from niwaki.deploy import runners
from zoo.full import Full, measured
from zoo.journey import PROBE, Row, go, row_of, travel
from zoo.networks import ALL, MORE, NETWORKS
from zoo.page import page

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
FEW = ("LeNet with sigmoid", "Conv1d")


def held(row: Row) -> None:
    """It came through, with fewer parameters, in C that stores about a byte for each."""
    assert (row.failed, row.why) == ("", "")
    assert row.pruned < row.params
    assert row.flash > 0.8 * row.pruned  # and tables: of 256 bytes for each channel after GELU and a norm
    assert row.ram >= np.prod(ALL[row.name].shape)


@pytest.mark.timeout(900)
def test_a_few_come_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In C for this machine alone; only the second of the three processes is a fresh one."""
    need_tool("cc", "gcc libc6-dev")
    monkeypatch.setattr(runners, "TARGETS", {"native": runners.TARGETS["native"]})
    for row in travel(FEW, tmp_path, fresh=("prune",)):
        held(row)


def test_a_file_that_answers_otherwise_ends_the_journey(tmp_path: Path) -> None:
    name = "LeNet with sigmoid"
    go("train", tmp_path, [name])
    probe = tmp_path / name / PROBE
    np.save(probe, np.load(probe) + 0.01)
    go("prune", tmp_path, [name])
    go("ship", tmp_path, [name])
    row = row_of(name, tmp_path)
    assert (row.failed, row.pruned) == ("prune", 0)
    assert re.fullmatch(r"Broken: the reloaded network answers otherwise, by 0\.0\d+", row.why)


@pytest.mark.soak
@pytest.mark.parametrize("name", ALL)
def test_a_network_comes_through(name: str, tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    [row] = travel([name], tmp_path)
    held(row)


@pytest.mark.soak
def test_resnet_18_of_full_size_becomes_c_in_minutes(tmp_path: Path) -> None:
    """11 million parameters, images of 224×224: export in 3 minutes, a compiler in 2, in 4 GB."""
    need_tool("cc", "gcc libc6-dev")
    found = measured(tmp_path / "full")
    assert found.parameters == 11_181_642
    assert found.export_seconds < 180
    assert found.compile_seconds < 120
    assert found.memory < 4e9
    assert found.agrees


def test_the_page_has_every_network_and_34_of_the_36_hold() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    results = {cells[0]: cells[-1] for cells in rows if len(cells) == 8}
    assert set(ALL) <= set(results)
    assert sum(results[name] == "verified" for name in NETWORKS) >= 34
    assert (len(NETWORKS), len(MORE)) == (36, 4)


def test_a_row_says_what_ended_a_journey() -> None:
    rows = [Row("MLP", 1000, 500, {"it is joined": 2}, 700, 90), Row("NiN", 2000, failed="ship", why="ModelError: no")]
    text = page(rows)
    assert "1 of the 2 come through" in text
    assert "| MLP | 3×32×32 | 1,000 | 500 | 2 | 700 | 90 | verified |" in text
    assert "| NiN | 3×32×32 | 2,000 | 0 | 0 | 0 | 0 | ends at ship: ModelError: no |" in text
    assert "| MLP | 2 | it is joined |" in text
    text = page(rows, Full(11_181_642, 100.4, 50.6, 1_700_000_000, 11_215_327, 1_003_530, True))
    assert "with 11,181,642 parameters" in text
    assert "100 s and its C compiled (`-O3`) in 51 s, on two busy cores; the process held\n1.7 GB at most" in text
