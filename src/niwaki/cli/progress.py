"""What a run shows while it goes: a bar with the time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft

from niwaki.device.text import counted
from niwaki.reporting.terminal import Terminal

if TYPE_CHECKING:  # they load torch, which most commands do without
    from niwaki.study.plan import Plan, Stage
    from niwaki.study.records import Record

NARROW, WIDE, BAR = 72, 110, 30  # columns


class Progression:
    """Follows a run on a console (standard error, so that output stays clean)."""

    def __init__(self, console: Terminal) -> None:
        self.console = console
        self.stored, self.total = 0, 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._running: dict[str, Stage] = {}
        self._begun = 0.0
        self._epochs = [0, 0]  # done, in all
        self._beside = 0  # columns that the bar's line has beside the name of the stage

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, markup=False)

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """Say what will be done and start the bar."""
        self.total = len(plan.stages)
        self.stored = self.total - len(missing)
        asked, shared, longer = plan.requested, plan.unique, plan.longer
        self._epochs[1] = sum(stage.epochs for stage in missing)
        self._begun = time.monotonic()
        self.message(
            f"{counted(len(plan.own), 'trial')} {'asks' if len(plan.own) == 1 else 'ask'} for {_work(*asked)}; shared, "
            f"{'this is' if shared[0] == 1 else 'these are'} {_work(*shared)}; "
            + (f"to train the unpruned network on, {_work(*longer)} more; " if longer[0] else "")
            + f"{counted(self.stored, 'stage')} {'is' if self.stored == 1 else 'are'} stored, {len(missing)} to run"
        )
        if missing and self.console.is_interactive:
            self._bar = Progress(*self._columns(), console=self.console, transient=True)
            self._task = self._bar.add_task("starting", total=max(self._epochs[1], 1))
            self._bar.start()

    def started(self, stage: Stage) -> None:
        """A stage is running."""
        self._running[stage.key] = stage
        self._describe()

    def finished(self, stage: Stage, record: Record) -> None:
        """A stage is stored: move the bar, or print a line."""
        self._running.pop(stage.key, None)
        self.stored += 1
        self._epochs[0] += stage.epochs
        if record.results is None:
            self.message(f"[{self.stored}/{self.total}] {stage.label}: FAILED: {record.reason}")
        elif self._bar is None:
            accuracy = record.results.accuracy("validation")
            self.message(f"[{self.stored}/{self.total}] {stage.label}: validation {accuracy:.2f} %{self._left()}")
        for note in record.results.notes if record.results else ():
            self.message(f"    {note}")
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=stage.epochs)
            self._describe()
            if self.stored == self.total:
                self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _describe(self) -> None:
        if self._bar is not None and self._task is not None:
            stages = list(self._running.values())
            more = f" (+{len(stages) - 1})" if len(stages) > 1 else ""
            room = max(self.console.width - self._beside - len(more), 12)
            label = _shortened(self.console.shown(stages[0].label), room) if stages else ""
            self._bar.update(self._task, description=f"{escape(label)}{more}")

    def _columns(self) -> list[ProgressColumn]:
        """What stands in the bar's line; where that is short, the stage and how far it is."""
        epochs: list[ProgressColumn] = [MofNCompleteColumn(), TextColumn("epochs")]
        left: list[ProgressColumn] = [TextColumn("left"), TimeLeft()]
        stage, wide = TextColumn("{task.description}"), self.console.width
        self._beside = 2 * len(str(self._epochs[1])) + len("/ epochs ") + 1
        if wide < NARROW:
            return [stage, *epochs]
        self._beside += len(" left 0:00:00")
        if wide < WIDE:
            return [stage, *epochs, *left]
        self._beside += BAR + 1 + len(" 0:00:00")
        return [stage, BarColumn(BAR), *epochs, TimeElapsedColumn(), *left]

    def _left(self) -> str:
        done, all_ = self._epochs
        if not done or done == all_:
            return ""
        seconds = (time.monotonic() - self._begun) / done * (all_ - done)
        return f"; about {seconds / 60:.0f} min left" if seconds >= 90 else f"; about {seconds:.0f} s left"


def _shortened(label: str, room: int) -> str:
    """A label with its beginning, which is what is done, and its end, which is for whom."""
    if len(label) <= room:
        return label
    end = (room - 1) // 2
    return f"{label[: room - 1 - end]}…{label[len(label) - end :]}"


def _work(stages: int, epochs: int) -> str:
    return f"{counted(stages, 'stage')}, {counted(epochs, 'epoch')}"
