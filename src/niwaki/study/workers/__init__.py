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
    """Something that runs stages, `slots` at a time."""

    slots: int

    def listen(self, hear: Callable[[EpochTold], None]) -> None:
        """Call `hear`, in any thread, for epochs that end; some or all may be left out."""
        ...

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a stage. The future raises WorkerLost if whoever ran it went away."""
        ...

    def close(self) -> None:
        """End the workers once they are idle."""
        ...

    def drop(self) -> None:
        """End the workers now, with whatever they are doing."""
        ...
