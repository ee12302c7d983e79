"""What hears of a run's progress, and one that hears it in silence."""

from __future__ import annotations

from typing import Protocol

from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record


class Listener(Protocol):
    """What hears of a run's progress."""

    def message(self, text: str) -> None:
        """Something the user should know."""
        ...

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """The plan is made; `missing` will run."""
        ...

    def started(self, stage: Stage) -> None:
        """A stage was given to a worker."""
        ...

    def finished(self, stage: Stage, record: Record) -> None:
        """A stage is in the store."""
        ...


class Silent:
    """Hears everything and says nothing."""

    def message(self, text: str) -> None:
        """Not shown."""

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """Not shown."""

    def started(self, stage: Stage) -> None:
        """Not shown."""

    def finished(self, stage: Stage, record: Record) -> None:
        """Not shown."""
