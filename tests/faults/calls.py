"""Forty calls at a time, whatever happens to the recorder: one that ended is replaced at once.

Signalling and media are the load generator's own; only who places the next call is different. What
each call sent, and when, is kept for the judge.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from mcp_sim.load.caller import find_route
from mcp_sim.load.clock import RunClock
from mcp_sim.load.media_client import MediaClient
from mcp_sim.load.offers import Address
from mcp_sim.load.placed_call import Line, PlacedCall
from mcp_sim.load.report import CallReport
from mcp_sim.load.scenario import MOST_CALLS, PlannedCall, Scenario, Signalling, plan_calls
from mcp_sim.load.signature import Leg
from mcp_sim.sip import AgentLimits, SipAgent
from recording_format.timestamps import parse_time

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST, _LONGEST = 3.0, 8.0
_BEFORE_NEXT: Final = 0.2
_SIGNALLING: Final[dict[Signalling, int]] = {"siprec": 3, "gir": 1, "plain": 1}
_LAST_BYES: Final = 60.0


@dataclass(frozen=True)
class SentLeg:
    """What was sent on a leg: `packets` from number `first` on, the first one at `first_ns`.

    `unreachable`: how often the recorder's machine said that nobody listens there.
    """

    first: int
    packets: int
    first_ns: int
    unreachable: int


@dataclass(frozen=True)
class Spoken:
    """One call that is over, and the monotonic times of its parts in nanoseconds (0: never)."""

    report: CallReport
    started_ns: int
    answered_ns: int
    ended_ns: int
    legs: Mapping[Leg, SentLeg]

    @property
    def identity(self) -> str:
        """The call's UUID."""
        return self.report.identity


@dataclass(frozen=True)
class OpenCall:
    """A call that is not over. `told` ends it; `gone`: another one takes its place."""

    placed: PlacedCall
    told: asyncio.Event
    gone: asyncio.Event


@dataclass
class Calls:
    """The calls of one run. `talk` keeps `count` of them up until `quiet`."""

    line: Line
    count: int
    seed: int
    spoken: list[Spoken] = field(default_factory=list)
    open: dict[int, OpenCall] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"reclab calls {self.seed}")  # repeatable
        self._plans = {
            signalling: plan_calls(
                Scenario(calls=MOST_CALLS, signalling=signalling, seed=self.seed * 8 + place)
            )
            for place, signalling in enumerate(_SIGNALLING)
        }
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        self._number = 0
        self._quiet = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def talking(self) -> int:
        """How many calls were answered, and talk to somebody."""
        return sum(
            call.placed.answered_ns is not None and not call.gone.is_set()
            for call in self.open.values()
        )

    async def talk(self) -> None:
        """Place calls until `quiet`; return when the last one is over."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.count):
                group.create_task(self._one_after_the_other())

    async def quiet(self) -> None:
        """Place no more calls and end those that run."""
        self._quiet.set()
        for call in self.open.values():
            call.told.set()
            call.gone.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_LAST_BYES)

    def cut_off(self, linger: float) -> None:
        """Have the calls that run now end by themselves after `linger` seconds, and replaced now.

        Their recorder is gone; the far end of a call learns of that late or never.
        """
        cut = list(self.open.values())
        for call in cut:
            call.gone.set()

        def end() -> None:
            for call in cut:
                call.told.set()

        asyncio.get_running_loop().call_later(linger, end)

    def _monotonic(self, label: str) -> int:
        """Return the monotonic time of a report's label, to the millisecond."""
        if not label:
            return 0
        moment = parse_time(label)
        return round((moment - _EPOCH) / timedelta(microseconds=1)) * 1000 - self._wall_ns

    async def _one_after_the_other(self) -> None:
        while not self._quiet.is_set():
            await self._place()

    async def _place(self) -> None:
        signalling = self._draw.choices([*_SIGNALLING], [*_SIGNALLING.values()])[0]
        told = asyncio.Event()
        scenario = msgspec.structs.replace(
            self.line.scenario,
            signalling=signalling,
            codec=self._draw.choice(["pcmu", "pcma"]),
            hold=self._draw.uniform(_SHORTEST, _LONGEST),
        )
        self._number += 1
        plan: PlannedCall = msgspec.structs.replace(
            next(self._plans[signalling]), number=self._number
        )
        placed = PlacedCall(plan, replace(self.line, scenario=scenario, stopping=told))
        call = self.open[plan.number] = OpenCall(placed, told, asyncio.Event())
        task = asyncio.create_task(self._run(placed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        going = asyncio.create_task(call.gone.wait())
        try:
            await asyncio.wait({task, going}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            going.cancel()

    async def _run(self, call: PlacedCall) -> None:
        try:
            report = await call.run()
        finally:
            del self.open[call.plan.number]
        if call.started_ns is None or call.answered_ns is None:
            await asyncio.sleep(_BEFORE_NEXT)  # refused, or not answered: not again in a rush
        legs = {
            leg.leg: SentLeg(
                leg.first, leg.packets, self._monotonic(leg.first_sent), leg.unreachable
            )
            for leg in report.legs
        }
        started, answered = call.started_ns or 0, call.answered_ns or 0
        ended = self._monotonic(report.ended)
        self.spoken.append(Spoken(report, started, answered, ended, legs))


@asynccontextmanager
async def calling(target: Address, count: int, seed: int) -> AsyncIterator[Calls]:
    """Open an agent and a media process for `count` calls at a time to `target`."""
    peer, host = await find_route(target)
    limits = AgentLimits(calls=100 * count, transactions=100_000)
    agent = SipAgent(user_agent="reclab faults", limits=limits)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        udp.setblocking(False)
        await agent.open(udp)
        try:
            async with MediaClient(host) as media:
                line = Line(
                    Scenario(), target, peer, "udp", agent, media, RunClock(), asyncio.Event()
                )
                yield Calls(line, count, seed)
        finally:
            await agent.close()
