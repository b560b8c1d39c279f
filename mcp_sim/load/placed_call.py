"""One call of a load run, from its first INVITE to its last BYE.

Whatever goes wrong, the media stops, open dialogs are hung up, and the report says what was sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from mcp_sim.load import media_wire as wire
from mcp_sim.load.clock import RunClock
from mcp_sim.load.media_client import MediaClient, MediaFailed
from mcp_sim.load.offers import (
    Address,
    Invite,
    LegTarget,
    build_invites,
    read_targets,
    recording_parameters,
)
from mcp_sim.load.report import CallReport, LegReport, Result
from mcp_sim.load.scenario import PlannedCall, Scenario
from mcp_sim.sip import CallRefused, OutgoingCall, SipAgent, SipError
from mcp_sim.sip.hop import TransportName
from mcp_sim.sip.msml import CONTENT_TYPE as MSML

_BREATH: Final = 0.04
"""Seconds between the answer and the first packet, and between the last packet and the BYE, so that
the whole of the sound lies within the call however its packets are placed by their arrival."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Line:
    """What all calls of a run share: the way to the target, and the media process."""

    scenario: Scenario
    target: Address
    """As it was named; stands in the URIs."""
    peer: Address
    """The same with a numeric host; there the messages go."""
    transport: TransportName
    agent: SipAgent
    media: MediaClient
    clock: RunClock
    stopping: asyncio.Event


@dataclass
class PlacedCall:
    """The state of one call; `run` it once."""

    plan: PlannedCall
    line: Line
    dialogs: list[OutgoingCall] = field(default_factory=list)
    started_ns: int | None = None
    answered_ns: int | None = None
    status: int = 0
    reason: str = ""
    interrupted: bool = False

    async def run(self) -> CallReport:
        """Place the call, hold it, end it; return what became of it. Never raises `SipError`."""
        sent = wire.Stopped(self.plan.number, [])
        try:
            await self._talk()
        except CallRefused as refused:
            cause = f": {refused.cause}" if refused.cause else ""
            self.status, self.reason = refused.code, f"{refused.code} {refused.reason}{cause}"
        except (SipError, MediaFailed) as error:
            self.reason = str(error)
        finally:
            try:
                sent = await self.line.media.stop_call(self.plan.number)
            except MediaFailed as error:
                self.reason = self.reason or str(error)
            if self.dialogs:
                await asyncio.sleep(_BREATH)
            ended_ns = self.line.clock.now()
            await asyncio.gather(*(self._hang_up(dialog) for dialog in self.dialogs))
        self.reason = self.reason or sent.error
        if self.reason:
            log.info("A call failed", call=self.plan.identity, reason=self.reason)
        return self._report(sent, ended_ns)

    async def _talk(self) -> None:
        plan, line = self.plan, self.line
        addresses = await line.media.open_call(plan.number, len(plan.legs))
        invites = build_invites(plan, line.scenario, line.target, addresses)
        self.started_ns = line.clock.now()
        waiting: list[LegTarget] = []
        for place, invite in enumerate(invites):
            if place and line.scenario.stagger:
                # The legs that are answered speak already; the next one joins their clock.
                await self._start(waiting)
                waiting = []
                if await self._over_within(line.scenario.stagger):
                    return
            dialog = await self._answered(invite)
            if dialog is None:
                return
            self.dialogs.append(dialog)
            self.status = dialog.status
            waiting += read_targets(invite, dialog.body)
        self.answered_ns = line.clock.now()
        await self._start(waiting)
        if line.scenario.signalling == "gir":
            parameters = recording_parameters(plan).encode()
            await self.dialogs[0].info(MSML, parameters)
        await self._over_within(line.scenario.hold)

    async def _answered(self, invite: Invite) -> OutgoingCall | None:
        """Place an INVITE; None when the run was stopped first: then the INVITE is cancelled."""
        placing = asyncio.create_task(self._invite(invite))
        stop = asyncio.create_task(self.line.stopping.wait())
        try:
            await asyncio.wait([placing, stop], return_when=asyncio.FIRST_COMPLETED)
            if placing.done():
                return placing.result()
            self.interrupted = True
            return None
        finally:
            for task in (placing, stop):
                task.cancel()
            await asyncio.gather(placing, stop, return_exceptions=True)

    async def _invite(self, invite: Invite) -> OutgoingCall:
        return await self.line.agent.invite(
            self.line.peer,
            uri=invite.uri,
            headers=invite.headers,
            content_type=invite.content_type,
            body=invite.body,
            transport=self.line.transport,
            caller=invite.caller,
            callee=invite.callee,
            contact_parameters=invite.contact_parameters,
            server_name=self.line.target[0],
        )

    async def _start(self, targets: list[LegTarget]) -> None:
        await asyncio.sleep(_BREATH)
        plan = self.plan
        legs = [
            wire.LegStart(
                index=target.index,
                leg=plan.legs[target.index],
                identity=plan.identity,
                law=self.line.scenario.codec,
                payload_type=target.payload_type,
                host=target.host,
                port=target.port,
                impairment=self.line.scenario.impairments.of(plan.legs[target.index]),
                seed=self.line.scenario.seed,
            )
            for target in targets
        ]
        self.line.media.start_legs(plan.number, legs)

    async def _over_within(self, seconds: float) -> bool:
        """Hold the call; True when the peer or the person ended it before its time."""
        ends = [asyncio.create_task(dialog.wait_ended()) for dialog in self.dialogs]
        stop = asyncio.create_task(self.line.stopping.wait())
        done, _ = await asyncio.wait(
            [*ends, stop], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (*ends, stop):
            task.cancel()
        await asyncio.gather(*ends, stop, return_exceptions=True)
        if any(end in done for end in ends):
            ended = next(dialog.ended for dialog in self.dialogs if dialog.ended is not None)
            self.reason = f"the call was ended by the recorder ({ended.by})"
        self.interrupted = self.interrupted or stop in done
        return bool(done)

    async def _hang_up(self, dialog: OutgoingCall) -> None:
        try:
            if not await dialog.bye():
                self.reason = self.reason or "the recorder did not answer the BYE"
        except SipError as error:
            self.reason = self.reason or f"the BYE failed: {error}"

    def _report(self, sent: wire.Stopped, ended_ns: int) -> CallReport:
        plan, clock = self.plan, self.line.clock
        took = (self.answered_ns or 0) - (self.started_ns or 0)
        result: Result = "interrupted" if self.interrupted else "completed"
        return CallReport(
            identity=plan.identity,
            number=plan.number,
            caller=plan.caller,
            dialed=plan.dialed,
            agent=plan.agent,
            connection_id=plan.connection_id,
            result="failed" if self.reason else result,
            status=self.status,
            reason=self.reason,
            sip_call_ids=tuple(dialog.call_id for dialog in self.dialogs),
            started=clock.label(self.started_ns),
            answered=clock.label(self.answered_ns),
            ended=clock.label(ended_ns),
            answer_ms=None if self.answered_ns is None else round(took / 1e6, 3),
            legs=tuple(self._leg_report(leg) for leg in sent.legs),
        )

    def _leg_report(self, leg: wire.LegSent) -> LegReport:
        clock, name = self.line.clock, self.plan.legs[leg.index]
        return LegReport(
            leg=name,
            channel="right" if name == "agent" else "left",
            codec=self.line.scenario.codec,
            first=leg.first,
            packets=leg.packets,
            failed=leg.failed,
            unreachable=leg.unreachable,
            ssrc=leg.ssrc,
            first_sent=clock.label(leg.first_ns),
            last_sent=clock.label(leg.last_ns),
            impaired=leg.impaired,
        )
