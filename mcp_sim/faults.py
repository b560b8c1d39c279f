"""Faults of the platform itself, on purpose: the plan in force, caused where it says.

What happens in a moment (a crash, a jump of the clock) is done here. What happens to writes and
renders is drawn where they are: capture processes and render workers get the plan through their
pipes. Nothing of this exists where faults are not enabled.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import msgspec
import structlog

from mcp_sim.recording.disk_calls import FaultsInForce
from mcp_sim.wall_clock import WallClock
from service_shell.faults import FaultSwitch, PlanRun, PlatformFault

_log = structlog.get_logger()
# As far as one jump may go: beyond, a time could not be written any more.
_FURTHEST = 1e9
_MOMENTS = ("crash", "capture-crash", "clock-jump")

Kill = Callable[[int, int], None]


class Captures(Protocol):
    """The capture processes, as far as faults know them."""

    @property
    def pids(self) -> list[int]:
        """Those that are up."""

    async def set_faults(self, faults: FaultsInForce | None) -> None:
        """Put faults in force in all of them, and in those that start later."""


class PlatformFaults:
    """Follows a switch; sets `wall` ahead. `kill` is for tests: nobody else dies of a crash."""

    def __init__(self, switch: FaultSwitch, wall: WallClock, kill: Kill = os.kill) -> None:
        self._switch = switch
        self._wall = wall
        self._kill = kill
        self._run: PlanRun | None = None
        self._faults: list[PlatformFault] = []
        self._struck: set[str] = set()
        self._jumped: dict[str, float] = {}
        self._changed = asyncio.Event()
        switch.follow(self._follow)

    @property
    def in_force(self) -> FaultsInForce | None:
        """What child processes have to know. `begin` and `end` count from the plan's beginning."""
        if self._run is None:
            return None
        plan = msgspec.structs.replace(self._run.plan, faults=[*self._faults])
        return FaultsInForce(plan, self._run.began)

    def crashes(self, item: str) -> bool:
        """Return whether the worker that renders `item` now shall die in the middle of it."""
        return bool(self._strike(lambda fault: fault.kind == "render-crash", f"render {item}"))

    @asynccontextmanager
    async def causing(self, captures: Captures) -> AsyncIterator[None]:
        """Cause what the switch says until the end of the context."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._cause(captures), name="faults")
            try:
                yield
            finally:
                task.cancel()

    def _follow(self, run: PlanRun | None) -> None:
        faults = [f for f in run.plan.faults if isinstance(f, PlatformFault)] if run else []
        if run is not self._run:
            self._run, self._faults = run, faults
            self._struck.clear()
            self._jumped.clear()
        elif run is not None:
            # What was added later counts from now; here all count from the run's beginning.
            later = self._switch.clock() - run.began
            self._faults += [_delayed(fault, later) for fault in faults[len(self._faults) :]]
        self._changed.set()

    async def _cause(self, captures: Captures) -> None:
        while True:
            if self._changed.is_set():
                self._changed.clear()
                await captures.set_faults(self.in_force)
            wait = self.do_due(captures)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def do_due(self, captures: Captures) -> float | None:
        """Do what is due now; return in how many seconds the next moment comes, if one does."""
        run = self._run
        if run is None:
            self._wall.ahead = 0.0
            return None
        elapsed = self._switch.clock() - run.began
        coming: list[float] = []
        for fault in self._faults:
            if fault.kind not in _MOMENTS:
                continue
            if fault.begin > elapsed:
                coming.append(fault.begin - elapsed)
            elif fault.name not in self._struck:
                self._struck.add(fault.name)
                self._happen(fault, captures)
            if fault.end > elapsed:
                coming.append(fault.end - elapsed)
            elif fault.end:
                self._jumped.pop(fault.name, None)
        self._set_wall(max(-_FURTHEST, min(_FURTHEST, sum(self._jumped.values()))))
        return min(coming, default=None)

    def _happen(self, fault: PlatformFault, captures: Captures) -> None:
        struck = self._strike(lambda other: other.name == fault.name, fault.kind)
        if not struck:
            return
        _log.warning("A fault on purpose struck", fault=fault.name, kind=fault.kind)
        if fault.kind == "clock-jump":
            self._jumped[fault.name] = fault.seconds_ahead
        elif fault.kind == "crash":
            self._kill(os.getpid(), signal.SIGKILL)
        elif captures.pids and self._run is not None:
            pids = captures.pids
            with suppress(ProcessLookupError):  # it has just ended by itself
                self._kill(pids[int(self._run.draw(struck[0]) * len(pids))], signal.SIGKILL)

    def _set_wall(self, ahead: float) -> None:
        if ahead != self._wall.ahead:
            _log.warning("The wall clock jumped on purpose", seconds_ahead=ahead)
            self._wall.ahead = ahead

    def _strike(self, fits: Callable[[PlatformFault], bool], operation: str) -> list[PlatformFault]:
        if self._run is None:
            return []
        now = self._switch.clock()
        return self._run.strike(PlatformFault, fits, now=now, operation=operation)


def _delayed(fault: PlatformFault, seconds: float) -> PlatformFault:
    end = fault.end + seconds if fault.end else 0.0
    return msgspec.structs.replace(fault, begin=fault.begin + seconds, end=end)
