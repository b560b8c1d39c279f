"""Places the calls of a scenario: signalling here, media in a process of its own.

Calls start at their planned times, at most `concurrency` at once. When the run is told to stop,
no further call is placed and the open ones are ended in order; the report is written all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mcp_sim.load.backdrop import load_backdrop
from mcp_sim.load.clock import RunClock
from mcp_sim.load.media_client import MediaClient, MediaFailed
from mcp_sim.load.media_process import raise_open_files
from mcp_sim.load.media_wire import Finished
from mcp_sim.load.offers import Address
from mcp_sim.load.placed_call import Line, PlacedCall
from mcp_sim.load.report import CallReport, LoadReport, Percentiles, Totals
from mcp_sim.load.scenario import PlannedCall, Scenario, ScenarioError, plan_calls
from mcp_sim.sip import AgentLimits, SipAgent, SipTls
from mcp_sim.sip.hop import TransportName, bracketed


@dataclass
class Progress:
    """How far a run is; read by whoever shows it."""

    planned: int
    placed: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    packets: int = 0
    last_problem: str = ""


@dataclass
class Caller:
    """One load run; `stopping` ends it early and in order."""

    scenario: Scenario
    target: Address
    transport: TransportName = "udp"
    audio: Path | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    trust: ssl.SSLContext | None = None
    """Whom "tls" believes; the target's certificate has to name the target's host."""

    def __post_init__(self) -> None:
        self.scenario.check()
        self.progress = Progress(self.scenario.calls)
        self._clock = RunClock()
        self._late = 0.0
        self._finished = Finished(0, 0.0)

    async def run(self) -> LoadReport:
        """Place all calls; return what became of them.

        Raises `ScenarioError`, `AudioError`, or `MediaFailed` where nothing could be sent at all.
        """
        backdrop = b"" if self.audio is None else load_backdrop(self.audio).tobytes()
        peer, host = await find_route(self.target)
        raise_open_files()
        async with self._open_agent(host) as agent, MediaClient(host, backdrop) as media:
            self._clock = RunClock()
            line = Line(
                self.scenario,
                self.target,
                peer,
                self.transport,
                agent,
                media,
                self._clock,
                self.stopping,
            )
            reports = await self._place_all(line)
            with contextlib.suppress(MediaFailed):
                self._finished = await media.finish()
        return self._report(reports)

    @contextlib.asynccontextmanager
    async def _open_agent(self, host: str) -> AsyncIterator[SipAgent]:
        limits = AgentLimits(calls=4 * self.scenario.concurrency + 100, transactions=100_000)
        tls = SipTls(client=self.trust)
        agent = SipAgent(user_agent="reclab load", limits=limits, tls=tls)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.bind((host, 0))
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            udp.setblocking(False)
            await agent.open(udp)
            try:
                yield agent
            finally:
                await agent.close()

    async def _place_all(self, line: Line) -> list[CallReport]:
        free = asyncio.Semaphore(self.scenario.concurrency)
        calls: list[asyncio.Task[CallReport]] = []
        async with asyncio.TaskGroup() as group:
            for plan in plan_calls(self.scenario):
                await self._wait_until(plan.at)
                await free.acquire()
                if self.stopping.is_set():
                    break
                self._late = max(self._late, self._clock.seconds() - plan.at)
                calls.append(group.create_task(self._place(line, plan, free)))
        return [call.result() for call in calls]

    async def _wait_until(self, at: float) -> None:
        wait = at - self._clock.seconds()
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.stopping.wait()

    async def _place(self, line: Line, plan: PlannedCall, free: asyncio.Semaphore) -> CallReport:
        progress = self.progress
        progress.placed += 1
        progress.active += 1
        try:
            report = await PlacedCall(plan, line).run()
        finally:
            progress.active -= 1
            free.release()
        if report.result == "failed":
            progress.failed += 1
            progress.last_problem = report.reason
        else:
            progress.completed += 1
        progress.packets += sum(leg.packets for leg in report.legs)
        return report

    def _report(self, calls: Iterable[CallReport]) -> LoadReport:
        reports = tuple(sorted(calls, key=lambda call: call.number))
        packets = sum(leg.packets for call in reports for leg in call.legs)
        results = [call.result for call in reports]
        cpu_us = self._finished.cpu_seconds * 1e6 / packets if packets else 0.0
        return LoadReport(
            target=f"{bracketed(self.target[0])}:{self.target[1]}",
            transport=self.transport,
            scenario=self.scenario,
            backdrop=str(self.audio or ""),
            started=self._clock.label(self._clock.began_ns),
            ended=self._clock.label(self._clock.now()),
            totals=Totals(
                planned=self.scenario.calls,
                completed=results.count("completed"),
                interrupted=results.count("interrupted"),
                failed=results.count("failed"),
                packets=packets,
                answer_ms=Percentiles.of(
                    [call.answer_ms for call in reports if call.answer_ms is not None]
                ),
                late_ms=round(self._late * 1000, 3),
                packet_lag_ms=round(self._finished.worst_lag_ns / 1e6, 3),
                media_cpu_us=round(cpu_us, 3),
            ),
            calls=reports,
        )


async def find_route(target: Address) -> tuple[Address, str]:
    """Return the target's numeric address, and ours on the way to it. Raises `ScenarioError`."""
    host, port = target
    try:
        async with asyncio.timeout(10):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError):
        raise ScenarioError(f"the host {host} was not found") from None
    family, _, _, _, address = found[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
        except OSError as error:
            raise ScenarioError(f"there is no way to {host}: {error.strerror}") from None
        return (str(address[0]), port), str(probe.getsockname()[0])
