"""Work that ends when a person asks for it, in order."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from reclab.stopping import run_until, stop_signals


async def test_work_that_is_done_first() -> None:
    """Its result is returned; its error is raised."""
    event = asyncio.Event()

    async def good() -> int:
        return 7

    async def bad() -> int:
        raise ValueError("no")

    assert await run_until(event, good()) == 7
    with pytest.raises(ValueError, match="no"):
        await run_until(event, bad())


async def test_work_that_is_stopped() -> None:
    """The event cancels the work, and its cleaning up is waited for."""
    event = asyncio.Event()
    done: list[str] = []

    async def work() -> int:
        try:
            event.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")
        return 7

    assert await run_until(event, work()) is None
    assert done == ["cleaned up"]


async def test_first_and_second_signal() -> None:
    """The first signal asks, the second hurries."""
    loop = asyncio.get_running_loop()
    stop = stop_signals()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(stop.asked.wait(), 5)
        assert not stop.hurried.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.hurried.wait(), 5)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)
