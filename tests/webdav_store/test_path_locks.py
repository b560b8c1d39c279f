"""Locks on paths: one holder at a time, no rings, nothing kept."""

from __future__ import annotations

import asyncio

from webdav_store.path_locks import PathLocks


async def test_one_path_has_one_holder() -> None:
    """A second holder waits for the first; another path does not."""
    locks = PathLocks()
    order: list[str] = []
    first_holds, first_may_go = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with locks.hold("/a/"):
            first_holds.set()
            await first_may_go.wait()
            order.append("first")

    async def second() -> None:
        await first_holds.wait()
        async with locks.hold("/b"):
            order.append("other path")
        first_may_go.set()
        async with locks.hold("/a"):
            order.append("second")

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(first())
        group.create_task(second())
    assert order == ["other path", "first", "second"]


async def test_two_paths_in_any_order_do_not_wait_in_a_ring() -> None:
    """A MOVE there and a MOVE back at the same time both come through."""
    locks = PathLocks()

    async def move(source: str, target: str) -> None:
        for _ in range(50):
            async with locks.hold(source, target):
                await asyncio.sleep(0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(move("/a", "/b"))
        group.create_task(move("/b", "/a"))
    assert len(locks) == 0


async def test_a_waiter_that_gives_up_leaves_nothing() -> None:
    """A cancelled request does not keep a path's lock alive or taken."""
    locks = PathLocks()
    async with locks.hold("/a"):
        waiter = asyncio.ensure_future(_hold_once(locks))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.wait([waiter])
    async with asyncio.timeout(10):
        await _hold_once(locks)
    assert len(locks) == 0


async def _hold_once(locks: PathLocks) -> None:
    async with locks.hold("/a"):
        pass
