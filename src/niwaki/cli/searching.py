"""Progress of a search: as of a run, with the best candidate so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niwaki.cli.progress import Progression, counted_work
from niwaki.reporting.terminal import Terminal

if TYPE_CHECKING:  # these load torch, which most commands do not need
    from niwaki.study.plan import Plan, Stage
    from niwaki.study.records import Record


class Searching(Progression):
    """Follows a search on a console; each part of it is planned and runs by itself."""

    def __init__(self, console: Terminal) -> None:
        super().__init__(console)
        self._best: tuple[float, str] | None = None

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """Start the bar for a part of the search."""
        self.stop()
        self.begin(plan, missing)
        epochs = sum(stage.epochs for stage in missing)
        self.message(f"{counted_work(len(missing), epochs)} to run")

    def finished(self, stage: Stage, record: Record) -> None:
        """A stage is stored; note the best network so far."""
        super().finished(stage, record)
        if record.kind == "quantize" and record.results is not None:
            found = (record.results.accuracy("validation"), stage.label)
            if self._best is None or found[0] > self._best[0]:
                self._best = found

    def line(self) -> str:
        """What runs, and the best so far."""
        best = f" · best {self._best[0]:.2f} %" if self._best else ""
        return f"{super().line()}{best}"
