"""How late the event loop is: a small task that wants to wake up ten times a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

INTERVAL = 0.1


class LoopLag:
    """Samples the loop that `run` runs on. `clock` (monotonic seconds) and `sleep` are for tests.

    A loop that is late answers late: whatever waits for it waits as long as this sampler did.
    """

    def __init__(
        self,
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._worst = 0.0

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            due = self._clock() + self._interval
            await self._sleep(self._interval)
            self._worst = max(self._worst, self._clock() - due)

    def take_worst(self) -> float:
        """Return the worst lateness in seconds since the last asking."""
        worst, self._worst = self._worst, 0.0
        return worst
