"""What becomes of an item when one of its consignments is settled: it stays, is done, or put aside.

Which are settled is on disk before the item moves, so that the next process goes on from there.
"""

from __future__ import annotations

import asyncio

import msgspec

from mcp_sim.recording.delivery.consignment import Consignment
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.item import Progress, SpoolItem, read_progress, write_progress
from mcp_sim.recording.spool.spool import Spool


class Settling:
    """Settles consignments of one spool, one at a time."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        # Two parts of an item may end at the same moment; one of them moves it.
        self._turn = asyncio.Lock()

    async def arrived(self, consignment: Consignment, item: SpoolItem, progress: Progress) -> None:
        """A part is where it belongs. Raises `OSError`."""
        async with self._turn:
            await asyncio.to_thread(self._settle, consignment, item, progress)

    async def give_up(
        self, consignment: Consignment, item: SpoolItem | None, progress: Progress, reason: str
    ) -> None:
        """A part can never arrive; without `item` nothing of it can be read. Raises `OSError`."""
        given_up = msgspec.structs.replace(progress, given_up=reason)
        async with self._turn:
            if item is None:
                await asyncio.to_thread(self._spool.fail, consignment.item, reason)
            else:
                await asyncio.to_thread(self._settle, consignment, item, given_up)

    def _settle(self, consignment: Consignment, item: SpoolItem, progress: Progress) -> None:
        name, folder = consignment.item, self._spool.folder(consignment.item, State.READY)
        settled = {part: read_progress(folder, part) for part in item.parts}
        settled[consignment.part] = msgspec.structs.replace(progress, settled=True)
        if len(item.parts) > 1 or progress.given_up:  # a retry has to know what was stored
            write_progress(folder, settled[consignment.part], consignment.part)
        if not all(progress.settled for progress in settled.values()):
            return
        reasons = [progress.given_up for progress in settled.values() if progress.given_up]
        if reasons:
            self._spool.fail(name, "; ".join(reasons))
        else:
            self._spool.finish(name)
