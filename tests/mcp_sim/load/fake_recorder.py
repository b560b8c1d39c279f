"""A recorder for the caller's tests: answers SIPREC, GIR and plain INVITEs, keeps what it hears.

It writes each stream where its packets' timestamps say, on one clock for all streams, and takes
who is who from the signalling alone: what a real recorder does, without its troubles.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np

from mcp_sim.load import g711
from mcp_sim.load.decode import Sound
from mcp_sim.sip import IncomingCall, InfoReceived, SipAgent
from mcp_sim.sip.gir import CALL_UUID, GirCall
from mcp_sim.sip.msml import MsmlResult, parse_commands
from mcp_sim.sip.multipart import split_body
from mcp_sim.sip.offer_answer import AudioLine, build_answer, usable_lines
from mcp_sim.sip.sdp import SessionDescription
from mcp_sim.sip.siprec import SERVER_PARAMETER, RecordingSession
from service_shell.listening import bind_pair


class Listener(asyncio.DatagramProtocol):
    """Keeps the datagrams of one stream with their times."""

    def __init__(self, line: AudioLine) -> None:
        self.line = line
        self.packets: list[tuple[float, bytes]] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep a datagram."""
        self.packets.append((time.monotonic(), data))


@dataclass
class Heard:
    """One recording: its streams by channel, and what the signalling said."""

    answered: float
    streams: list[tuple[int, Listener]] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    ended: float = 0.0

    def sound(self, channels: int = 2) -> Sound:
        """Return the recording, each stream placed by its first packet's arrival."""
        count = round((self.ended - self.answered) * 8000)
        out = np.zeros((channels, count), np.float32)
        for channel, stream in self.streams:
            law: g711.Law = "pcma" if stream.line.codecs[0].name == "pcma" else "pcmu"
            stamps = [int.from_bytes(data[4:8], "big") for _, data in stream.packets]
            anchor = min(
                at * 8000 - ((stamp - stamps[0]) & 0xFFFFFFFF)
                for (at, _), stamp in zip(stream.packets, stamps, strict=True)
            )
            begin = round(anchor - self.answered * 8000)
            for (_, data), stamp in zip(stream.packets, stamps, strict=True):
                at = begin + ((stamp - stamps[0]) & 0xFFFFFFFF)
                codes = np.frombuffer(data[12:], np.uint8)[: max(count - at, 0)]
                out[channel, at : at + len(codes)] = g711.decode(codes, law)
        return Sound(out)


class FakeRecorder:
    """Answers calls; `recordings` are its results by call UUID."""

    def __init__(
        self, *, refuse: int = 0, cause: str = "", hang_up_after: float = 0.0, silent: bool = False
    ) -> None:
        self.recordings: dict[str, Heard] = {}
        self.requests: list[tuple[str, str]] = []
        self.ended_by: list[str] = []
        self.rung = asyncio.Event()
        self._refuse, self._hang_up_after = refuse, hang_up_after
        self._cause, self._silent = cause, silent
        self._transports: list[asyncio.DatagramTransport] = []
        self._agent = SipAgent(user_agent="fake recorder", on_invite=self._on_invite)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, for UDP and TCP."""
        return self._agent.address

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeRecorder]:
        """Serve within the block."""
        udp, tcp = bind_pair("127.0.0.1:0")
        with udp, tcp:
            await self._agent.open(udp, tcp)
            try:
                yield self
            finally:
                await self._agent.close()
                for transport in self._transports:
                    transport.close()
                await asyncio.sleep(0)

    async def vanish(self) -> None:
        """Close every socket without a word, as a killed process does."""
        await self._agent._transports.close()

    async def _on_invite(self, call: IncomingCall) -> None:
        request = call.request
        uuid = request.header(CALL_UUID) or ""
        self.requests.append((str(request.uri), uuid))
        self.rung.set()
        if self._silent:
            self.ended_by.append((await call.wait_ended()).by)
            return
        if self._refuse:
            reason = f'SIP;cause={self._refuse};text="{self._cause}"'
            headers = [("Reason", reason)] if self._cause else []
            await call.reject(self._refuse, "No", headers)
            return
        bodies = split_body(request.content_type, request.body)
        assert bodies.sdp is not None
        offer = SessionDescription.parse(bodies.sdp)
        lines = usable_lines(offer)
        gir = GirCall.read(request.uri, request.header)
        listeners = [await self._listen(line) for line in lines]
        ports = {line.index: port for line, (port, _) in zip(lines, listeners, strict=True)}
        answer = build_answer(offer, lines, ports, host="127.0.0.1", session_id=1)
        sent_ns = await call.answer(answer.encode(), contact_parameters=SERVER_PARAMETER)
        heard = self.recordings.setdefault(uuid, Heard(sent_ns / 1e9))
        for line, (_, listener) in zip(lines, listeners, strict=True):
            heard.streams.append((self._channel(line, bodies.rs_metadata, gir), listener))
        if self._hang_up_after:
            await asyncio.sleep(self._hang_up_after)
            await call.bye()
        async for event in call.events:
            if isinstance(event, InfoReceived):
                heard.parameters |= parse_commands(event.body)[0].parameters
                await event.answer(MsmlResult(200).encode(), "application/msml+xml")
        assert call.ended is not None
        heard.ended = time.monotonic()
        self.ended_by.append(call.ended.by)

    async def _listen(self, line: AudioLine) -> tuple[int, Listener]:
        transport, listener = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Listener(line), local_addr=("127.0.0.1", 0)
        )
        self._transports.append(transport)
        port: int = transport.get_extra_info("sockname")[1]
        return port, listener

    @staticmethod
    def _channel(line: AudioLine, metadata: bytes | None, gir: GirCall | None) -> int:
        if gir is not None:
            return 0 if gir.dn.startswith("+") else 1
        if metadata is None:
            return 0
        speaker = RecordingSession.parse(metadata).speakers()[line.label][0]
        return 0 if speaker.aor.startswith(("tel:", "sip:+")) else 1
