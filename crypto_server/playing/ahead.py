"""Making the next item of a sequence while the last one is being used.

One item ahead and no more, so that memory does not grow when the one who takes them is slow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar


class Item(Protocol):
    """One of a sequence; the last one knows that it is."""

    @property
    def last(self) -> bool:
        """Whether none follows."""
        ...


ItemT = TypeVar("ItemT", bound=Item)


class Ahead(Generic[ItemT]):
    """Gives what `make` makes, in order. `close` is to be called however it ends."""

    def __init__(self, make: Callable[[], Awaitable[ItemT]]) -> None:
        self._make = make
        self._task: asyncio.Task[ItemT] | None = None

    async def next(self) -> ItemT:
        """Return the next item, and begin with the one after it; raises what `make` raised."""
        item = await (self._task or self._begin())
        self._task = None if item.last else self._begin()
        return item

    async def close(self) -> None:
        """Stop the item that is being made."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _begin(self) -> asyncio.Task[ItemT]:
        self._task = asyncio.create_task(self._once(), name="reading ahead")
        return self._task

    async def _once(self) -> ItemT:
        return await self._make()
