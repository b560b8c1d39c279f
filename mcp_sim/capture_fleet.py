"""The capture processes of this platform, watched one by one.

A process that dies is started again at once, and one that says nothing any more is killed; whoever
had calls on it is told, because what it had on disk is all that there is of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import structlog

from mcp_sim.recording.capture.client import CaptureClient, CaptureError
from mcp_sim.recording.capture.messages import CaptureStats
from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.disk_calls import FaultsInForce
from service_shell.log import LogSettings

_log = structlog.get_logger()
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_START_SECONDS = 60.0
_CHECK_SECONDS, _SILENT_CHECKS = 5.0, 4
"""A process tells its figures every second. So many checks in a row without any: it hangs. Checks
are counted, not seconds: a machine that stood still itself finds the figures that wait.
"""
_NOW = (
    "calls",
    "legs",
    "buffered_bytes",
    "worst_tick_lag",
    "worst_tick",
    "worst_flush",
    "worst_sync",
)
"""The fields of `CaptureStats` that say how it is now; all other numbers only grow."""

OnDeath = Callable[[CaptureClient], Awaitable[None]]


class CaptureFleet:
    """Hands out capture processes; made by `capture_fleet`."""

    def __init__(self, options: CaptureOptions, log: LogSettings, *, lock: int) -> None:
        self.deaths = 0
        self._options = options
        self._log = log
        self._lock = lock
        self._clients: list[CaptureClient] = []
        self._past: list[CaptureStats] = []
        self._on_death: OnDeath | None = None
        self._faults: FaultsInForce | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def tell_deaths(self, on_death: OnDeath) -> None:
        """Have `on_death` called with each process that ended by itself."""
        self._on_death = on_death

    async def set_faults(self, faults: FaultsInForce | None) -> None:
        """Put faults on purpose in force in all processes, and in those that start later."""
        self._faults = faults
        for client in list(self._clients):
            try:
                await client.set_faults(faults)
            except CaptureError as error:
                _log.warning("A capture process has no faults", pid=client.pid, fault=str(error))

    def choose(self) -> CaptureClient:
        """Return the process with the fewest calls. Raises `CaptureError` when none is up."""
        if not self._clients:
            raise CaptureError("no capture process is up")
        return min(self._clients, key=lambda client: len(client.calls))

    def cancel_telling(self) -> None:
        """Whoever is told of a death is not waited for any longer."""
        for task in self._telling:
            task.cancel()

    @property
    def up(self) -> list[CaptureClient]:
        """The processes that are up."""
        return list(self._clients)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that are up."""
        return [client.pid for client in self._clients]

    @property
    def legs(self) -> int:
        """How many legs the processes that are up can take together."""
        return sum(client.legs for client in self._clients)

    @property
    def stats(self) -> list[CaptureStats]:
        """The newest figures of each process that is up, and what those counted that are gone."""
        return [*self._past, *(client.stats for client in self._clients)]

    async def keep(self, group: asyncio.TaskGroup, up: asyncio.Event) -> None:
        """Keep one process up until cancelled; `up` is set when it first is."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with CaptureClient(
                    self._options, log_settings=self._log, lock=self._lock
                ) as client:
                    if self._faults is not None:
                        await client.set_faults(self._faults)
                    self._clients.append(client)
                    up.set()
                    pause = _FIRST_PAUSE
                    try:
                        await _until_gone(client)
                    finally:
                        self._clients.remove(client)
                self._bury(group, client)
            except (CaptureError, OSError) as error:
                _log.error("A capture process did not start", fault=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _bury(self, group: asyncio.TaskGroup, client: CaptureClient) -> None:
        """A process ended by itself: keep its counters, tell who had calls on it."""
        self.deaths += 1
        _log.error("A capture process ended, another one is started", pid=client.pid)
        self._past = [_sum([*self._past, client.stats])]
        if self._on_death is not None:
            told = group.create_task(self._tell(self._on_death, client), name="capture death")
            self._telling.add(told)
            told.add_done_callback(self._telling.discard)

    async def _tell(self, on_death: OnDeath, client: CaptureClient) -> None:
        try:
            await on_death(client)
        except Exception:  # noqa: BLE001 - what becomes of old calls must not cost the new ones
            _log.exception("The death of a capture process was not dealt with", pid=client.pid)


@asynccontextmanager
async def capture_fleet(
    size: int, options: CaptureOptions, log: LogSettings, *, lock: int
) -> AsyncIterator[CaptureFleet]:
    """Start `size` capture processes; at the end they write what waits, and end.

    `lock` is the descriptor of the spool's lock, which they inherit: as long as one of them writes,
    the spool is in use. Raises `CaptureError` when they do not start within a minute.
    """
    fleet = CaptureFleet(options, log, lock=lock)
    async with asyncio.TaskGroup() as group:
        ups = [asyncio.Event() for _ in range(size)]
        keepers = [group.create_task(fleet.keep(group, up), name="capture") for up in ups]
        try:
            await _all_up(ups)
            yield fleet
        finally:
            fleet.cancel_telling()
            for keeper in keepers:
                keeper.cancel()


async def _until_gone(client: CaptureClient) -> None:
    """Wait for the end of a process; one that hangs is killed."""
    heard, silent = client.stats, 0
    while not client.closed.is_set():
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await client.closed.wait()
        except TimeoutError:
            silent = silent + 1 if client.stats is heard else 0
            heard = client.stats
            if silent == _SILENT_CHECKS:
                _log.error("A capture process hung and was killed", pid=client.pid)
                client.kill()


async def _all_up(ups: list[asyncio.Event]) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            for up in ups:
                await up.wait()
    except TimeoutError:
        raise CaptureError("the capture processes did not start in time") from None


def _sum(stats: list[CaptureStats]) -> CaptureStats:
    """Return the counters of processes that are gone; nothing of them is `now`."""
    names = [f.name for f in msgspec.structs.fields(CaptureStats) if f.name not in _NOW]
    counters = [name for name in names if name != "per_call"]
    return CaptureStats(**{name: sum(getattr(s, name) for s in stats) for name in counters})
