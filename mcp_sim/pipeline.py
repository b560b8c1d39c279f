"""From the end of a call to its delivery: captured → rendered → handed to delivery.

At start the same way serves what an earlier process left behind: recordings that it was capturing
or rendering are rendered anew from their journals, what was ready is delivered.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.delivery import Delivery, DeliveryStats
from mcp_sim.recording.render.pool import RenderPool, RenderStats
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.spool import Spool

_log = structlog.get_logger()


class Pipeline:
    """Takes finished captures while it is `running`. Nothing of it raises: the disk is the queue,
    and what cannot be done now is taken up by the next start.
    """

    def __init__(
        self,
        spool: Spool,
        renders: RenderPool,
        delivery: Delivery,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        """`backoff` serves a disk that does not let an item move."""
        self._spool = spool
        self._renders = renders
        self._delivery = delivery
        self._backoff = backoff or Backoff(first=1.0, longest=60.0)
        self._group: asyncio.TaskGroup | None = None
        self._rendering: set[asyncio.Task[None]] = set()

    @property
    def rendering(self) -> int:
        """How many recordings wait for their render, or are in it."""
        return len(self._rendering)

    @property
    def renders(self) -> RenderStats:
        """What the render workers have done since the start."""
        return self._renders.stats

    @property
    def deliveries(self) -> DeliveryStats:
        """What was delivered since the start."""
        return self._delivery.stats

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver, and render what an earlier process left; the end cancels what is under way."""
        left = await asyncio.to_thread(self._spool.recover)
        async with asyncio.TaskGroup() as group:
            self._group = group
            delivering = group.create_task(self._delivery.run(), name="delivery")
            for item in left:
                _log.info("A recording of an earlier process was taken up", item=item)
                self.captured(item)
            try:
                yield
            finally:
                self._group = None
                for task in (delivering, *self._rendering):
                    task.cancel()

    def captured(self, item: str) -> None:
        """The journal of `item` is complete on disk: render and deliver it."""
        if self._group is None:
            _log.warning("A recording was left for the next start", item=item)
            return
        task = self._group.create_task(self._render(item), name=f"render {item}")
        self._rendering.add(task)
        task.add_done_callback(self._rendering.discard)

    @property
    def delivery(self) -> Delivery:
        """What brings recordings to their destinations."""
        return self._delivery

    async def drain(self, grace: float) -> None:
        """Finish renders and deliveries within `grace` seconds; the rest stays in the spool."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        if self._rendering:
            await asyncio.wait(set(self._rendering), timeout=grace)
        await self._delivery.drain(max(0.0, end - loop.time()))

    async def _render(self, item: str) -> None:
        try:
            await self._advance(item)
            if await self._renders.render(item):
                self._delivery.wake()
        except Exception:  # noqa: BLE001 - one recording's fault must not end those of others
            _log.exception("A recording was left for the next start", item=item)

    async def _advance(self, item: str) -> None:
        """Move the item on as soon as the disk lets it."""
        tries = 0
        while True:
            try:
                await asyncio.to_thread(self._spool.advance, item, State.RENDERING)
                return
            except FileNotFoundError:
                raise
            except OSError as error:
                tries += 1
                reason = os.strerror(error.errno or 0).lower()
                _log.warning("A captured recording could not be moved", item=item, reason=reason)
                await asyncio.sleep(self._backoff.delay(tries))
