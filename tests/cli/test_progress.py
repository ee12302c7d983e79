from __future__ import annotations

import io

import pytest
from rich.console import Console

from niwaki.cli.progress import Progression
from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record


def stage(number: int) -> Stage:
    return Stage(f"k{number}", "train", {}, None, 0, 0, 5, f"train [number] {number}")


def failed(number: int) -> Record:
    return Record(
        key=f"k{number}", kind="train", parent=None, seed=0, position=0, settings={}, data="", environment={},
        status="failed", reason="the loss became nan",
    )  # fmt: skip


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_is_followed_to_its_end(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    progress = Progression(console)
    stages = [stage(number) for number in range(3)]
    plan = Plan({s.key: s for s in stages}, [])
    progress.planned(plan, stages[1:])
    for number in (1, 2):
        progress.started(stages[number])
    progress.message("[not] markup")
    for number in (1, 2):
        progress.finished(stages[number], failed(number))
    progress.stop()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 stages are stored, 2 to run" in text
    assert "[not] markup" in text
    assert "train [number] 2: FAILED: the loss became nan" in text
    assert (progress.stored, progress.total) == (3, 3)
