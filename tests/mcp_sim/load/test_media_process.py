"""The media process sends each call's legs together, on time, and from the right packet on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest

from mcp_sim.load import g711
from mcp_sim.load import media_wire as wire
from mcp_sim.load.media_client import MediaClient, MediaFailed
from mcp_sim.load.media_process import MediaProcess
from mcp_sim.load.signature import LEGS
from mcp_sim.rtp.impairment import Impairment
from mcp_sim.rtp.sender import RtpSender

MS = 1_000_000


class Bench:
    """A media process in this one, its clock, and a socket that its packets go to."""

    def __init__(self) -> None:
        self.now = 5_000 * MS
        self.sender = RtpSender("127.0.0.1")
        self.media = MediaProcess(self.sender, None, lambda: self.now)
        self.sink = socket.socket(type=socket.SOCK_DGRAM)
        self.sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sink.bind(("127.0.0.1", 0))
        self.sink.setblocking(False)

    def open(self, call: int, legs: int = 2) -> None:
        """Open a call's sockets."""
        opened = self.media.handle(wire.OpenCall(call, legs))
        assert isinstance(opened, wire.Opened)
        assert len(set(opened.addresses)) == legs

    def start(self, call: int, *indices: int, wrong: Impairment | None = None) -> None:
        """Start legs of a call."""
        host, port = self.sink.getsockname()
        legs = [
            wire.LegStart(i, LEGS[i], f"CALL{call}", "pcmu", 0, host, port, wrong) for i in indices
        ]
        self.media.handle(wire.StartLegs(call, legs))

    def stop(self, call: int) -> wire.Stopped:
        """Stop a call."""
        return cast("wire.Stopped", self.media.handle(wire.StopCall(call)))

    def pass_time(self, milliseconds: int) -> None:
        """Let the sender send what falls due."""
        for _ in range(milliseconds):
            self.now += MS
            self.sender.send_due(self.now)

    def received(self) -> list[bytes]:
        """Return the datagrams that arrived since the last time."""
        found = []
        while True:
            try:
                found.append(self.sink.recv(2000))
            except BlockingIOError:
                return found


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench, closed afterwards."""
    bench = Bench()
    yield bench
    bench.media.close()
    bench.sink.close()


def test_legs_of_a_call_leave_together(bench: Bench) -> None:
    """Among many calls, both legs of each send in the same millisecond."""
    for call in range(30):
        bench.open(call)
        bench.start(call, 0, 1)
        bench.pass_time(3)
    bench.received()
    ssrc_of = {}
    for millisecond in range(20):
        bench.pass_time(1)
        for packet in bench.received():
            ssrc_of[packet[8:12]] = millisecond
    for call in range(30):
        slots = {ssrc_of[leg.ssrc.to_bytes(4, "big")] for leg in bench.stop(call).legs}
        assert len(slots) == 1


def test_a_later_leg_goes_on_where_its_sibling_is(bench: Bench) -> None:
    """A leg that starts later begins with the packet that its sibling sends at that moment."""
    bench.open(1)
    bench.start(1, 0)
    bench.pass_time(205)
    bench.start(1, 1)
    bench.pass_time(200)
    first, second = bench.stop(1).legs
    assert (first.first, second.first) == (0, first.packets - second.packets)
    assert second.packets == 10


@pytest.mark.parametrize("first_is_impaired", [True, False])
def test_legs_share_a_clock_whatever_is_lost(bench: Bench, first_is_impaired: bool) -> None:
    """Beside a leg that loses half of its packets the other one goes on where time is."""
    half = Impairment(loss=0.5)
    bench.open(1)
    bench.start(1, 0, wrong=half if first_is_impaired else None)
    bench.pass_time(405)
    bench.start(1, 1, wrong=None if first_is_impaired else half)
    bench.pass_time(400)
    first, second = bench.stop(1).legs
    assert (first.first, second.first) == (0, 21)
    done = (first if first_is_impaired else second).impaired
    assert done is not None
    assert done.cells == (41 if first_is_impaired else 20)
    unsent = [cell for run, count in done.unsent for cell in range(run, run + count)]
    assert (first if first_is_impaired else second).packets == done.cells - len(unsent)
    assert min(unsent) >= (0 if first_is_impaired else 21)
    assert len(unsent) > 3


def test_a_mute_leg_is_opened_and_silent(bench: Bench) -> None:
    """One way: the socket is there for the offer, nothing leaves it, and the report says so."""
    bench.open(1)
    bench.start(1, 1, wrong=Impairment(one_way=True))
    bench.start(1, 0)
    bench.pass_time(205)
    first, second = bench.stop(1).legs
    assert first.packets == len(bench.received()) == 11
    assert (second.packets, second.first_ns) == (0, None)
    assert second.impaired is not None
    assert second.impaired.one_way


def test_a_held_up_sender_does_not_hurry_new_calls(bench: Bench) -> None:
    """After a hold-up running calls catch up; a call that begins then sends what is due."""
    bench.open(1)
    bench.open(2)
    bench.start(1, 0)
    bench.pass_time(20)
    bench.now += 800 * MS
    bench.start(2, 0)
    bench.pass_time(100)
    assert bench.stop(1).legs[0].packets == 46
    assert bench.stop(2).legs[0].packets == 5


def test_packets_carry_the_signature(bench: Bench) -> None:
    """The payload of each packet is the signature's, with type, marker and rising numbers."""
    from mcp_sim.load.payload import LegPayload

    bench.open(3, legs=1)
    bench.start(3, 0)
    bench.pass_time(1100)
    packets = bench.received()
    payload = np.frombuffer(b"".join(packet[12:] for packet in packets), np.uint8)
    wanted = LegPayload("CALL3", "customer", "pcmu").packets(0, len(packets))
    assert len(packets) == 55
    assert np.array_equal(payload, wanted.reshape(-1))
    assert [packet[1] for packet in packets[:2]] == [0x80 | g711.PAYLOAD_TYPE["pcmu"], 0]
    numbers = np.array([int.from_bytes(packet[2:4], "big") for packet in packets])
    assert set(np.diff(numbers) % 65536) == {1}


def test_what_was_never_started_reports_nothing(bench: Bench) -> None:
    """A call that was opened only, or is unknown, sent nothing."""
    bench.open(4)
    assert bench.stop(4).legs == []
    assert bench.stop(99).legs == []


def test_an_impossible_target_is_reported(bench: Bench) -> None:
    """A target that no socket takes is named in the answer, and the other leg goes on."""
    bench.open(5)
    bench.media.handle(
        wire.StartLegs(5, [wire.LegStart(0, "customer", "X", "pcmu", 0, "300.1.1.1", 9)])
    )
    bench.start(5, 1)
    bench.pass_time(40)
    stopped = bench.stop(5)
    assert "RTP to 300.1.1.1:9 could not be sent" in stopped.error
    assert [leg.index for leg in stopped.legs if leg.packets] == [1]


async def test_a_dead_media_process_is_noticed() -> None:
    """When the process is gone, what is asked of it fails with a reason instead of waiting."""
    async with MediaClient("127.0.0.1") as media:
        assert len(await media.open_call(1, 2)) == 2
        assert media._process is not None
        media._process.kill()
        await media._process.wait()
        await asyncio.wait_for(asyncio.shield(media._reading or asyncio.Future()), 10)
        with pytest.raises(MediaFailed, match="has ended"):
            await media.open_call(2, 2)


async def test_the_process_ends_with_its_caller() -> None:
    """Leaving the client ends the process at once, and it says what it used before."""
    async with MediaClient("127.0.0.1") as media:
        used = await media.finish()
        process = media._process
    assert used.cpu_seconds > 0
    assert process is not None
    assert process.returncode == 0
