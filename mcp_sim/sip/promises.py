"""Futures for the outcomes of requests, so that no waiter is left behind when the agent closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from .errors import CallGone

Outcome = TypeVar("Outcome")


class Promises(Generic[Outcome]):
    """The outcomes that somebody waits for."""

    def __init__(self) -> None:
        self._open: set[asyncio.Future[Outcome]] = set()

    def make(self) -> tuple[asyncio.Future[Outcome], Callable[[Outcome, float], None]]:
        """A future, and the callback (outcome, now) that settles it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._open.add(future)
        future.add_done_callback(self._open.discard)

        def done(outcome: Outcome, now: float) -> None:
            if not future.done():
                future.set_result(outcome)

        return future, done

    def close(self) -> None:
        """Tell everybody who still waits that the agent is closed."""
        for future in list(self._open):
            if not future.done():
                future.set_exception(CallGone("the SIP agent is closed"))
