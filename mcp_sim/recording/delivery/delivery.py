"""Delivery: takes what is ready in the spool to its store and its processor, until both have it.

The disk is the queue: attempts, and when the next one is due, survive a restart. Memory holds no
more than names and times.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import structlog

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.http_exchange import Exchange
from mcp_sim.recording.delivery.item import (
    CredentialsOf,
    DeliveryCredentials,
    DeliveryStats,
    ItemDelivery,
)
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.item import read_progress
from mcp_sim.recording.spool.spool import Spool

__all__ = ["Delivery", "DeliveryCredentials", "DeliveryStats"]

_log = structlog.get_logger()

_LONGEST_WAIT = 60.0


class Delivery:
    """Delivers the items of one spool. `run` does the work; `wake` tells it of new items."""

    def __init__(
        self,
        spool: Spool,
        http: aiohttp.ClientSession,
        credentials: CredentialsOf,
        *,
        keyring: SpoolKeyring,
        concurrency: int = 8,
        backoff: Backoff | None = None,
        timeout: float = 30.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`credentials` may raise `DeliveryError`. `timeout` is how long a destination may be
        silent, `now` the wall clock in seconds.
        """
        self._spool = spool
        self._concurrency = concurrency
        self._backoff = backoff or Backoff()
        self._now = now
        self._items = ItemDelivery(
            spool,
            keyring,
            credentials,
            store=Exchange(http, "the store", timeout=timeout),
            processor=Exchange(http, "the processor", timeout=timeout),
            backoff=self._backoff,
            now=now,
        )
        self._due: dict[str, float] = {}
        self._running: set[str] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    @property
    def stats(self) -> DeliveryStats:
        """What was done since the start, and what waits."""
        stats = self._items.stats
        stats.running, stats.waiting = len(self._running), len(self._due)
        return stats

    def wake(self) -> None:
        """Say that something became ready, or that the time has come."""
        self._idle.clear()
        self._wake.set()

    async def drain(self, grace: float) -> bool:
        """Wait until nothing is due any more, at most `grace` seconds; return whether it is so."""
        self.wake()
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                await self._scan()
                for item in self._startable():
                    self._running.add(item)
                    group.create_task(self._deliver(item), name=f"deliver {item}")
                if not self._running and not self._wake.is_set():
                    self._idle.set()
                await self._sleep()

    async def _scan(self) -> None:
        """Learn of the items on disk: new ones are due when their progress says so."""
        try:
            names = await asyncio.to_thread(self._spool.items, State.READY)
            new = [name for name in names if name not in self._due and name not in self._running]
            self._due |= await asyncio.to_thread(self._read_due, new)
        except OSError as error:
            _log.error("The spool was not readable", reason=os.strerror(error.errno or 0).lower())

    def _read_due(self, names: list[str]) -> dict[str, float]:
        # A clock that was set back must not make an item wait longer than it ever would.
        latest = self._now() + self._backoff.longest
        folders = {name: self._spool.folder(name, State.READY) for name in names}
        return {
            name: min(read_progress(folder).next_try, latest) for name, folder in folders.items()
        }

    def _startable(self) -> list[str]:
        """Take the items that are due, the longest waiting first, as many as may run."""
        now = self._now()
        due = sorted((at, name) for name, at in self._due.items() if at <= now)
        chosen = [name for _, name in due[: max(0, self._concurrency - len(self._running))]]
        for name in chosen:
            del self._due[name]
        return chosen

    async def _sleep(self) -> None:
        """Sleep until the next item is due, a place is free, or `wake`."""
        wait = _LONGEST_WAIT
        if len(self._running) < self._concurrency:
            wait = min(wait, min(self._due.values(), default=self._now() + wait) - self._now())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait)):
                await self._wake.wait()

    async def _deliver(self, name: str) -> None:
        """Try one item; whatever happens to it, the others go on."""
        try:
            next_try = await self._items.try_once(name)
            if next_try is not None:
                self._due[name] = next_try
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            _log.error("The spool did not serve an item", item=name, reason=reason)
            self._due[name] = self._now() + self._backoff.longest
        except Exception:  # noqa: BLE001 - no surprise with one item may end delivery as a whole
            _log.exception("A delivery ended by a fault of this program", item=name)
            self._due[name] = self._now() + self._backoff.longest
        finally:
            self._running.discard(name)
            self._wake.set()
