"""The actor to which workers on a cluster report their epochs, and from which the driver fetches them.

Light to import: it runs in its own process, beside those that train.
"""

from __future__ import annotations

import asyncio
import contextlib

from niwaki.study.telling import EpochTold

ROOM = 10_000  # for epochs that the driver has not fetched; later ones are dropped


class Letterbox:
    """An actor. Only the driver waits for it: workers leave a message and continue."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[EpochTold] = asyncio.Queue(ROOM)

    async def put(self, told: EpochTold) -> None:
        """Keep an epoch for the driver, if there is room."""
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(told)

    async def take(self) -> list[EpochTold]:
        """All waiting epochs, in order of arrival; at least one, as soon as there is one."""
        found = [await self._waiting.get()]
        while not self._waiting.empty():
            found.append(self._waiting.get_nowait())
        return found
