"""SIP over TLS on loopback: calls both ways on one connection, who is believed, and bad peers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_sim.sip import AgentLimits, OutgoingCall, SipAgent, SipTls, TransportFailed
from mcp_sim.sip.agent import InviteHandler
from mcp_sim.sip.dialog import hop_of
from mcp_sim.sip.hop import Hop, TransportName
from mcp_sim.sip.transport import TransportLimits
from service_shell.tls import ServerTls
from tests.mcp_sim.sip.endpoints import WAIT, Recorder, agent
from tests.mcp_sim.sip.test_dialog import dialog
from tests.mcp_sim.sip.wire import message_text, vector
from tests.service_shell.secured import believer, issue

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Callee:
    """An agent that listens for TLS, and where it does."""

    agent: SipAgent
    address: tuple[str, int]
    root: Path
    """The folder of the CA that vouches for it."""

    async def phone(self) -> Streams:
        """A connection of a bare phone that believes the CA."""
        return await asyncio.open_connection(*self.address, ssl=believer(self.root))


@asynccontextmanager
async def callee(
    root: Path,
    on_invite: InviteHandler | None = None,
    *,
    limits: AgentLimits | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Callee]:
    """An agent with a certificate of the CA in `root` for `host`."""
    tls = SipTls(ServerTls(issue(root, host=host)).context)
    door = socket.create_server(("127.0.0.1", 0))
    door.setblocking(False)
    async with agent(on_invite, limits=limits, tls=tls, secure=door) as opened:
        yield Callee(opened, door.getsockname(), root)


async def invite(
    caller: SipAgent, at: tuple[str, int], uri: str = "sip:record@127.0.0.1", name: str = ""
) -> OutgoingCall:
    return await caller.invite(
        at, uri=uri, body=b"v=0", transport="tls", timeout=WAIT, server_name=name
    )


async def read_message(reader: asyncio.StreamReader) -> str:
    """The head of the next message; its body is read too."""
    async with asyncio.timeout(WAIT):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.partition("Content-Length: ")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        return head


async def final_answer(reader: asyncio.StreamReader) -> str:
    while (head := await read_message(reader)).startswith("SIP/2.0 1"):
        pass
    return head


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(WAIT):
        return await reader.read() == b""


def header(head: str, name: str) -> str:
    return head.partition(f"\r\n{name}: ")[2].partition("\r\n")[0]


def invite_text(uri: str = "sip:r@127.0.0.1", contact: str = "<sip:p@127.0.0.1:9>") -> bytes:
    return message_text(
        f"INVITE {uri} SIP/2.0", via="SIP/2.0/TLS 127.0.0.1:9", contact=contact, body=b"v=0"
    )


@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
async def test_a_call_over_tls(tmp_path: Path, hangs_up: str) -> None:
    """A call comes up and is ended by either side, all of it on one connection."""
    recorder = Recorder()
    async with (
        callee(tmp_path, recorder) as there,
        agent(tls=SipTls(client=believer(tmp_path))) as caller,
    ):
        placed = await invite(caller, there.address)
        taken = await recorder.next_call()
        assert placed.body == b"v=0 answer"
        assert taken.remote.transport == "tls"
        ends, waits = (placed, taken) if hangs_up == "caller" else (taken, placed)
        assert await ends.bye()
        async with asyncio.timeout(WAIT):
            await waits.wait_ended()
        assert (there.agent.open_connections, caller.open_connections) == (1, 1)
        assert there.agent.transport_counters.connected == 0
        assert caller.transport_counters.connected == 1


@pytest.mark.parametrize("uri", ["sip:r@127.0.0.1", "sips:r@127.0.0.1"])
async def test_how_an_answer_names_itself(tmp_path: Path, uri: str) -> None:
    """The Contact leads back to the TLS port; a SIPS URI is answered by one."""
    recorder = Recorder()
    async with callee(tmp_path, recorder) as there:
        reader, writer = await there.phone()
        writer.write(invite_text(uri))
        head = await final_answer(reader)
        assert head.startswith("SIP/2.0 200 ")
        assert header(head, "Via").startswith("SIP/2.0/TLS 127.0.0.1:9;")
        at = f"127.0.0.1:{there.address[1]}"
        wanted = f"<sips:{at}>" if uri.startswith("sips") else f"<sip:{at};transport=tls>"
        assert header(head, "Contact") == wanted
        writer.close()


async def test_requests_of_ours_stay_on_the_connection(tmp_path: Path) -> None:
    """Our BYE comes on the phone's connection though its Contact names TCP and another port."""
    recorder = Recorder()
    async with callee(tmp_path, recorder) as there:
        reader, writer = await there.phone()
        writer.write(invite_text(contact="<sip:p@127.0.0.1:9;transport=tcp>"))
        tag = header(await final_answer(reader), "To").partition(";tag=")[2]
        writer.write(
            message_text("ACK sip:r@127.0.0.1 SIP/2.0", via="SIP/2.0/TLS 127.0.0.1:9",
                         branch="z9hG4bK-ack", to_tag=tag)
        )  # fmt: skip
        ending = asyncio.create_task((await recorder.next_call()).bye())
        while not (bye := await read_message(reader)).startswith("BYE "):
            assert bye.startswith("SIP/2.0 200 ")  # repeated until the ACK was there
        assert bye.startswith("BYE sip:p@127.0.0.1:9;transport=tcp SIP/2.0\r\n")
        assert header(bye, "Via").startswith(f"SIP/2.0/TLS 127.0.0.1:{there.address[1]};")
        echoed = [
            f"{name}: {header(bye, name)}" for name in ("Via", "From", "To", "Call-ID", "CSeq")
        ]
        lines = ["SIP/2.0 200 OK", *echoed, "Content-Length: 0", "", ""]
        writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(WAIT):
            assert await ending
        writer.close()


async def test_whom_the_caller_believes(tmp_path: Path) -> None:
    """No INVITE leaves for a peer of another CA, of another name, or without TLS of our own."""
    recorder = Recorder()
    issue(tmp_path / "other")
    async with callee(tmp_path, recorder) as there:
        for tls, name in (
            (SipTls(client=believer(tmp_path / "other")), ""),
            (SipTls(client=believer(tmp_path)), "lab.example"),
            (SipTls(), ""),
        ):
            async with agent(tls=tls) as caller:
                with pytest.raises(TransportFailed):
                    await invite(caller, there.address, name=name)
                assert caller.transport_counters.send_failures == 1
        async with agent(tls=SipTls(client=believer(tmp_path))) as caller:
            assert await (await invite(caller, there.address, name="localhost")).bye()
        assert there.agent.counters.calls_in == 1


async def test_a_lost_connection_is_made_again_to_the_same_peer(tmp_path: Path) -> None:
    """The BYE goes over a new one; the peer proves the name that was called, not its address."""
    recorder = Recorder()
    async with (
        callee(tmp_path, recorder, host="lab.example") as there,
        agent(tls=SipTls(client=believer(tmp_path))) as caller,
    ):
        placed = await invite(caller, there.address, name="lab.example")
        for connection in list(there.agent._transports._connections.values()):
            assert connection.transport is not None
            connection.transport.abort()
        async with asyncio.timeout(WAIT):
            while caller.open_connections:
                await asyncio.sleep(0)
        assert await placed.bye()
        assert caller.transport_counters.connected == 2
        assert caller.transport_counters.send_failures == 0


async def test_malformed_data_over_tls(tmp_path: Path) -> None:
    """Bad messages are answered as over TCP, and what cannot be cut ends the connection."""
    async with callee(tmp_path) as there:
        reader, writer = await there.phone()
        writer.write(vector("malformed/400_cseq_method.sip"))
        assert (await read_message(reader)).startswith("SIP/2.0 400 ")
        writer.write(vector("malformed/400_two_lengths.sip"))
        assert (await read_message(reader)).startswith("SIP/2.0 400 ")
        assert await ended(reader)
        writer.close()


@pytest.mark.parametrize("said", [invite_text(), b"\0" * 500, b""])
async def test_what_is_no_tls_is_hung_up_on(tmp_path: Path, said: bytes) -> None:
    """Plain SIP, noise and silence get no answer, reach nobody, and end within their time."""
    limits = AgentLimits(transport=TransportLimits(handshake_timeout=0.2))
    async with callee(tmp_path, limits=limits) as there:
        reader, writer = await asyncio.open_connection(*there.address)
        writer.write(said)
        assert await ended(reader)
        writer.close()
        assert there.agent.counters.requests == there.agent.counters.malformed == 0
        assert there.agent.open_connections == 0


async def test_connections_are_bounded(tmp_path: Path) -> None:
    """TLS connections count among all: above the bound a new one is closed, the old one goes on."""
    limits = AgentLimits(transport=TransportLimits(connections=1))
    async with callee(tmp_path, limits=limits) as there:
        reader, writer = await there.phone()
        refused, other = await there.phone()
        assert await ended(refused)
        assert there.agent.transport_counters.refused == 1
        writer.write(vector("malformed/400_cseq_method.sip"))
        assert (await read_message(reader)).startswith("SIP/2.0 400 ")
        writer.close()
        other.close()


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    """Whoever says nothing after the handshake is cut off, as over TCP."""
    transport = TransportLimits(idle_timeout=0.05, sweep_every=0.02)
    async with callee(tmp_path, limits=AgentLimits(transport=transport)) as there:
        reader, writer = await there.phone()
        assert await ended(reader)
        assert there.agent.transport_counters.expired == 1
        writer.close()


@pytest.mark.parametrize(
    ("uri", "default", "wanted"),
    [
        ("sip:192.0.2.1;transport=tls", "udp", Hop("tls", "192.0.2.1", 5061)),
        ("sips:192.0.2.1", "tcp", Hop("tls", "192.0.2.1", 5061)),
        ("sips:192.0.2.1:5071;transport=tcp", "udp", Hop("tls", "192.0.2.1", 5071)),
        ("sip:192.0.2.1:5060;transport=udp", "tls", Hop("tls", "192.0.2.1", 5060)),
        ("sip:192.0.2.1", "tls", Hop("tls", "192.0.2.1", 5061)),
    ],
)
def test_where_a_secure_uri_leads(uri: str, default: TransportName, wanted: Hop) -> None:
    """SIPS and transport=tls lead to TLS, and nothing leads away from it."""
    assert hop_of(uri, default) == wanted


def test_a_dialog_that_began_with_sips() -> None:
    """The Request-URI or the Contact of the INVITE decides (RFC 3261 clause 12.1.1)."""
    assert dialog("<sips:a@192.0.2.33>").sips
    assert not dialog("<sip:a@192.0.2.33;transport=tls>").sips
