"""A listener for runs that nobody watches."""

from __future__ import annotations

from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record


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
