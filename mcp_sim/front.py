"""The front: what callers and operators meet. SIP, calls, capture processes, the control API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge

from mcp_sim.addresses import Addresses
from mcp_sim.admission.gauges import Gauges
from mcp_sim.admission.room import ROOM_CAUSES
from mcp_sim.admission.sources import SourceLimits, told_sources
from mcp_sim.calls import Calls, RecordingFacts
from mcp_sim.capture_fleet import CaptureFleet, capture_fleet
from mcp_sim.config import LimitSettings, McpSettings
from mcp_sim.control import ControlApi
from mcp_sim.lapse import Lapses
from mcp_sim.metrics import PlatformCollector
from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook
from mcp_sim.put_aside import put_aside
from mcp_sim.reception import Reception
from mcp_sim.recipients import CAUSES
from mcp_sim.recording.spool.space import SpoolSpace
from mcp_sim.recording.spool.spool import Spool
from mcp_sim.redelivery import Redelivery
from mcp_sim.refusals import Refusals
from mcp_sim.sip import AgentLimits, SipAgent, SipTls
from mcp_sim.sip.transport import TransportLimits
from mcp_sim.watch import Watch

USER_AGENT = "reclab-mcp"
_DIALOGS_PER_CALL = 4
_TRANSACTIONS_PER_CALL = 20


@dataclass(frozen=True)
class Front:
    """The running front."""

    agent: SipAgent
    reception: Reception
    calls: Calls
    fleet: CaptureFleet
    control: ControlApi

    async def drain(self, seconds: float) -> None:
        """Take no more calls; let the running ones finish within `seconds`, then stop them."""
        self.reception.open = False
        if not await self.calls.wait_idle(seconds):
            await self.calls.stop_all("the platform is stopping")


@asynccontextmanager
async def open_front(
    settings: McpSettings,
    addresses: Addresses,
    facts: RecordingFacts,
    spool: Spool,
    book: ProfileBook,
    pipeline: Pipeline,
    tls: SipTls | None = None,
) -> AsyncIterator[Front]:
    """Start the capture processes, then let callers in; at the end every call is ended."""
    size = settings.capture.processes
    lock = spool.lock_descriptor
    async with capture_fleet(size, addresses.capture, settings.log, lock=lock) as fleet:
        calls = _calls(settings.limits, facts, fleet, spool, pipeline)
        fleet.tell_deaths(calls.capture_died)
        watch = Watch(calls, fleet, calls.gauges, Lapses(settings.limits.longest_call))
        front = _assemble(
            settings, addresses, facts, fleet, calls, book, pipeline, spool, watch, tls
        )
        await front.agent.open(addresses.sip_udp, addresses.sip_tcp, addresses.sip_tls)
        watching = asyncio.create_task(watch.run(), name="watch")
        try:
            yield front
        finally:
            front.reception.open = False
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await calls.stop_all("the platform ended")
            await front.agent.close()


def _calls(
    limits: LimitSettings,
    facts: RecordingFacts,
    fleet: CaptureFleet,
    spool: Spool,
    pipeline: Pipeline,
) -> Calls:
    return Calls(
        facts,
        fleet,
        spool,
        limit=limits.calls or max(1, fleet.legs // 2),
        space=SpoolSpace(spool.root, limits.reserved_bytes),
        on_captured=pipeline.captured,
        gauges=Gauges(limits),
        sources=SourceLimits(calls=limits.source_calls, rate=limits.source_rate),
        rtp_timeout=limits.rtp_timeout,
    )


def _assemble(
    settings: McpSettings,
    addresses: Addresses,
    facts: RecordingFacts,
    fleet: CaptureFleet,
    calls: Calls,
    book: ProfileBook,
    pipeline: Pipeline,
    spool: Spool,
    watch: Watch,
    tls: SipTls | None,
) -> Front:
    registry = CollectorRegistry()
    text = "Version of the IVR profiles in force"
    Gauge("reclab_mcp_profiles_version", text, registry=registry).set_function(lambda: book.version)
    refusals = Refusals(registry, (*CAUSES, *ROOM_CAUSES))
    reception = Reception(
        book=book,
        calls=calls,
        refusals=refusals,
        mpc=facts.mpc,
        host=addresses.media_host,
        now=facts.wall.moment,
    )
    agent = SipAgent(
        user_agent=USER_AGENT,
        on_invite=reception.take,
        limits=_limits(calls.limit, settings.limits.sip_connections),
        advertise=addresses.contact_host,
        tls=tls,
    )
    registry.register(
        PlatformCollector(
            calls=calls, agent=agent, fleet=fleet, pipeline=pipeline, spool=spool, watch=watch
        )
    )
    control = ControlApi(
        calls=calls,
        refusals=refusals,
        registry=registry,
        stats=lambda: fleet.stats,
        retry=Redelivery(spool, pipeline, book).retry,
        ready=lambda: _unready(book, fleet, reception, calls),
        sources=lambda: told_sources(calls.sources, agent.core.malformed_from),
        sign_in=settings.sign_in,
        aside=lambda: put_aside(spool),
    )
    return Front(agent, reception, calls, fleet, control)


def _limits(calls: int, connections: int) -> AgentLimits:
    """Signalling has room for what the limit of calls lets in: refusals are the calls' matter."""
    usual = AgentLimits()
    return AgentLimits(
        calls=max(usual.calls, _DIALOGS_PER_CALL * calls),
        transactions=max(usual.transactions, _TRANSACTIONS_PER_CALL * calls),
        transport=TransportLimits(connections=connections),
    )


def _unready(book: ProfileBook, fleet: CaptureFleet, reception: Reception, calls: Calls) -> str:
    if not reception.open:
        return "the platform is stopping"
    if not book.loaded:
        return "no profiles are loaded yet"
    return calls.refusing if fleet.pids else "no capture process is up"
