"""The render workers: a few child processes, each supervised by itself.

A worker that crashes costs one try of one recording and disturbs no other. A recording whose render
crashes twice is put aside with its journal, for a person to look at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

import msgspec
import structlog

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.disk_calls import FaultsInForce
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.messages import (
    RenderAnswer,
    RenderEmpty,
    RenderPostponed,
    RenderRefused,
    RenderSettings,
    RenderSummary,
    WorkerOptions,
)
from mcp_sim.recording.render.process import RenderProcess, WorkerDiedError
from mcp_sim.recording.spool.durable import write_file
from mcp_sim.recording.spool.folders import CRASHES, JOURNAL, State
from mcp_sim.recording.spool.spool import Spool
from service_shell.log import LogSettings

_log = structlog.get_logger()

MAX_CRASHES = 2
_SECONDS_ALWAYS = 60.0
_BYTES_PER_SECOND = 1_000_000


class RenderStats(msgspec.Struct):
    """Counted since the start. `waiting` and `busy` are now; seconds are the workers' own."""

    waiting: int = 0
    busy: int = 0
    rendered: int = 0
    recovered: int = 0
    failed: int = 0
    empty: int = 0
    crashes: int = 0
    postponed: int = 0
    packets: int = 0
    lost: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class RenderFaults(Protocol):
    """Who breaks renders on purpose."""

    @property
    def in_force(self) -> FaultsInForce | None:
        """The faults that a worker's disk has now."""

    def crashes(self, item: str) -> bool:
        """Whether this render's worker shall die in the middle of it."""


class RenderPool:
    """Renders items of a spool; alive within ``async with``."""

    def __init__(
        self,
        spool: Spool,
        keyring: SpoolKeyring,
        *,
        workers: int = 2,
        settings: RenderSettings | None = None,
        log_settings: LogSettings | None = None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        faults: RenderFaults | None = None,
    ) -> None:
        """`backoff` and `sleep` serve renders that the disk refused, `faults` break renders."""
        options = WorkerOptions(
            str(spool.root),
            keyring.to_text(),
            settings or RenderSettings(),
            log_settings or LogSettings(),
        )
        self._spool = spool
        self._backoff = backoff or Backoff(first=2.0, longest=60.0)
        self._sleep = sleep
        self._faults = faults
        self._workers = [
            RenderProcess(options, lock=spool.lock_descriptor) for _ in range(max(1, workers))
        ]
        self._idle: asyncio.LifoQueue[RenderProcess] = asyncio.LifoQueue()
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self.stats = RenderStats()

    async def __aenter__(self) -> Self:
        try:
            for worker in self._workers:
                # One that died at once costs no start: it is started again when it is needed.
                with suppress(BrokenPipeError):
                    await worker.start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._stop()

    @property
    def pids(self) -> list[int]:
        """The worker processes that run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def render(self, item: str) -> bool:
        """Render what lies in ``rendering``; return whether it is ready to be delivered now.

        False: it was put aside, or there was nothing to be rendered. While the disk refuses, it is
        tried again and again; cancelled, it stays where it is, for the next start.
        """
        tries = 0
        while True:
            try:
                state = await asyncio.to_thread(self._spool.state_of, item)
                if state is not State.RENDERING:  # a worker may die behind its last rename
                    return state is State.READY
                answer = await self._ask(item)
                if not isinstance(answer, RenderPostponed):
                    return await asyncio.to_thread(self._settle, item, answer)
                reason = answer.reason
            except WorkerDiedError as error:
                self.stats.crashes += 1
                _log.error("A render worker died", item=item, reason=str(error))
                continue
            except OSError as error:
                reason = f"the disk refused: {os.strerror(error.errno or 0).lower()}"
            tries += 1
            self.stats.postponed += 1
            wait = self._backoff.delay(tries)
            _log.warning("A render was postponed", item=item, reason=reason, seconds=wait)
            await self._sleep(wait)

    async def _ask(self, item: str) -> RenderAnswer:
        """Have it rendered by the next free worker. Raises `WorkerDiedError` the first times."""
        within = await asyncio.to_thread(self._within, item)
        self.stats.waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self.stats.waiting -= 1
        self.stats.busy += 1
        try:
            if self._faults is None:
                return await worker.render(item, within)
            crash, faults = self._faults.crashes(item), self._faults.in_force
            return await worker.render(item, within, crash=crash, faults=faults)
        except WorkerDiedError as error:
            crashes = await asyncio.to_thread(self._note_crash, item)
            if crashes < MAX_CRASHES:
                raise
            self.stats.crashes += 1
            return RenderRefused(f"its render crashed {crashes} times, the last time: {error}")
        finally:
            self.stats.busy -= 1
            self._idle.put_nowait(worker)

    def _within(self, item: str) -> float:
        journal = self._spool.folder(item, State.RENDERING) / JOURNAL
        size = journal.stat().st_size if journal.exists() else 0
        return _SECONDS_ALWAYS + size / _BYTES_PER_SECOND

    def _note_crash(self, item: str) -> int:
        """Count a crash that was seen; a platform that was killed itself counts nothing."""
        folder = self._spool.folder(item, State.RENDERING)
        if not folder.is_dir():
            return 0
        path = folder / CRASHES
        crashes = 1 + (int(path.read_text() or 0) if path.exists() else 0)
        write_file(path, str(crashes).encode())
        return crashes

    def _settle(self, item: str, answer: RenderAnswer) -> bool:
        match answer:
            case RenderSummary():
                self._count(answer)
                _log.debug("A recording was rendered", item=item, **msgspec.structs.asdict(answer))
                return True
            case RenderEmpty():
                self.stats.empty += 1
                self._spool.discard(item)
                _log.warning("An empty journal was removed", item=item, reason=answer.reason)
            case RenderRefused() | RenderPostponed():
                self.stats.failed += 1
                self._spool.fail(item, answer.reason)
                _log.error("A recording was put aside", item=item, reason=answer.reason)
        return False

    def _count(self, summary: RenderSummary) -> None:
        self.stats.rendered += 1
        self.stats.recovered += summary.recovered
        self.stats.packets += summary.packets
        self.stats.lost += summary.lost
        self.stats.seconds += summary.seconds
        self.stats.cpu_seconds += summary.cpu_seconds

    async def _stop(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))
