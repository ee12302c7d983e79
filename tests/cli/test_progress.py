from __future__ import annotations

import io

import pytest
from rich.text import Text

from niwaki.cli.progress import Progression, _shortened
from niwaki.reporting.terminal import Terminal
from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record
from niwaki.study.telling import EpochTold


def stage(number: int) -> Stage:
    return Stage(f"k{number}", "train", {}, None, 0, 0, 5, f"train [number] {number}")


def failed(number: int) -> Record:
    return Record(
        key=f"k{number}", kind="train", parent=None, seed=0, position=0, settings={}, data="", environment={},
        status="failed", reason="the loss became nan",
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_is_followed_to_its_end(terminal: bool, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Terminal(file=io.StringIO(), force_terminal=terminal, width=width if terminal else None)
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
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "1 stored, 2 to run" in text
    assert "[not] markup" in text
    assert "train [number] 2: FAILED: the loss became nan" in text
    assert (progress.stored, progress.total) == (3, 3)


LABEL = "fine-tune 60 % step 3/5"


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (40, "fine-tune 6…% step 3/5 (+1) · epoch 3/30"),
        (60, "fine-tune 60 % step 3/5 (+1) · epoch 3/30 · 37 min left"),
        (80, "fine-tune 60 % step 3/5 (+1) · epoch 3/30 · 2/450 in all · 37 min left"),
        (120, "fine-tune 60 % step 3/5 (+1) · epoch 3/30 · 2/450 in all · 37 min left"),
    ],
)
def test_the_line_names_the_trial_the_epoch_and_the_time_left(
    width: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Terminal(file=io.StringIO(), force_terminal=True, width=width)
    now = [100.0]
    monkeypatch.setattr("niwaki.cli.progress.time.monotonic", lambda: now[0])
    progress = Progression(console)
    stages = [Stage(f"k{number}", "finetune", {}, None, 0, 0, 30, LABEL) for number in range(15)]
    progress.planned(Plan({s.key: s for s in stages}, []), stages)
    progress.started(stages[0])
    progress.started(stages[1])
    now[0] += 10
    for number in (1, 2):
        progress.epoch(stages[0], EpochTold("k0", number, 0.5, None))
    assert progress._bar is not None
    with console.capture() as shown:
        console.print(progress._bar.get_renderable())
    progress.stop()
    lines = (Text.from_ansi(line).plain.rstrip() for line in shown.get().splitlines())
    plain = next(line for line in lines if "(+1)" in line)
    assert plain.endswith(line)
    assert len(plain) <= width
    assert ("━" in plain) == (width == 120)


def test_a_dumb_terminal_and_a_file_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console = Terminal(file=io.StringIO(), force_terminal=True)
    progress = Progression(console)
    evil = Stage("k", "train", {}, None, 0, 0, 5, "train \x1b[2J\nlr 1, seed 0")
    progress.planned(Plan({"k": evil}, []), [evil])
    progress.started(evil)
    progress.finished(evil, failed(0))
    assert console.file.getvalue().splitlines()[-1] == (  # type: ignore[attr-defined]
        "[1/1] train \\x1b[2J\\nlr 1, seed 0: FAILED: the loss became nan"
    )


def test_shortened() -> None:
    assert _shortened("abcdefgh", 8) == "abcdefgh"
    assert _shortened("abcdefgh", 6) == "abc…gh"
    assert _shortened("abcdefgh", 5) == "ab…gh"
