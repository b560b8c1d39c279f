"""The agent on real loopback sockets: calls over UDP and TCP, both ways, and their ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Literal

import pytest
import uvloop

from mcp_sim.sip import (
    Acked,
    AgentLimits,
    CallBusy,
    CallGone,
    CallRefused,
    CallTimeout,
    Ended,
    IncomingCall,
    InfoReceived,
    OutgoingCall,
    Reinvited,
    SipAgent,
    Timers,
    TransportFailed,
    Updated,
)
from tests.mcp_sim.sip.endpoints import QUICK, WAIT, Recorder, agent, bound_pair
from tests.mcp_sim.sip.wire import message_text

TransportKind = Literal["udp", "tcp"]
TRANSPORTS: tuple[TransportKind, ...] = ("udp", "tcp")
both_transports = pytest.mark.parametrize("transport", ["udp", "tcp"])


def ipv6_works() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def invite(
    caller: SipAgent, callee: SipAgent, transport: TransportKind = "udp", body: bytes = b"v=0"
) -> OutgoingCall:
    return await caller.invite(
        callee.address, uri="sip:record@127.0.0.1", body=body, transport=transport, timeout=WAIT
    )


@both_transports
async def test_call_is_placed_answered_and_hung_up(transport: TransportKind) -> None:
    """A call comes up with both bodies, and the caller's BYE ends it on both sides."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        placed = await invite(caller, callee, transport)
        taken = await recorder.next_call()
        assert (placed.status, placed.body, placed.content_type) == (
            200,
            b"v=0 answer",
            "application/sdp",
        )
        assert (taken.request.body, taken.request.content_type) == (b"v=0", "application/sdp")
        assert taken.call_id == placed.call_id
        assert taken.request.source.transport == transport
        assert isinstance(await taken.events.get(), Acked)
        await placed.bye()
        assert await taken.events.get() == Ended("bye")
        assert await taken.wait_ended() == Ended("bye")
        assert await placed.events.get() == Ended("local")
        await placed.bye()
        with pytest.raises(CallGone):
            await placed.info("text/plain", b"x")
        with pytest.raises(CallGone):
            await placed.events.get()
        assert callee.core.open_calls == caller.core.open_calls == 0


@both_transports
async def test_called_side_hangs_up(transport: TransportKind) -> None:
    """The BYE of the called side finds the caller, over TCP on the caller's own connection."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        placed = await invite(caller, callee, transport)
        taken = await recorder.next_call()
        await taken.bye()
        assert [event async for event in placed.events] == [Ended("bye")]
        assert callee.transport_counters.connected == 0


async def test_answer_returns_when_it_was_sent() -> None:
    """`answer` returns CLOCK_MONOTONIC nanoseconds within the call's own span."""
    stamps: list[int] = []

    async def on_invite(call: IncomingCall) -> None:
        stamps.append(await call.answer(b"v=0", contact_parameters=";+sip.srs"))

    async with agent(on_invite) as callee, agent() as caller:
        before = time.monotonic_ns()
        placed = await invite(caller, callee)
        assert before < stamps[0] < time.monotonic_ns()
        assert (placed.response.header("Contact") or "").endswith(">;+sip.srs")


@both_transports
async def test_call_is_changed_from_both_sides(transport: TransportKind) -> None:
    """re-INVITE, UPDATE and INFO reach the other side as events and get their answers."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        placed = await invite(caller, callee, transport)
        taken = await recorder.next_call()
        await taken.events.get()

        async def serve() -> None:
            reinvited = await taken.events.get()
            assert isinstance(reinvited, Reinvited)
            await reinvited.answer(b"v=0 re-answer")
            assert isinstance(await taken.events.get(), Acked)
            info = await taken.events.get()
            assert isinstance(info, InfoReceived)
            assert info.content_type == "application/msml+xml"
            await info.answer(b"<result/>", "application/msml+xml")
            update = await taken.events.get()
            assert isinstance(update, Updated)
            await update.reject(488, "Not now")

        serving = asyncio.create_task(serve())
        assert (await placed.reinvite(b"v=0 re-offer")).body == b"v=0 re-answer"
        answer = await placed.info("application/msml+xml", b"<msml/>")
        assert (answer.body, answer.content_type) == (b"<result/>", "application/msml+xml")
        refused = await placed.update(b"v=0 update")
        assert (refused.code, refused.phrase) == (488, "Not now")
        await serving
        assert placed.ended is None

        changing = asyncio.create_task(taken.reinvite(b"v=0 from the called side"))
        event = await placed.events.get()
        assert isinstance(event, Reinvited)
        with pytest.raises(CallBusy):
            await placed.reinvite(b"v=0")
        await event.answer(b"v=0 ok")
        assert (await changing).body == b"v=0 ok"


async def test_refusal_carries_code_reason_and_headers() -> None:
    """A refused call raises CallRefused with what the peer said."""

    async def on_invite(call: IncomingCall) -> None:
        await call.provisional(183)
        await call.reject(488, "No common codec", [("Reason", 'lab;text="pcmu or pcma"')])

    async with agent(on_invite) as callee, agent() as caller:
        with pytest.raises(CallRefused, match="the peer answered 488 No common codec") as caught:
            await invite(caller, callee)
        assert ("Reason", 'lab;text="pcmu or pcma"') in caught.value.headers


async def test_handler_without_an_answer_makes_500() -> None:
    """A handler that returns or fails without an answer refuses the call with 500."""

    async def forgets(call: IncomingCall) -> None:
        return

    async def fails(call: IncomingCall) -> None:
        raise ZeroDivisionError

    for handler in (forgets, fails):
        async with agent(handler) as callee, agent() as caller:
            with pytest.raises(CallRefused) as caught:
                await invite(caller, callee)
            assert caught.value.code == 500


async def test_agent_without_handler_is_not_available() -> None:
    """An agent that only places calls answers 480."""
    async with agent() as callee, agent() as caller:
        with pytest.raises(CallRefused, match="480"):
            await invite(caller, callee)


async def test_impatient_caller_cancels() -> None:
    """A caller whose time is over, or who is cancelled, sends CANCEL; the called side learns it."""
    ringing: asyncio.Queue[IncomingCall] = asyncio.Queue()

    async def on_invite(call: IncomingCall) -> None:
        await call.provisional(180)
        await ringing.put(call)
        await call.wait_ended()

    async with agent(on_invite) as callee, agent() as caller:
        with pytest.raises(CallTimeout, match=r"within 0\.05 s"):
            await caller.invite(callee.address, uri="sip:r@127.0.0.1", timeout=0.05)
        first = await ringing.get()
        assert await first.wait_ended() == Ended("cancel")
        with pytest.raises(CallGone):
            await first.answer(b"v=0")
        placing = asyncio.create_task(invite(caller, callee))
        second = await ringing.get()
        placing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await placing
        assert await second.wait_ended() == Ended("cancel")


async def test_missing_ack_ends_the_call() -> None:
    """A peer that never acknowledges gets our 200 again and again, and then BYE."""
    recorder = Recorder()
    async with agent(recorder) as callee:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.setblocking(False)
            here = f"127.0.0.1:{peer.getsockname()[1]}"
            invitation = message_text(via=f"SIP/2.0/UDP {here}", contact=f"<sip:{here}>")
            loop = asyncio.get_running_loop()
            await loop.sock_sendto(peer, invitation, callee.address)
            taken = await recorder.next_call()
            assert await taken.wait_ended() == Ended("ack-missing")
            lines: list[bytes] = []
            while not lines or not lines[-1].startswith(b"BYE"):
                lines.append((await loop.sock_recv(peer, 4096)).split(b"\r\n")[0])
        assert lines.count(b"SIP/2.0 200 OK") >= 5


async def test_nobody_there_is_a_failure() -> None:
    """A dead UDP peer is a time-out, a closed TCP port and an unknown name fail at once."""
    async with agent() as caller:
        udp, tcp = bound_pair()
        tcp.close()
        with udp:
            dead = udp.getsockname()
            with pytest.raises(CallTimeout, match="did not answer"):
                await caller.invite(dead, uri="sip:r@127.0.0.1", timeout=WAIT)
            with pytest.raises(TransportFailed):
                await caller.invite(dead, uri="sip:r@127.0.0.1", transport="tcp", timeout=WAIT)
            with pytest.raises(TransportFailed):
                await caller.options(dead, transport="tcp")
        with pytest.raises(TransportFailed, match=r"no-such-host\.invalid was not found"):
            await caller.invite(("no-such-host.invalid", 5060), uri="sip:r@127.0.0.1")


async def test_host_names_are_looked_up() -> None:
    """A target may be a name."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        placed = await caller.invite(("localhost", callee.address[1]), uri="sip:r@localhost")
        await placed.bye()


@both_transports
async def test_options_show_that_a_peer_lives(transport: TransportKind) -> None:
    """OPTIONS is answered 200 before any call."""
    async with agent() as callee, agent() as caller:
        response = await caller.options(callee.address, transport=transport)
        assert response.code == 200
        assert "INVITE" in response.header_values("Allow")


async def test_large_invite_goes_over_udp_when_asked() -> None:
    """An INVITE above 1300 bytes goes out over UDP all the same; above a datagram it fails."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        await invite(caller, callee, body=b"v=0 " + b"x" * 20_000)
        assert len((await recorder.next_call()).request.body) == 20_004
        with pytest.raises(TransportFailed):
            await invite(caller, callee, body=b"x" * 70_000)
        with pytest.raises(CallRefused, match="513"):
            await invite(caller, callee, "tcp", body=b"x" * 70_000)


async def test_calls_over_one_connection() -> None:
    """Calls over TCP to one peer share one connection."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        calls = await asyncio.gather(*(invite(caller, callee, "tcp") for _ in range(20)))
        assert caller.transport_counters.connected == 1
        await asyncio.gather(*(call.bye() for call in calls))
        assert callee.transport_counters.connected == 0


async def test_calls_above_the_bound_get_503() -> None:
    """Above the bound on calls an INVITE is refused with Retry-After, and later accepted."""
    recorder = Recorder()
    async with agent(recorder, limits=AgentLimits(calls=1)) as callee, agent() as caller:
        first = await invite(caller, callee)
        with pytest.raises(CallRefused, match="503") as caught:
            await invite(caller, callee)
        assert ("Retry-After", "5") in caught.value.headers
        await first.bye()
        await invite(caller, callee)


async def test_drain_refuses_new_calls_and_keeps_old_ones() -> None:
    """After `refuse_new_calls` new INVITEs get 503 while open calls go on."""
    recorder = Recorder()
    async with agent(recorder) as callee, agent() as caller:
        placed = await invite(caller, callee)
        callee.refuse_new_calls()
        with pytest.raises(CallRefused, match="503"):
            await invite(caller, callee)
        assert placed.ended is None
        await placed.bye()


async def test_close_hangs_up_and_leaves_no_waiter() -> None:
    """Closing hangs up open calls, refuses waiting ones, and settles everybody who waits."""
    recorder = Recorder()

    async def on_invite(call: IncomingCall) -> None:
        if call.request.body:
            await recorder(call)
        await call.wait_ended()

    async with agent(on_invite) as callee, agent() as caller:
        placed = await invite(caller, callee)
        waiting = asyncio.create_task(invite(caller, callee, body=b""))
        await recorder.next_call()
        while callee.core.open_calls < 2:
            await asyncio.sleep(0)
        await callee.close()
        with pytest.raises(CallRefused, match="503"):
            await waiting
        assert await placed.wait_ended() == Ended("bye")
        with pytest.raises(RuntimeError):
            assert callee.core
        await callee.close()
        lost = asyncio.create_task(invite(caller, callee))
        await asyncio.sleep(0)
        await caller.close()
        with pytest.raises(CallGone):
            await lost
        with pytest.raises(CallGone):
            await caller.options(("127.0.0.1", 9))


async def test_close_is_bounded() -> None:
    """A peer that does not answer BYE cannot hold the agent's end."""
    recorder = Recorder()
    slow = Timers(t1=5.0)
    async with agent(recorder, timers=slow) as callee:
        caller = SipAgent(user_agent="test", timers=slow)
        await caller.open(*bound_pair())
        await invite(caller, callee)
        (await recorder.next_call())._session.dialog.remote_target = "sip:127.0.0.1:9"
        caller._transports.send = lambda transmit: None  # type: ignore[method-assign]  # a mute peer
        started = time.monotonic()
        await callee.close(grace=0.2)
        assert time.monotonic() - started < 5.0
        await caller.close(grace=0.0)


async def test_handler_that_will_not_end_cannot_hold_the_close() -> None:
    """A handler that ignores its cancellation is left behind after the grace, its call hung up."""
    release = asyncio.Event()
    released = asyncio.Event()

    async def stubborn(call: IncomingCall) -> None:
        await call.answer(b"v=0")
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
        released.set()

    async with agent(stubborn) as callee, agent() as caller:
        placed = await invite(caller, callee)
        await callee.close(grace=0.1)
        assert await placed.wait_ended() == Ended("bye")
        release.set()
        await released.wait()


async def test_wildcard_socket_names_the_way_to_the_peer() -> None:
    """On all addresses the Contact names the one that leads to the peer, or what is advertised."""
    recorder = Recorder()
    for advertise, host in (("", "127.0.0.1"), ("198.51.100.7", "198.51.100.7")):
        callee = SipAgent(user_agent="test", on_invite=recorder, timers=QUICK, advertise=advertise)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", 0))
        udp.setblocking(False)
        await callee.open(udp)
        async with agent() as caller:
            port = callee.address[1]
            response = await caller.options(("127.0.0.1", port))
            assert response.header("Contact") == f"<sip:{host}:{port}>"
        await callee.close()


@pytest.mark.skipif(not ipv6_works(), reason="this machine has no IPv6 loopback")
async def test_calls_over_ipv6() -> None:
    """Addresses of IPv6 are written in brackets where they have to be, and calls come up."""
    recorder = Recorder()
    callee = SipAgent(user_agent="test", on_invite=recorder, timers=QUICK)
    caller = SipAgent(user_agent="test", timers=QUICK)
    for opened in (callee, caller):
        tcp = socket.create_server(("::1", 0), family=socket.AF_INET6)
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        udp.bind(tcp.getsockname()[:2])
        udp.setblocking(False)
        tcp.setblocking(False)
        await opened.open(udp, tcp)
    for transport in TRANSPORTS:
        placed = await invite(caller, callee, transport)
        taken = await recorder.next_call()
        assert f"<sip:[::1]:{callee.address[1]}" in (placed.response.header("Contact") or "")
        await taken.bye()
        assert await placed.wait_ended() == Ended("bye")
    await caller.close()
    await callee.close()


def test_agent_runs_on_uvloop() -> None:
    """The shell works on uvloop as on the standard loop."""

    async def call() -> None:
        recorder = Recorder()
        async with agent(recorder) as callee, agent() as caller:
            for transport in TRANSPORTS:
                placed = await invite(caller, callee, transport)
                await placed.bye()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())
