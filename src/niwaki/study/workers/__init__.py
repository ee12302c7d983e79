"""Where stages run: processes on this machine, or a Ray cluster. Two adapters of one interface.

May import: study, data, errors.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from niwaki.study.stages import Outcome, Task
from niwaki.study.telling import EpochTold


class Workers(Protocol):
    """Runs stages, `slots` at a time."""

    slots: int

    def listen(self, hear: Callable[[EpochTold], None]) -> None:
        """Call `hear`, in any thread, for epochs that end; some or all may be skipped."""
        ...

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a stage. The future raises WorkerLost if the worker that ran it is gone."""
        ...

    def close(self) -> None:
        """End the workers once they are idle."""
        ...

    def drop(self) -> None:
        """End the workers now, whatever they are doing."""
        ...
