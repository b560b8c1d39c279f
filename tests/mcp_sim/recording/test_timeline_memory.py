"""The timeline's memory does not grow with the call."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np

from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.timeline.timeline import Timeline

from .synthetic_call import MS, T0, call

_PACKET = 172


def _talk(seconds: int) -> Iterator[PacketBatch]:
    """Two legs talk without a break; a batch holds 20 seconds."""
    legs = np.array([0, 1] * 1000, np.uint8)
    for begin in range(0, seconds * 50, 1000):
        frame = np.repeat(np.arange(begin, begin + 1000), 2)
        packets = np.full((2000, _PACKET), 0x55, np.uint8)
        packets[:, :2] = 0x80, 8
        packets[:, 2:4] = frame.astype(">u2").view(np.uint8).reshape(-1, 2)
        packets[:, 4:8] = (frame * 160).astype(">u4").view(np.uint8).reshape(-1, 4)
        packets[:, 11] = legs
        yield PacketBatch(
            T0 + frame * 20 * MS,
            legs,
            np.arange(2000, dtype=np.int64) * _PACKET,
            np.full(2000, _PACKET, np.int64),
            np.zeros(2000, np.bool_),
            packets.tobytes(),
        )


def test_two_hours_need_no_more_memory_than_ten_minutes() -> None:
    """The peak stays under 24 MB however long the call is, and nothing of it is missing."""
    seconds = 2 * 3600
    timeline = Timeline(call(seconds * 1000, legs=2), channels=2)
    given = 0
    tracemalloc.start()
    try:
        for batch in _talk(seconds):
            given += sum(block.shape[1] for block in timeline.write(batch))
        given += sum(block.shape[1] for block in timeline.finish())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert given == seconds * 8000
    assert [report.packets for report in timeline.reports()] == [seconds * 50] * 2
    assert [report.lost for report in timeline.reports()] == [0, 0]
    assert peak < 24_000_000
