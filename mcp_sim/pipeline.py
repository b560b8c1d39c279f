"""From the end of a call to its delivery: captured → rendered → handed to delivery.

At start the same way serves what an earlier process left behind: recordings that it was capturing
or rendering are rendered anew from their journals, what was ready is delivered.
"""

from __future__ import annotations

import asyncio

import structlog

from mcp_sim.recording.delivery import Delivery, DeliveryStats
from mcp_sim.recording.render_pool import RenderPool, RenderStats
from mcp_sim.recording.spool import Spool
from mcp_sim.recording.spool_folders import State

_log = structlog.get_logger()


class Pipeline:
    """Takes finished captures; `run` drives delivery until cancelled."""

    def __init__(self, spool: Spool, renders: RenderPool, delivery: Delivery) -> None:
        self._spool = spool
        self._renders = renders
        self._delivery = delivery
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

    async def recover(self) -> int:
        """Take up what an earlier process left; return how many journals are rendered again."""
        left = await asyncio.to_thread(self._spool.recover)
        for item in left:
            _log.info("A recording of an earlier process was taken up", item=item)
            self._begin(item)
        return len(left)

    async def captured(self, item: str) -> None:
        """The journal of `item` is complete on disk: render and deliver it."""
        await asyncio.to_thread(self._spool.advance, item, State.RENDERING)
        self._begin(item)

    async def drain(self, grace: float) -> None:
        """Finish renders and deliveries within `grace` seconds; the rest stays in the spool."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        if self._rendering:
            await asyncio.wait(set(self._rendering), timeout=grace)
        await self._delivery.drain(max(0.0, end - loop.time()))

    def _begin(self, item: str) -> None:
        task = asyncio.create_task(self._render(item), name=f"render {item}")
        self._rendering.add(task)
        task.add_done_callback(self._rendering.discard)

    async def _render(self, item: str) -> None:
        if await self._renders.render(item):
            self._delivery.wake()
