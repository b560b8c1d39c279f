"""Changes of one name come one after the other, so that a condition and its change are one step.

Waiting for a name holds no thread. Names that nobody changes cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class PathLocks:
    """One lock per path, for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, *paths: str) -> AsyncIterator[None]:
        """Hold all `paths`, taken in one order everywhere: no two holders wait in a ring."""
        async with AsyncExitStack() as stack:
            for path in sorted({path.rstrip("/") for path in paths}):
                await stack.enter_async_context(self._hold_one(path))
            yield

    @asynccontextmanager
    async def _hold_one(self, path: str) -> AsyncIterator[None]:
        lock, holders = self._locks.get(path, (asyncio.Lock(), 0))
        self._locks[path] = (lock, holders + 1)
        try:
            async with lock:
                yield
        finally:
            lock, holders = self._locks.pop(path)
            if holders > 1:
                self._locks[path] = (lock, holders - 1)
