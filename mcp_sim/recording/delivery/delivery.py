"""Delivery: takes what is ready in the spool to its stores and its processor, until all have it.

The disk is the queue: attempts, and when the next one is due, survive a restart. Memory holds no
more than names, times, and what the last try of each failed with.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import aiohttp
import structlog

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.consignment import Consignment, read_pending
from mcp_sim.recording.delivery.http_exchange import Exchange
from mcp_sim.recording.delivery.item import (
    CredentialsOf,
    DeliveryCredentials,
    DeliveryStats,
    ItemDelivery,
    Tried,
)
from mcp_sim.recording.delivery.traffic import CircuitRule, Ticket, Traffic
from mcp_sim.recording.delivery.waiting import Waiting
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.spool.folders import State
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
        circuits: CircuitRule | None = None,
        timeout: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`credentials` may raise `DeliveryError`. `timeout` is how long a destination may be
        silent. `now` measures, in seconds; `wall` (Unix time) tells the next process when a try is
        due. Without `circuits` pauses are as `backoff` says.
        """
        self._spool = spool
        self._concurrency = concurrency
        self._backoff = backoff or Backoff()
        self._now = now
        self._wall = wall
        self._items = ItemDelivery(
            spool,
            keyring,
            credentials,
            store=Exchange(http, "the store", timeout=timeout),
            processor=Exchange(http, "the processor", timeout=timeout),
            backoff=self._backoff,
            now=now,
            wall=wall,
        )
        self._traffic = Traffic(concurrency, circuits or CircuitRule(pause=self._backoff))
        self._waiting: dict[Consignment, Waiting] = {}
        self._running: set[Consignment] = set()
        self._held: set[str] = set()
        self._credentials_changed = False
        self._editions = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    @property
    def stats(self) -> DeliveryStats:
        """What was done since the start, and what waits."""
        stats = self._items.stats
        stats.running, stats.waiting = len(self._running), len(self._waiting)
        stats.destinations = self._traffic.open
        return stats

    def wake(self) -> None:
        """Say that something became ready, or that the time has come."""
        self._idle.clear()
        self._wake.set()

    def credentials_changed(self) -> None:
        """Say that names or passwords may be others now: what they can help is tried at once."""
        self._credentials_changed = True
        self._editions += 1
        self.wake()

    async def retry(self, names: Collection[str] | None = None) -> list[str]:
        """Let what waits be due now, all of it or the items of these names; return their names.

        Destinations that failed are probed at once.
        """
        await self._scan()
        now = self._now()
        wanted = [what for what in self._waiting if names is None or what.item in names]
        for what in wanted:
            self._waiting[what].due = min(self._waiting[what].due, now)
        self._probe_at_once()
        return list(dict.fromkeys(what.item for what in wanted))

    def hold(self, name: str) -> bool:
        """Leave an item alone until `release`, as somebody changes it on disk.

        False while a part of it is being delivered: then it must not be changed.
        """
        if any(what.item == name for what in self._running):
            return False
        self._held.add(name)
        self._waiting = {what: one for what, one in self._waiting.items() if what.item != name}
        return True

    def release(self, name: str) -> None:
        """Take an item up again, as it lies on disk now."""
        self._held.discard(name)
        self._probe_at_once()

    def _probe_at_once(self) -> None:
        for origin in self._traffic.open:
            self._traffic.probe_at_once(origin)
        self.wake()

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
                await self._reconsider()
                for what, waiting, ticket in self._startable():
                    self._running.add(what)
                    task = self._deliver(what, waiting, ticket)
                    group.create_task(task, name=f"deliver {what.item}")
                if not self._running and not self._wake.is_set():
                    self._idle.set()
                await self._sleep()

    async def _scan(self) -> None:
        """Learn of the items on disk: new ones are due when their progress says so."""
        try:
            names = await asyncio.to_thread(self._spool.items, State.READY)
            known = self._known()
            new = [name for name in names if name not in known]
            read = await asyncio.to_thread(self._read, new)
            known = self._known()  # others may have taken some up, or hold them, by now
            found = {what: item for what, item in read.items() if what.item not in known}
            for item in found.values():
                self._traffic.expect(item.route, self._now())
            self._waiting |= found
        except OSError as error:
            _log.error("The spool was not readable", reason=os.strerror(error.errno or 0).lower())

    def _known(self) -> set[str]:
        return {what.item for what in self._waiting.keys() | self._running} | self._held

    def _read(self, names: list[str]) -> dict[Consignment, Waiting]:
        # A clock that was set back must not make an item wait longer than it ever would.
        now, wall, longest = self._now(), self._wall(), self._backoff.longest
        return {
            what: Waiting(now + min(progress.next_try - wall, longest), route, progress.refused)
            for name in names
            for what, route, progress in read_pending(name, self._spool.folder(name, State.READY))
        }

    async def _reconsider(self) -> None:
        """After a change of credentials: what failed with others is due, its destinations are
        probed.
        """
        if not self._credentials_changed:
            return
        self._credentials_changed = False
        now = self._now()
        for what, item in list(self._waiting.items()):
            if item.tried is None and item.due <= now:
                continue  # it will be tried with the new ones anyway
            if item.changed_by(await self._items.credentials(what)):
                item.due = min(item.due, now)
                for origin in {item.blamed} - {""} if item.tried else item.route.origins:
                    self._traffic.probe_at_once(origin)

    def _startable(self) -> list[tuple[Consignment, Waiting, Ticket]]:
        """Take those that are due, the longest waiting first, as many as may run."""
        now = self._now()
        ready = [(what, item) for what, item in self._waiting.items() if item.due <= now]
        due = sorted(ready, key=lambda pair: (pair[1].due, pair[0].item, pair[0].part.value))
        free = self._concurrency - len(self._running)
        chosen: list[tuple[Consignment, Waiting, Ticket]] = []
        for what, item in due:
            if len(chosen) >= free:
                break
            if self._traffic.earliest(item.route, now) <= now:
                ticket = self._traffic.begin(item.route, now)
                chosen.append((what, self._waiting.pop(what), ticket))
        return chosen

    async def _sleep(self) -> None:
        """Sleep until the next item may start, a place is free, or `wake`."""
        wait = _LONGEST_WAIT
        if len(self._running) < self._concurrency:
            now = self._now()
            open_at = {
                route: self._traffic.earliest(route, now)
                for route in {item.route for item in self._waiting.values()}
            }
            next_start = min(
                (max(item.due, open_at[item.route]) for item in self._waiting.values()),
                default=math.inf,
            )
            wait = min(wait, next_start - now)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait)):
                await self._wake.wait()

    async def _deliver(self, what: Consignment, item: Waiting, ticket: Ticket) -> None:
        """Try one; whatever happens to it, the others go on."""
        tried, edition = Tried(), self._editions
        item.due = self._now() + self._backoff.longest
        try:
            tried = await self._items.try_once(what)
            if tried.next_try is not None:
                item.due, item.tried = tried.next_try, tried
                self._waiting[what] = item
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            _log.error("The spool did not serve an item", item=what.item, reason=reason)
            self._waiting[what] = item
        except Exception:  # noqa: BLE001 - no surprise with one item may end delivery as a whole
            _log.exception("A delivery ended by a fault of this program", item=what.item)
            self._waiting[what] = item
        finally:
            self._running.discard(what)
            self._settle(ticket, tried)
            # What this try failed with may have been changed while it ran.
            self._credentials_changed |= edition != self._editions
            self._wake.set()

    def _settle(self, ticket: Ticket, tried: Tried) -> None:
        """Give the slot back; what waited for a destination that works again is due."""
        now = self._now()
        for origin in self._traffic.end(ticket, now, tried.stage, tried.error):
            for item in self._waiting.values():
                if item.helped_by(origin, tried):
                    item.due = min(item.due, now)
