"""The threads that touch the disk: some for readers, some for writers, none for clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Disk:
    """Two pools, so that writers waiting for fsync leave the readers alone."""

    def __init__(self, *, read: int, write: int) -> None:
        self._readers = ThreadPoolExecutor(read, thread_name_prefix="read")
        self._writers = ThreadPoolExecutor(write, thread_name_prefix="write")

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a reader's thread."""
        return await _finished(self._readers, lambda: call(*args, **kwargs))

    async def write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a writer's thread."""
        return await _finished(self._writers, lambda: call(*args, **kwargs))

    def close(self) -> None:
        """End the threads, after what they do now."""
        self._readers.shutdown(cancel_futures=True)
        self._writers.shutdown(cancel_futures=True)


async def _finished(pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    """Await the call, to its end even when cancelled: nobody may close a file under a thread."""
    future = asyncio.get_running_loop().run_in_executor(pool, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
