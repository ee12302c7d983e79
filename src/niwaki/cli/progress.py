"""Progress of a run: in a terminal a line with the time left, elsewhere plain lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.text import Text

from niwaki.device.text import counted
from niwaki.reporting.terminal import Terminal

if TYPE_CHECKING:  # these load torch, which most commands do not need
    from niwaki.study.plan import Plan, Stage
    from niwaki.study.records import Record
    from niwaki.study.telling import EpochTold

SHORT, NARROW, WIDE, BAR = 50, 72, 100, 20  # columns


class Progression:
    """Follows a run on a console (standard error, so that the output stays clean)."""

    def __init__(self, console: Terminal) -> None:
        self.console = console
        self.stored, self.total = 0, 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._running: dict[str, Stage] = {}
        self._ended: dict[str, int] = {}  # epochs of the running stages
        self._begun = 0.0
        self._epochs = [0, 0]  # of finished stages, in total

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, markup=False)

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """Print what will be done and start the bar."""
        asked, shared, longer = plan.requested, plan.unique, plan.longer
        self.message(
            f"{counted(len(plan.own), 'trial')}: {counted_work(*shared)}"
            + (f" ({counted_work(*asked)} without sharing)" if asked != shared else "")
            + (f", and {counted_work(*longer)} to train the unpruned network longer" if longer[0] else "")
            + f"; {len(plan.stages) - len(missing)} stored, {len(missing)} to run"
        )
        self.begin(plan, missing)

    def begin(self, plan: Plan, missing: list[Stage]) -> None:
        """Start the bar for the stages that are missing of a plan."""
        self.total = len(plan.stages)
        self.stored = self.total - len(missing)
        self._epochs = [0, sum(stage.epochs for stage in missing)]
        self._begun = time.monotonic()
        if missing and self.console.is_interactive:
            bar: list[ProgressColumn] = [BarColumn(BAR)] if self.console.width >= WIDE else []
            self._bar = Progress(*bar, _Line(self), console=self.console, transient=True, refresh_per_second=4)
            self._task = self._bar.add_task("", total=max(self._epochs[1], 1))
            self._bar.start()

    def started(self, stage: Stage) -> None:
        """A stage started."""
        self._running[stage.key] = stage

    def epoch(self, stage: Stage, told: EpochTold) -> None:
        """An epoch of a stage ended: advance the bar."""
        self._ended[stage.key] = told.number
        self._move()

    def finished(self, stage: Stage, record: Record) -> None:
        """A stage is stored: advance the bar, or print a line."""
        self._running.pop(stage.key, None)
        self._ended.pop(stage.key, None)
        self.stored += 1
        self._epochs[0] += stage.epochs
        if record.results is None:
            self.message(f"[{self.stored}/{self.total}] {stage.label}: FAILED: {record.reason}")
        elif self._bar is None:
            accuracy = record.results.accuracy("validation")
            left = f"; {said}" if (said := self._left()) else ""
            self.message(f"[{self.stored}/{self.total}] {stage.label}: validation {accuracy:.2f} %{left}")
        for note in record.results.notes if record.results else ():
            self.message(f"    {note}")
        self._move()
        if self._bar is not None and self.stored == self.total:
            self.stop()

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def line(self) -> str:
        """What runs and how far it is, cut to the width: `fine-tune 60 % step 3/5 · epoch 2/5 · 41 s left`."""
        room = self.console.width - (BAR + 1 if self.console.width >= WIDE else 0)
        stages = list(self._running.values())
        if not stages:
            return "starting"
        first = stages[0]
        parts = [f"epoch {min(self._ended.get(first.key, 0) + 1, first.epochs)}/{first.epochs}"] if first.epochs else []
        parts += [f"{self._done}/{self._epochs[1]} in all"] if self.console.width >= NARROW and self._epochs[1] else []
        parts += [left] if self.console.width >= SHORT and (left := self._left()) else []
        rest = "".join(f" · {part}" for part in parts)
        more = f" (+{len(stages) - 1})" if len(stages) > 1 else ""
        label = _shortened(self.console.shown(first.label), max(room - len(rest) - len(more), 12))
        return f"{label}{more}{rest}"

    @property
    def _done(self) -> int:
        return self._epochs[0] + sum(self._ended.values())

    def _move(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done)

    def _left(self) -> str:
        """The estimated time until all epochs are trained; empty before the first one."""
        done, all_ = self._done, self._epochs[1]
        return f"{_time((time.monotonic() - self._begun) / done * (all_ - done))} left" if 0 < done < all_ else ""


class _Line(ProgressColumn):
    """The line of a run, built again whenever it is drawn."""

    def __init__(self, progression: Progression) -> None:
        super().__init__()
        self._progression = progression

    def render(self, _task: Task) -> Text:
        """The line in its current state."""
        return Text(self._progression.line(), no_wrap=True, overflow="ellipsis")


def _time(seconds: float) -> str:
    """A duration in its two largest units.

    >>> _time(41.4), _time(95), _time(3_900), _time(90_000)
    ('41 s', '2 min', '1 h 5 min', '25 h')
    """
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"


def _shortened(label: str, room: int) -> str:
    """A label cut in the middle: its start says what is done, its end for which trial."""
    if len(label) <= room:
        return label
    end = (room - 1) // 2
    return f"{label[: room - 1 - end]}…{label[len(label) - end :]}"


def counted_work(stages: int, epochs: int) -> str:
    """Stages and epochs in words."""
    return f"{counted(stages, 'stage')}, {counted(epochs, 'epoch')}"
