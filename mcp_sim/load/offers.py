"""The INVITEs of a planned call, in each of the three ways in, and reading their answers.

Pure. SIPREC: one INVITE with two labelled streams and the metadata that says who is heard on
which. GIR: one INVITE per party with the same conference id. Plain: one INVITE, as a phone's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_sim.load.scenario import PlannedCall, Scenario
from mcp_sim.load.signature import Leg
from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.gir import CALL_UUID, PROFILE_DBID, GirCall
from mcp_sim.sip.hop import bracketed, is_numeric
from mcp_sim.sip.message import HeaderList
from mcp_sim.sip.msml import RecorderCommand
from mcp_sim.sip.offer_answer import OfferedStream, build_offer, read_answer
from mcp_sim.sip.sdp import PCMA, PCMU, Direction, SessionDescription
from mcp_sim.sip.siprec import (
    CLIENT_PARAMETER,
    REQUIRE,
    CommunicationSession,
    MediaStream,
    Participant,
    RecordingSession,
    recording_body,
)

_CODECS: Final = {"pcmu": PCMU, "pcma": PCMA}
_SDP: Final = "application/sdp"

Address = tuple[str, int]


@dataclass(frozen=True)
class Invite:
    """One INVITE; `legs` are the call's legs that it offers, by their place in the call."""

    uri: str
    caller: str
    callee: str
    headers: HeaderList
    content_type: str
    body: bytes
    offer: SessionDescription
    legs: tuple[int, ...]
    contact_parameters: str = ""


@dataclass(frozen=True)
class LegTarget:
    """Where the answer wants the RTP of a leg, and with which payload type."""

    index: int
    host: str
    port: int
    payload_type: int


def build_invites(
    call: PlannedCall, scenario: Scenario, target: Address, media: Sequence[Address]
) -> tuple[Invite, ...]:
    """Write a call's INVITEs; `media` are the local RTP addresses of its legs, in order."""
    peer = f"{bracketed(target[0])}:{target[1]}"
    if scenario.signalling == "siprec":
        return (_siprec(call, scenario, peer, media),)
    if scenario.signalling == "gir":
        return tuple(_gir(call, scenario, peer, media, index) for index in range(len(media)))
    return (_plain(call, scenario, peer, media),)


def read_targets(invite: Invite, body: bytes) -> tuple[LegTarget, ...]:
    """Read an answer. Raises `BodyError` unless it takes every stream, each at an address."""
    lines = read_answer(invite.offer, SessionDescription.parse(body))
    if len(lines) != len(invite.legs):
        raise BodyError(f"the answer took {len(lines)} of {len(invite.legs)} streams")
    for line in lines:
        if not is_numeric(line.host) or line.held:
            raise BodyError(f"the answer names no address for its RTP, but {line.host[:64]!r}")
    return tuple(
        LegTarget(invite.legs[line.index], line.host, line.port, line.codecs[0].payload_type)
        for line in lines
    )


def recording_parameters(call: PlannedCall) -> RecorderCommand:
    """Return what a GIR installation tells the recorder about a call that it records."""
    return RecorderCommand(
        conference_id=call.identity,
        state=None,
        parameters={
            "callUuid": call.identity,
            "connId": call.connection_id,
            "ani": call.caller,
            "dnis": call.dialed,
            "agentId": call.agent,
            "recordDN": call.agent,
            "record": "source",
        },
    )


def _offer(
    scenario: Scenario, media: Sequence[Address], direction: Direction, labels: Sequence[str]
) -> SessionDescription:
    streams = [
        OfferedStream(port, (_CODECS[scenario.codec],), direction, label)
        for (_, port), label in zip(media, labels, strict=True)
    ]
    return build_offer(streams, host=media[0][0], session_id=media[0][1])


def _headers(call: PlannedCall, scenario: Scenario) -> list[tuple[str, str]]:
    headers = [(CALL_UUID, call.identity)]
    if scenario.profile_dbid is not None:
        headers.append((PROFILE_DBID, str(scenario.profile_dbid)))
    return headers


def _plain(call: PlannedCall, scenario: Scenario, peer: str, media: Sequence[Address]) -> Invite:
    offer = _offer(scenario, media, Direction.SENDRECV, [""])
    return Invite(
        uri=f"sip:{call.dialed}@{peer}",
        caller=f"<sip:{call.caller}@{bracketed(media[0][0])}>",
        callee=f"<sip:{call.dialed}@{peer}>",
        headers=_headers(call, scenario),
        content_type=_SDP,
        body=offer.encode(),
        offer=offer,
        legs=(0,),
    )


def _gir(
    call: PlannedCall, scenario: Scenario, peer: str, media: Sequence[Address], index: int
) -> Invite:
    number = {"customer": call.caller, "agent": call.agent}[call.legs[index]]
    gir = GirCall(
        conference_id=call.identity,
        dn=number,
        media_service="record",
        call_uuid=call.identity,
        profile_dbid=scenario.profile_dbid,
        session_id=_session_id(call, index),
    )
    offer = _offer(scenario, [media[index]], Direction.SENDONLY, [""])
    return Invite(
        uri=gir.uri(peer),
        caller=f"<sip:{number}@{bracketed(media[index][0])}>",
        callee=f"<sip:{call.dialed}@{peer}>",
        headers=gir.headers(),
        content_type=_SDP,
        body=offer.encode(),
        offer=offer,
        legs=(index,),
    )


def _session_id(call: PlannedCall, index: int) -> str:
    digits = _hex(call)[:-1] + str(index)
    return "-".join(digits[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


def _hex(call: PlannedCall) -> str:
    return f"{int(call.identity, 36):032x}"[-32:]


def _siprec(call: PlannedCall, scenario: Scenario, peer: str, media: Sequence[Address]) -> Invite:
    labels = [str(index + 1) for index in range(len(media))]
    offer = _offer(scenario, media, Direction.SENDONLY, labels)
    metadata = _metadata(call, labels, bracketed(media[0][0]))
    content_type, body = recording_body(offer.encode(), metadata, f"part-{call.identity}")
    return Invite(
        uri=f"sip:{call.dialed}@{peer}",
        caller=f"<sip:{call.caller}@{bracketed(media[0][0])}>",
        callee=f"<sip:{call.dialed}@{peer}>",
        headers=[REQUIRE, *_headers(call, scenario)],
        content_type=content_type,
        body=body,
        offer=offer,
        legs=tuple(range(len(media))),
        contact_parameters=CLIENT_PARAMETER,
    )


def _metadata(call: PlannedCall, labels: Sequence[str], host: str) -> RecordingSession:
    session = CommunicationSession("session-1", sip_session_id=_hex(call))
    parties: dict[Leg, Participant] = {
        "customer": Participant("party-customer", _customer(call.caller, host)),
        "agent": Participant("party-agent", f"sip:{call.agent}@{host}", f"Agent {call.agent}"),
    }
    streams = {
        leg: MediaStream(f"stream-{label}", label, session.id)
        for leg, label in zip(call.legs, labels, strict=True)
    }
    return RecordingSession(
        sessions={session.id: session},
        participants={party.id: party for party in parties.values()},
        streams={stream.id: stream for stream in streams.values()},
        sends={parties[leg].id: (streams[leg].id,) for leg in call.legs},
        receives={
            parties[leg].id: tuple(s.id for other, s in streams.items() if other != leg)
            for leg in call.legs
        },
    )


def _customer(number: str, host: str) -> str:
    # Both forms that devices write; each of them tells a recorder who is the customer.
    return f"sip:{number}@{host}" if number.startswith("+") else f"tel:{number}"
