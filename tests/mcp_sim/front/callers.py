"""Who calls the recorder: INVITEs of all three kinds, commands, and RTP of a constant level."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from mcp_sim.calls import new_call_uuid
from mcp_sim.sip import OutgoingCall, SipAgent, SipResponse
from mcp_sim.sip.gir import CALL_UUID, PROFILE_DBID, GirCall
from mcp_sim.sip.hop import TransportName
from mcp_sim.sip.msml import CONTENT_TYPE as MSML
from mcp_sim.sip.msml import MsmlResult, RecorderCommand, RecorderState
from mcp_sim.sip.sdp import PCMA, Codec, Direction, MediaLine, SessionDescription
from mcp_sim.sip.siprec import (
    CLIENT_PARAMETER,
    REQUIRE,
    MediaStream,
    Participant,
    RecordingSession,
    recording_body,
)
from tests.mcp_sim.sip.endpoints import agent

CUSTOMER, AGENT = "sip:+16175550101@gw", "sip:7001@pbx"
SENDONLY, INACTIVE = Direction.SENDONLY, Direction.INACTIVE
_PAYLOAD_BYTES = 160
LOUD = {8: 0xAA, 0: 0x80}
"""By payload type: a G.711 byte of a high level, which is no silence under either law."""


@dataclass(frozen=True)
class Stream:
    """One m-line of an offer; `port` 0 takes it away."""

    label: str = ""
    codec: Codec = PCMA
    direction: Direction = SENDONLY
    port: int = 40000


def sdp(*streams: Stream, version: int = 1) -> bytes:
    """An offer with these m-lines."""
    media = tuple(
        MediaLine("audio", s.port, codecs=(s.codec,), direction=s.direction, label=s.label)
        for s in streams
    )
    return SessionDescription(media, "127.0.0.1", session_id=1, version=version).encode()


def speakers(
    by_label: Mapping[str, str], *, complete: bool = True, prefix: str = "p"
) -> RecordingSession:
    """Metadata that says who is heard on which label."""
    streams = {f"s{label}": MediaStream(f"s{label}", label) for label in by_label}
    parties = {f"{prefix}{label}": aor for label, aor in by_label.items()}
    return RecordingSession(
        complete=complete,
        participants={i: Participant(i, aor) for i, aor in parties.items()},
        streams=streams,
        sends={f"{prefix}{label}": (f"s{label}",) for label in by_label},
    )


def ports_of(description: bytes) -> list[int]:
    """Where a description wants its RTP, by m-line."""
    return [media.port for media in SessionDescription.parse(description).media]


TWO = (Stream("1"), Stream("2"))
BOTH = {"1": AGENT, "2": CUSTOMER}


@dataclass
class Placed:
    """A call that the recorder has answered, and when that may have been (Unix time)."""

    call: OutgoingCall
    uuid: str
    asked: float
    answered: float = field(default_factory=time.time)

    @property
    def began(self) -> Span:
        """When the recorder's answer was sent."""
        return self.asked, self.answered

    @property
    def answer(self) -> SessionDescription:
        """The recorder's description."""
        return SessionDescription.parse(self.call.body)

    @property
    def ports(self) -> list[int]:
        """Where the recorder receives, by m-line; 0 where it refused the line."""
        return ports_of(self.call.body)

    async def reinvite(
        self, *streams: Stream, session: RecordingSession | None = None
    ) -> SipResponse:
        """Change the call by re-INVITE."""
        body, kind = sdp(*streams, version=2), "application/sdp"
        if session is not None:
            kind, body = recording_body(body, session)
        return await self.call.reinvite(body, kind)

    async def command(
        self,
        state: RecorderState | None,
        conference: str = "any",
        said: Mapping[str, str] = MappingProxyType({}),
        *,
        create: bool = False,
    ) -> MsmlResult:
        """Send a recorder command by INFO; return its result."""
        command = RecorderCommand(conference, state, said, create)
        response = await self.call.info(MSML, command.encode())
        assert response.code == 200
        return MsmlResult.parse(response.body)


class Caller:
    """The far end of SIP; `target` is the recorder."""

    def __init__(self, sip: SipAgent, target: tuple[str, int]) -> None:
        self.sip = sip
        self.target = target

    async def plain(
        self,
        *streams: Stream,
        uuid: str = "",
        dbid: int | None = None,
        body: bytes | None = None,
        kind: str = "application/sdp",
        transport: TransportName = "udp",
    ) -> Placed:
        """A phone's call; `body` b"" leaves the offer to the recorder."""
        uuid = uuid or new_call_uuid()
        asked = time.time()
        call = await self.sip.invite(
            self.target,
            uri=f"sip:8005550199@{self.at}",
            caller=f"<sip:+16175550101@{self.at}>",
            headers=_headers(uuid, dbid),
            content_type=kind,
            body=sdp(*(streams or (Stream(),))) if body is None else body,
            transport=transport,
        )
        return Placed(call, uuid, asked)

    async def siprec(
        self,
        *streams: Stream,
        session: RecordingSession | None = None,
        uuid: str = "",
        dbid: int | None = None,
    ) -> Placed:
        """A recording client's call of both parties, or of what is given."""
        uuid = uuid or new_call_uuid()
        kind, body = recording_body(sdp(*(streams or TWO)), session or speakers(BOTH))
        asked = time.time()
        call = await self.sip.invite(
            self.target,
            uri=f"sip:srs@{self.at}",
            headers=[REQUIRE, *_headers(uuid, dbid)],
            content_type=kind,
            body=body,
            contact_parameters=CLIENT_PARAMETER,
        )
        return Placed(call, uuid, asked)

    async def gir(
        self,
        conference: str,
        dn: str = "",
        *,
        uuid: str = "",
        dbid: int | None = None,
        said: Mapping[str, str] = MappingProxyType({}),
    ) -> Placed:
        """One party's call into a conference; `said` goes into the request-URI."""
        uuid = uuid or new_call_uuid()
        gir = GirCall(conference, dn, media_service="record", call_uuid=uuid, profile_dbid=dbid,
                      parameters=said)  # fmt: skip
        asked = time.time()
        call = await self.sip.invite(
            self.target, uri=gir.uri(self.at), headers=gir.headers(), body=sdp(Stream())
        )
        return Placed(call, uuid, asked)

    @property
    def at(self) -> str:
        """The recorder's ``host:port``."""
        return f"{self.target[0]}:{self.target[1]}"


@asynccontextmanager
async def calling(target: tuple[str, int]) -> AsyncIterator[Caller]:
    """A caller on a port of its own."""
    async with agent() as sip:
        yield Caller(sip, target)


async def speak(
    port: int, packets: int, *, payload_type: int = 8, ssrc: int = 7, first: int = 0
) -> None:
    """Send packets of 20 ms, one each 20 ms, and let the last one be heard out."""
    payload = bytes([LOUD[payload_type]]) * _PAYLOAD_BYTES
    loop = asyncio.get_running_loop()
    began = loop.time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for number in range(first, first + packets):
            head = struct.pack("!BBHII", 0x80, payload_type, number, number * 160, ssrc)
            phone.sendto(head + payload, ("127.0.0.1", port))
            await asyncio.sleep(began + 0.02 * (number - first + 1) - loop.time())
    await asyncio.sleep(0.03)


def burst(port: int, packets: int, *, ssrc: int = 7) -> None:
    """Send packets all at once; they wait on the recorder's socket when this returns."""
    payload = bytes([LOUD[8]]) * _PAYLOAD_BYTES
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for number in range(packets):
            head = struct.pack("!BBHII", 0x80, 8, number, number * 160, ssrc)
            phone.sendto(head + payload, ("127.0.0.1", port))


Span = tuple[float, float]
"""Unix times between which something happened."""


async def hang_up(*placed: Placed) -> Span:
    """Hang up all of them at once."""
    before = time.time()
    await asyncio.gather(*(p.call.bye() for p in placed))
    return before, time.time()


def _headers(uuid: str, dbid: int | None) -> Sequence[tuple[str, str]]:
    headers = [(CALL_UUID, uuid)]
    return headers if dbid is None else [*headers, (PROFILE_DBID, str(dbid))]
