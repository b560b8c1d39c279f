"""Calls with a program that others wrote: SIPp as caller and as called side, UDP and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_sim.sip import CallTimeout, IncomingCall, OutgoingCall, SipAgent, TransportFailed
from mcp_sim.sip.hop import TransportName
from mcp_sim.sip.offer_answer import OfferedStream, build_answer, build_offer, usable_lines
from mcp_sim.sip.sdp import SessionDescription
from mcp_sim.sip.transaction import Timers
from tests.mcp_sim.sip.endpoints import WAIT, agent
from tests.peers import peer

pytestmark = pytest.mark.peer

FLAGS = {"udp": "u1", "tcp": "t1"}
both_transports = pytest.mark.parametrize("transport", ["udp", "tcp"])


@contextlib.asynccontextmanager
async def sipp(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running SIPp, ended at the end."""
    process = await asyncio.create_subprocess_exec(
        str(peer("sipp")),
        *("-i", "127.0.0.1", "-nostdin", *arguments),
        cwd=folder,
        env={"TERM": "dumb"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Recording:
    """A recorder's side of a call: answers the offer and counts the ends."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.most = 0
        self._open = 0

    async def __call__(self, call: IncomingCall) -> None:
        """Take a call until its end."""
        offer = SessionDescription.parse(call.request.body)
        lines = usable_lines(offer)
        ports = {line.index: 40_000 for line in lines}
        answer = build_answer(offer, lines, ports, host="127.0.0.1", session_id=1)
        await call.answer(answer.encode())
        self._open += 1
        self.most = max(self.most, self._open)
        self.ends.append((await call.wait_ended()).by)
        self._open -= 1


@both_transports
async def test_sipp_calls_are_taken(tmp_path: Path, transport: str) -> None:
    """SIPp's own caller scenario ends 40 calls at 40 a second without one failure."""
    recording = Recording()
    async with agent(recording, timers=Timers()) as callee:
        host, port = callee.address
        calls = ("-sn", "uac", "-m", "40", "-r", "40", "-d", "300")
        where = ("-t", FLAGS[transport], "-s", "record", f"{host}:{port}")
        async with sipp(tmp_path, *calls, *where) as process:
            async with asyncio.timeout(30):
                _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
    assert recording.ends == ["bye"] * 40
    assert recording.most > 1
    assert callee.transport_counters.accepted == (1 if transport == "tcp" else 0)


async def place(caller: SipAgent, port: int, transport: TransportName) -> OutgoingCall:
    offer = build_offer([OfferedStream(40_000)], host="127.0.0.1", session_id=1)
    return await caller.invite(
        ("127.0.0.1", port),
        uri=f"sip:service@127.0.0.1:{port}",
        body=offer.encode(),
        transport=transport,
        timeout=WAIT,
    )


def free_port() -> int:
    """A port that SIPp can bind for either transport; it does not share one in TIME_WAIT."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        return int(tcp.getsockname()[1])


async def first_call(caller: SipAgent, port: int, transport: TransportName) -> OutgoingCall:
    """Place a call as soon as SIPp listens."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(TransportFailed, CallTimeout):
                return await place(caller, port, transport)
            await asyncio.sleep(0.05)  # until the connection is no longer refused


@both_transports
async def test_sipp_takes_our_calls(tmp_path: Path, transport: TransportName) -> None:
    """SIPp's own answering scenario takes our calls, and our BYEs end them."""
    port = free_port()
    where = ("-sn", "uas", "-t", FLAGS[transport], "-p", str(port))
    async with agent(timers=Timers(t1=0.1)) as caller, sipp(tmp_path, *where):
        calls = [await first_call(caller, port, transport)]
        calls += await asyncio.gather(*(place(caller, port, transport) for _ in range(9)))
        for call in calls:
            assert SessionDescription.parse(call.body).media[0].port > 0
        await asyncio.gather(*(call.bye() for call in calls))
        assert caller.core.open_calls == 0
        assert [call.ended.by for call in calls if call.ended] == ["local"] * 10
