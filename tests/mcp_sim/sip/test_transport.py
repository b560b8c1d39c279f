"""The sockets under the agent: bad peers on TCP, bounds, connections that come and go."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from mcp_sim.sip import AgentLimits, SipAgent
from mcp_sim.sip.transport import TransportLimits
from tests.mcp_sim.sip.endpoints import WAIT, Recorder, agent
from tests.mcp_sim.sip.wire import message_text, vector

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(callee: SipAgent) -> Streams:
    return await asyncio.open_connection(*callee.address)


async def read_message(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(WAIT):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


async def closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(WAIT):
        return await reader.read() == b""


def options(branch: str = "z9hG4bK-o") -> bytes:
    return message_text(
        "OPTIONS sip:r@127.0.0.1 SIP/2.0", branch=branch, via="SIP/2.0/TCP 127.0.0.1:9"
    )


async def test_messages_in_pieces_and_together_are_answered() -> None:
    """Several messages in one segment, and one in many, are each answered on the connection."""
    async with agent() as callee:
        reader, writer = await connect(callee)
        data = b"\r\n\r\n" + options("z9hG4bK-1") + options("z9hG4bK-2")
        writer.write(data)
        for byte in options("z9hG4bK-3"):
            writer.write(bytes([byte]))
            await writer.drain()
        for index in (1, 2, 3):
            assert f"branch=z9hG4bK-{index}" in await read_message(reader)
        writer.close()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("513_too_long.sip", 513),
        ("513_body_announced.sip", 513),
        ("400_two_lengths.sip", 400),
        ("400_negative_length.sip", 400),
    ],
)
async def test_stream_that_cannot_be_cut_is_answered_and_closed(name: str, code: int) -> None:
    """A head that makes the rest unreadable gets its refusal, then the connection is closed."""
    async with agent() as callee:
        reader, writer = await connect(callee)
        writer.write(vector(f"malformed/{name}"))
        assert (await read_message(reader)).startswith(f"SIP/2.0 {code} ")
        assert await closed(reader)
        writer.close()


async def test_malformed_message_keeps_the_connection() -> None:
    """A message that is bad but well framed gets 400, and the connection goes on."""
    async with agent() as callee:
        reader, writer = await connect(callee)
        writer.write(vector("malformed/400_cseq_method.sip") + options())
        assert (await read_message(reader)).startswith("SIP/2.0 400 ")
        assert (await read_message(reader)).startswith("SIP/2.0 200 ")
        writer.close()


async def test_half_a_message_does_not_hold_a_connection() -> None:
    """A peer that stops in the middle of a message is cut off, as is one that says nothing."""
    transport = TransportLimits(partial_timeout=0.05, idle_timeout=0.2, sweep_every=0.02)
    async with agent(limits=AgentLimits(transport=transport)) as callee:
        reader, writer = await connect(callee)
        writer.write(options()[:50])
        idle_reader, idle_writer = await connect(callee)
        assert await closed(reader)
        assert await closed(idle_reader)
        assert callee.transport_counters.expired == 2
        writer.close()
        idle_writer.close()


async def test_connections_are_bounded() -> None:
    """Above the bound a new connection is closed at once, and the old ones go on."""
    limits = AgentLimits(transport=TransportLimits(connections=2))
    async with agent(limits=limits) as callee:
        held = [await connect(callee) for _ in range(2)]
        for reader, writer in held:
            writer.write(options())
            assert "200 OK" in await read_message(reader)
        reader, writer = await connect(callee)
        assert await closed(reader)
        assert callee.transport_counters.refused == 1
        for _, other in [*held, (reader, writer)]:
            other.close()


async def test_peer_that_does_not_read_is_cut_off() -> None:
    """A connection whose peer reads nothing is dropped above the write bound."""
    limits = AgentLimits(transport=TransportLimits(write_buffer=20_000))

    async def flood(writer: asyncio.StreamWriter) -> None:
        for index in range(1_000_000):
            writer.write(options(f"z9hG4bK-{index}"))
            await writer.drain()

    async with agent(limits=limits, send_buffer=4096) as callee:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as small:
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            small.connect(callee.address)
            small.setblocking(False)
            _, writer = await asyncio.open_connection(sock=small, limit=1)
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(WAIT):
                    await flood(writer)
            writer.close()
        assert callee.transport_counters.send_failures > 0
        assert callee.transport_counters.connected == 0


async def test_answer_finds_a_peer_whose_connection_is_gone() -> None:
    """When the request's connection is closed, the response goes to the Via's port (§18.2.2)."""
    recorder = Recorder()
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.put(await read_message(reader))
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, agent(recorder) as callee:
        reader, writer = await connect(callee)
        writer.write(
            message_text(
                via=f"SIP/2.0/TCP 127.0.0.1:{port}",
                contact=f"<sip:127.0.0.1:{port};transport=tcp>",
            )
        )
        assert "200 OK" in await read_message(reader)
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(WAIT):
            assert (await asked.get()).startswith("SIP/2.0 200 OK")  # repeated, no ACK came


def test_datagrams_that_wait_are_answered() -> None:
    """An inherited socket holds what came while nobody read it: even the first one is answered.

    On uvloop, as the platform runs: it reads before it says that the socket is open.
    """

    async def answers(udp: socket.socket, caller: socket.socket) -> list[bytes]:
        agent = SipAgent(user_agent="test")
        await agent.open(udp)
        try:
            return [await asyncio.to_thread(caller.recv, 4096) for _ in range(3)]
        finally:
            await agent.close()

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        caller.bind(("127.0.0.1", 0))
        caller.settimeout(WAIT)
        via = f"SIP/2.0/UDP 127.0.0.1:{caller.getsockname()[1]}"
        for number in range(3):
            message = message_text(
                "OPTIONS sip:r@127.0.0.1 SIP/2.0", call_id=f"call-{number}", via=via
            )
            caller.sendto(message, udp.getsockname())
        found = uvloop.run(answers(udp, caller))
    assert all(answer.startswith(b"SIP/2.0 200") for answer in found)
