"""How a command is told to stop: once to end in order, twice to end at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended before it was through."""


class Stop(NamedTuple):
    """`asked` is set by the first SIGTERM or SIGINT, `hurried` by the second."""

    asked: asyncio.Event
    hurried: asyncio.Event


def stop_signals() -> Stop:
    """Let SIGTERM and SIGINT set the returned events, in place of ending the process at once."""
    stop = Stop(asyncio.Event(), asyncio.Event())

    def heard() -> None:
        (stop.hurried if stop.asked.is_set() else stop.asked).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard)
    return stop


async def run_until(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns, or None after `event`, which cancels it."""
    task = asyncio.create_task(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    return None if task.cancelled() else task.result()
