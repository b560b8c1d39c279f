"""Agents on real loopback sockets, with short timers, for the tests of the shell."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from mcp_sim.sip import AgentLimits, IncomingCall, SipAgent, SipTls, Timers
from mcp_sim.sip.agent import InviteHandler

QUICK = Timers(t1=0.02, t2=0.16, t4=0.1, trying=0.02)
WAIT = 10.0  # seconds: the bound of every wait in these tests, never reached when all is well


def bound_pair() -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a listening TCP socket on the same free loopback port."""
    for _ in range(50):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        udp.setblocking(False)
        tcp.setblocking(False)
        return udp, tcp
    raise OSError("no port is free for both UDP and TCP")


@contextlib.asynccontextmanager
async def agent(
    on_invite: InviteHandler | None = None,
    *,
    timers: Timers = QUICK,
    limits: AgentLimits | None = None,
    send_buffer: int = 0,
    tls: SipTls | None = None,
    secure: socket.socket | None = None,
) -> AsyncIterator[SipAgent]:
    """An open agent, closed at the end; `send_buffer` bounds what the kernel holds for TCP.

    `secure` listens for TLS, which is spoken with `tls`.
    """
    opened = SipAgent(user_agent="test", on_invite=on_invite, timers=timers, limits=limits, tls=tls)
    udp, tcp = bound_pair()
    if send_buffer:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # accepted ones inherit
    await opened.open(udp, tcp, secure)
    try:
        async with asyncio.timeout(60):
            yield opened
    finally:
        await opened.close()


class Recorder:
    """An application that accepts each call and keeps it."""

    def __init__(self, answer: bytes = b"v=0 answer") -> None:
        self.calls: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self._answer = answer

    async def __call__(self, call: IncomingCall) -> None:
        """Accept the call and hand it to the test."""
        await call.answer(self._answer)
        await self.calls.put(call)

    async def next_call(self) -> IncomingCall:
        """The next call that was accepted."""
        async with asyncio.timeout(WAIT):
            return await self.calls.get()
