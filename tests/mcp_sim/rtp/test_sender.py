"""Sending: packets as RFC 3550 has them, phases spread, counts exact."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from mcp_sim.rtp.packet_block import BLOCK_FRAMES, StreamFormat
from mcp_sim.rtp.packets import RtpPackets, parse_packets
from mcp_sim.rtp.sender import SLOT_MS, RtpSender

FRAME_NS = 20_000_000
SLOT_NS = SLOT_MS * 1_000_000
PCMA = StreamFormat(payload_type=8, ssrc=7, first_sequence=65530, first_timestamp=2**32 - 320)
Frames = npt.NDArray[np.uint8]


class Ear:
    """A socket that hears what a stream sends."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()
        self.sources: set[tuple[str, int]] = set()

    def heard(self) -> list[bytes]:
        datagrams: list[bytes] = []
        while True:
            try:
                data, source = self.socket.recvfrom(2048)
            except BlockingIOError:
                return datagrams
            datagrams.append(data)
            self.sources.add(source)


@pytest.fixture
def sender() -> Iterator[RtpSender]:
    sender = RtpSender()
    yield sender
    sender.close_all()


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    yield ear
    ear.socket.close()


def frames(count: int, size: int = 160, seed: int = 1) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (count, size), dtype=np.uint8)


def parsed(datagrams: list[bytes]) -> RtpPackets:
    length = np.array([len(d) for d in datagrams], np.int64)
    return parse_packets(b"".join(datagrams), np.cumsum(length) - length, length)


def send_all(sender: RtpSender, frames_due: int, start_ns: int = 0) -> None:
    """Drive the sender's clock over some frame times, slot by slot."""
    for now_ns in range(start_ns, start_ns + frames_due * FRAME_NS, SLOT_NS):
        sender.send_due(now_ns)


def test_packets_carry_the_frames_and_count_on(sender: RtpSender, ear: Ear) -> None:
    """Sequence and timestamp wrap, the marker is on the first packet only, payloads are exact."""
    source = frames(12)
    stream = sender.open()
    sender.start(stream, ear.address, source, PCMA)
    send_all(sender, 12)
    datagrams = ear.heard()
    packets = parsed(datagrams)
    assert [d[12:] for d in datagrams] == [row.tobytes() for row in source]
    assert packets.sequence.tolist() == [(65530 + i) % 65536 for i in range(12)]
    assert packets.timestamp.tolist() == [(2**32 - 320 + 160 * i) % 2**32 for i in range(12)]
    assert packets.marker.tolist() == [True] + [False] * 11
    assert set(packets.ssrc.tolist()) == {7}
    assert set(packets.payload_type.tolist()) == {8}
    assert ear.sources == {stream.address}


def test_stream_ends_with_its_frames(sender: RtpSender, ear: Ear) -> None:
    """More than one block of frames is sent to the last one, then the stream is over by itself."""
    count = BLOCK_FRAMES + 7
    stream = sender.open()
    sender.start(stream, ear.address, frames(count), PCMA)
    assert sender.sending(stream)
    send_all(sender, count + 2)
    assert len(ear.heard()) == count
    assert not sender.sending(stream)
    assert sender.active == 0
    assert stream.report().sent == count


def test_frames_may_come_from_a_function(sender: RtpSender, ear: Ear) -> None:
    """A function is asked block by block with the number of its first frame."""
    source = frames(BLOCK_FRAMES + 30)
    asked: list[tuple[int, int]] = []

    def rows(first: int, count: int) -> Frames:
        asked.append((first, count))
        return source[first : first + count]

    sender.start(sender.open(), ear.address, rows, PCMA)
    send_all(sender, BLOCK_FRAMES + 32)
    assert [d[12:] for d in ear.heard()] == [row.tobytes() for row in source]
    assert [first for first, _ in asked] == [0, BLOCK_FRAMES, BLOCK_FRAMES + 30]


def test_random_start_values_differ(sender: RtpSender, ear: Ear) -> None:
    """Without given values SSRC, sequence and timestamp are drawn anew for each stream."""
    for _ in range(4):
        sender.start(sender.open(), ear.address, frames(1), StreamFormat(payload_type=0))
    send_all(sender, 1)
    packets = parsed(ear.heard())
    assert len(set(packets.ssrc.tolist())) == 4
    assert len(set(packets.timestamp.tolist())) == 4


def test_streams_are_spread_evenly_over_the_frame(sender: RtpSender, ear: Ear) -> None:
    """Streams started together get different phases, as many in each slot."""
    streams = [sender.open() for _ in range(15)]
    for stream in streams:
        sender.start(stream, ear.address, frames(3), PCMA)
    counts = []
    for now_ns in range(0, FRAME_NS, SLOT_NS):
        sender.send_due(now_ns)
        counts.append(len(ear.heard()))
    assert counts == [3] * (20 // SLOT_MS)


def test_stream_beside_another_shares_its_instants(sender: RtpSender, ear: Ear) -> None:
    """Two legs of one call can be made to send at the same instants."""
    first, second = sender.open(), sender.open()
    sender.start(first, ear.address, frames(5), PCMA)
    sender.start(second, ear.address, frames(5), PCMA, beside=first)
    counts = []
    for now_ns in range(0, FRAME_NS, SLOT_NS):
        sender.send_due(now_ns)
        counts.append(len(ear.heard()))
    assert sorted(counts, reverse=True)[:2] == [2, 0]


def test_overdue_packets_are_sent_late_but_complete(sender: RtpSender, ear: Ear) -> None:
    """A sender that was held up catches up and says by how much it was late."""
    sender.start(sender.open(), ear.address, frames(20), PCMA)
    sender.send_due(0)
    sender.send_due(200_000_000)
    assert len(ear.heard()) == 11
    assert sender.worst_lag_ns >= 180_000_000


def test_time_without_streams_is_not_caught_up(sender: RtpSender, ear: Ear) -> None:
    """A stream that starts after an idle hour begins now, not with an hour of packets."""
    sender.send_due(0)
    sender.start(sender.open(), ear.address, frames(200), PCMA)
    hour = 3_600_000_000_000
    send_all(sender, 3, start_ns=hour)
    assert 0 < len(ear.heard()) <= 4


def test_stop_reports_what_was_sent_and_when(sender: RtpSender, ear: Ear) -> None:
    """The report has the exact count and the monotonic times of first and last packet."""
    stream = sender.open()
    assert stream.report().first_sent_ns is None
    before = time.monotonic_ns()
    sender.start(stream, ear.address, frames(50), PCMA)
    send_all(sender, 4)
    after = time.monotonic_ns()
    report = sender.stop(stream)
    send_all(sender, 4, start_ns=4 * FRAME_NS)
    assert report.sent == len(ear.heard()) == 4
    assert report.ssrc == 7
    assert report.first_sent_ns is not None
    assert report.last_sent_ns is not None
    assert before <= report.first_sent_ns <= report.last_sent_ns <= after
    assert (report.failed, report.unreachable) == (0, 0)


def test_deaf_target_is_counted_and_still_sent_to(sender: RtpSender) -> None:
    """When nobody listens, the refusals are counted and every packet still leaves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        target = taken.getsockname()
    stream = sender.open()
    sender.start(stream, target, frames(10), PCMA)
    send_all(sender, 10)
    report = sender.close(stream)
    assert report.sent + report.failed == 10
    assert report.unreachable > 0


def test_frame_time_must_fit_the_slots() -> None:
    """A frame time that the phases do not divide is refused."""
    with pytest.raises(ValueError, match="a frame time of 30 ms is not a multiple of 4 ms"):
        RtpSender(frame_ms=30)


async def test_run_sends_at_the_pace_of_the_clock(sender: RtpSender, ear: Ear) -> None:
    """`run` wakes for a stream that starts later, and never sends ahead of time."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sender.run())
        await asyncio.sleep(0)
        stream = sender.open()
        sender.start(stream, ear.address, frames(10), PCMA)
        while sender.sending(stream):
            await asyncio.sleep(0.01)
        running.cancel()
    report = stream.report()
    assert report.sent == 10
    assert report.first_sent_ns is not None
    assert report.last_sent_ns is not None
    assert report.last_sent_ns - report.first_sent_ns >= 8 * FRAME_NS


def test_header_is_version_two_without_extras(sender: RtpSender, ear: Ear) -> None:
    """The first byte says: version 2, no padding, no extension, no contributors."""
    sender.start(sender.open(), ear.address, frames(1), PCMA)
    send_all(sender, 1)
    assert struct.unpack("!BB", ear.heard()[0][:2]) == (0x80, 0x88)
