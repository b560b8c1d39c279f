"""What leaves a call's buffer, and what a pause takes away."""

from __future__ import annotations

import struct

import pytest

from mcp_sim.recording.capture.buffer import CallBuffer
from mcp_sim.recording.journal.frames import PacketBatch, decode_packets
from tests.mcp_sim.recording.journals import columns

VOICE = b"somebody says a card number" * 6


def rtp(sequence: int, *, extension: bool = False) -> bytes:
    header = struct.pack("!BBHII", 0x90 if extension else 0x80, 8, sequence, 160 * sequence, 7)
    return header + (struct.pack("!HHI", 0xBEDE, 1, 9) if extension else b"")


def packets(batch: PacketBatch) -> list[tuple[int, bytes, bool]]:
    return [
        (int(batch.arrival_ns[i]), batch.packet(i), bool(batch.header_only[i]))
        for i in range(len(batch))
    ]


@pytest.fixture
def buffer() -> CallBuffer:
    return CallBuffer()


def test_packets_leave_as_they_came(buffer: CallBuffer) -> None:
    """Chunks are joined in order; afterwards nothing waits."""
    buffer.add(columns([(1, 0, b"a"), (2, 1, b"bc")]))
    buffer.add(columns([(3, 0, b"def")]))
    assert buffer.size == 6 + 3 * 11
    batch = decode_packets(buffer.take())
    assert packets(batch) == [(1, b"a", False), (2, b"bc", False), (3, b"def", False)]
    assert batch.leg.tolist() == [0, 1, 0]
    assert buffer.size == 0
    assert buffer.take() == b""


def test_paused_span_keeps_headers_only(buffer: CallBuffer) -> None:
    """From the pause to the resumption, only RTP headers leave, extensions included."""
    at = [10, 20, 30, 40]
    extended = [False, True, False, True]
    buffer.add(
        columns([(t, 0, rtp(t, extension=e) + VOICE) for t, e in zip(at, extended, strict=True)])
    )
    buffer.pause(20)
    buffer.resume(40)
    payload = buffer.take()
    assert packets(decode_packets(payload)) == [
        (10, rtp(10) + VOICE, False),
        (20, rtp(20, extension=True), True),
        (30, rtp(30), True),
        (40, rtp(40, extension=True) + VOICE, False),
    ]
    assert payload.count(VOICE) == 2


def test_open_pause_holds_over_flushes(buffer: CallBuffer) -> None:
    """A pause that nobody has ended holds for all that comes, flush after flush."""
    buffer.pause(10)
    for at in (10, 500, 10**12):
        buffer.add(columns([(at, 0, rtp(1) + VOICE)]))
        assert packets(decode_packets(buffer.take())) == [(at, rtp(1), True)]


def test_several_pauses_are_kept_apart(buffer: CallBuffer) -> None:
    """Two pauses within one flush time: what is between them is whole."""
    buffer.pause(10)
    buffer.resume(20)
    buffer.pause(30)
    buffer.add(columns([(t, 0, rtp(t) + VOICE) for t in (5, 15, 25, 35)]))
    kept = [header_only for _, _, header_only in packets(decode_packets(buffer.take()))]
    assert kept == [False, True, False, True]


def test_straggler_of_an_ended_pause_is_still_stripped(buffer: CallBuffer) -> None:
    """A packet that arrived in the pause but was taken from its socket later has no payload."""
    buffer.pause(10)
    buffer.resume(100)
    buffer.add(columns([(90, 0, rtp(1) + VOICE)]))
    buffer.take()
    buffer.add(columns([(95, 1, rtp(2) + VOICE), (105, 0, rtp(3) + VOICE)]))
    assert packets(decode_packets(buffer.take())) == [
        (95, rtp(2), True),
        (105, rtp(3) + VOICE, False),
    ]


def test_second_pause_and_stray_resume_change_nothing(buffer: CallBuffer) -> None:
    """A pause within a pause keeps the first time; a resumption without a pause is none."""
    buffer.resume(5)
    buffer.pause(10)
    buffer.pause(30)
    buffer.resume(40)
    buffer.resume(60)
    buffer.add(columns([(t, 0, rtp(t) + VOICE) for t in (8, 20, 50)]))
    kept = [header_only for _, _, header_only in packets(decode_packets(buffer.take()))]
    assert kept == [False, True, False]


def test_what_is_no_rtp_leaves_a_pause_without_bytes(buffer: CallBuffer) -> None:
    """In a pause nothing is kept of datagrams whose header is not known."""
    buffer.pause(0)
    buffer.add(columns([(1, 0, VOICE), (2, 0, rtp(1) + VOICE)]))
    assert packets(decode_packets(buffer.take())) == [(1, b"", True), (2, rtp(1), True)]
