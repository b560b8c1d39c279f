"""The capture processes of this platform, watched one by one.

A process that dies is started again; its calls are told, because what it had on disk is all that
there is of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from mcp_sim.recording.capture_client import CaptureClient, CaptureError, CaptureFullError
from mcp_sim.recording.capture_messages import CaptureStats
from mcp_sim.recording.capture_options import CaptureOptions
from service_shell.log import LogSettings

_log = structlog.get_logger()
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0

OnDeath = Callable[[CaptureClient], Awaitable[None]]


class CaptureFleet:
    """Hands out capture processes; made by `capture_fleet`."""

    def __init__(self, size: int) -> None:
        self._clients: list[CaptureClient | None] = [None] * size
        self.deaths = 0

    def choose(self) -> CaptureClient:
        """Return the process with the fewest legs. Raises `CaptureFullError` when none is up."""
        alive = [c for c in self._clients if c is not None and not c.closed.is_set()]
        if not alive:
            raise CaptureFullError("no capture process is up")
        return min(alive, key=lambda client: client.stats.legs)

    @property
    def alive(self) -> int:
        """How many processes are up."""
        return sum(1 for c in self._clients if c is not None and not c.closed.is_set())

    @property
    def legs(self) -> int:
        """How many legs all processes together can take."""
        return sum(c.legs for c in self._clients if c is not None)

    @property
    def stats(self) -> list[CaptureStats]:
        """The newest figures of each process that is up."""
        return [c.stats for c in self._clients if c is not None]

    async def keep(
        self,
        slot: int,
        options: CaptureOptions,
        log: LogSettings,
        up: asyncio.Event,
        on_death: OnDeath,
        lock: int,
    ) -> None:
        """Keep one process up until cancelled; `up` is set when it first is."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with CaptureClient(options, log_settings=log, lock=lock) as client:
                    self._clients[slot] = client
                    up.set()
                    pause = _FIRST_PAUSE
                    await client.closed.wait()
                    self._clients[slot] = None
                    self.deaths += 1
                    _log.error("A capture process ended and was started again", pid=client.pid)
                    await on_death(client)
            except (CaptureError, OSError) as error:
                _log.error("A capture process did not start", fault=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


@asynccontextmanager
async def capture_fleet(
    size: int, options: CaptureOptions, log: LogSettings, on_death: OnDeath, lock: int
) -> AsyncIterator[CaptureFleet]:
    """Start `size` capture processes; at the end they write what waits, and end.

    `lock` is the descriptor of the spool's lock, which they inherit: as long as one of them writes,
    the spool is in use.
    """
    fleet = CaptureFleet(size)
    ups = [asyncio.Event() for _ in range(size)]
    tasks = [
        asyncio.create_task(
            fleet.keep(slot, options, log, up, on_death, lock), name=f"capture {slot}"
        )
        for slot, up in enumerate(ups)
    ]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(up.wait() for up in ups))
        yield fleet
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
