"""The receiving socket of a leg, and a block of received datagrams cut into its calls' parts.

A block holds a few hundred datagrams of some fifty calls. Its columns are made once, by numpy; a
call's part is then four slices of bytes.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcp_sim.recording.journal.frames import ROW_SIZE, PacketColumns
from mcp_sim.rtp.receiver import Received, RtpPort


class LegPort(RtpPort):
    """The receiving socket of leg `leg` of call `recording_id`; `overflowed` were given up."""

    __slots__ = ("leg", "overflowed", "recording_id", "udp")

    def __init__(self, recording_id: str, leg: int, udp: socket.socket, now_ns: int) -> None:
        super().__init__(udp, now_ns)
        self.recording_id = recording_id
        self.leg = leg
        self.udp = udp
        self.overflowed = 0


class CallPart(NamedTuple):
    """What one call received; `counts[i]` of the packets belong to `ports[i]`."""

    recording_id: str
    ports: list[LegPort]
    counts: list[int]
    columns: PacketColumns

    @property
    def size(self) -> int:
        """Bytes that it takes in memory and in the journal."""
        return len(self.columns.data) + ROW_SIZE * len(self.columns.leg)


def call_parts(received: Received[LegPort]) -> Iterator[CallPart]:
    """Give one part per run of ports of the same call, in the order of `received`."""
    counts = received.counts
    arrival = received.arrival_ns.astype("<i8", copy=False).tobytes()
    length = received.length.astype("<u2").tobytes()
    legs = np.repeat(np.array([port.leg for port in received.ports], np.uint8), counts).tobytes()
    rows_behind = np.cumsum(counts)
    bytes_behind = np.cumsum(received.length)[rows_behind - 1].tolist()
    first, row, byte = 0, 0, 0
    for recording_id, run in itertools.groupby(received.ports, lambda port: port.recording_id):
        ports = list(run)
        last = first + len(ports)
        row_end, byte_end = int(rows_behind[last - 1]), bytes_behind[last - 1]
        columns = PacketColumns(
            arrival[8 * row : 8 * row_end],
            length[2 * row : 2 * row_end],
            legs[row:row_end],
            received.data[byte:byte_end],
        )
        yield CallPart(recording_id, ports, counts[first:last], columns)
        first, row, byte = last, row_end, byte_end
