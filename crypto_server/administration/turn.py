"""Changes take turns; who waits for too long is told so instead of waiting on."""

from __future__ import annotations

import asyncio
from types import TracebackType

from crypto_server.administration.errors import TooMuchAtOnce

_SECONDS = 60.0


class Turn:
    """``async with turn:`` is one change at a time. Raises `TooMuchAtOnce` after `seconds`."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise TooMuchAtOnce("another change is still going on: try again later") from None

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._lock.release()
