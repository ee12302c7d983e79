"""Listeners that follow a run's progress: a silent one, and one that logs it and calls callbacks."""

from __future__ import annotations

import logging
from typing import Protocol

from niwaki.callbacks.events import Callbacks, EpochEnd, StageEnd
from niwaki.study.plan import Plan, Stage
from niwaki.study.records import Record, Results
from niwaki.study.telling import EpochTold

_log = logging.getLogger("niwaki.study")


class Listener(Protocol):
    """Follows a run's progress."""

    def message(self, text: str) -> None:
        """A message for the user."""
        ...

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """The plan is made; `missing` will run."""
        ...

    def started(self, stage: Stage) -> None:
        """A stage was given to a worker."""
        ...

    def epoch(self, stage: Stage, told: EpochTold) -> None:
        """An epoch of a stage has ended."""
        ...

    def finished(self, stage: Stage, record: Record) -> None:
        """A stage is in the store."""
        ...


class Silent:
    """Ignores everything."""

    def message(self, text: str) -> None:
        """Ignored."""

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """Ignored."""

    def started(self, stage: Stage) -> None:
        """Ignored."""

    def epoch(self, stage: Stage, told: EpochTold) -> None:
        """Ignored."""

    def finished(self, stage: Stage, record: Record) -> None:
        """Ignored."""


class Announcer:
    """Writes to the logger `niwaki.study`, calls callbacks, and passes everything on to another listener."""

    def __init__(self, callbacks: Callbacks, listener: Listener) -> None:
        self._callbacks, self._listener = callbacks, listener
        self._done, self._total = 0, 0

    def message(self, text: str) -> None:
        """Log it."""
        _log.info("%s", text)
        self._listener.message(text)

    def planned(self, plan: Plan, missing: list[Stage]) -> None:
        """Remember how much there is to do."""
        self._total = len(plan.stages)
        self._done = self._total - len(missing)
        _log.info("%d of %d stages are stored", self._done, self._total)
        self._listener.planned(plan, missing)

    def started(self, stage: Stage) -> None:
        """Log it."""
        _log.debug("%s: started", stage.label)
        self._listener.started(stage)

    def epoch(self, stage: Stage, told: EpochTold) -> None:
        """Pass an epoch to the callbacks; a listener written before epochs were reported need not have the method."""
        accuracy = told.validation_accuracy
        _log.debug("%s: epoch %d/%d: loss %.4f", stage.label, told.number, stage.epochs, told.loss)
        if hear := getattr(self._listener, "epoch", None):
            hear(stage, told)
        event = EpochEnd(stage.label, stage.position, told.number, stage.epochs, told.loss, accuracy)
        self._callbacks.on_epoch(event)

    def finished(self, stage: Stage, record: Record) -> None:
        """Pass a stage to the callbacks."""
        self._done += 1
        _log.info("%s: %s", stage.label, record.reason or record.results)
        self._listener.finished(stage, record)
        results = record.results
        notes = results.notes if results else ()
        self._callbacks.on_stage(
            StageEnd(stage.label, stage.position, self._done, self._total, metrics_of(results), notes, record.reason)
        )


def metrics_of(results: Results | None) -> dict[str, float]:
    """The metrics of a stage for callbacks; none for one that failed."""
    if results is None:
        return {}
    return {
        "validation_accuracy": results.accuracy("validation"),
        "test_accuracy": results.accuracy("test"),
        "params": results.params,
        "macs": results.macs,
        "bytes": sum(results.bytes.values()),
        **({"removed": sum(results.removed.values())} if results.removed is not None else {}),
    }
