"""RTP packets as they lie in the journal, as columns on the call's clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.journal.frames import PacketBatch
from mcp_sim.recording.timeline.outline import SAMPLE_RATE, Outline
from mcp_sim.rtp.packets import parse_packets

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """N RTP packets in the journal's order, as columns (int64[N] unless said otherwise).

    `at` is the arrival in samples on the call's clock. `sequence`, `timestamp` and `ssrc` are as
    sent. The payload is ``data[offset[i] : offset[i] + size[i]]``. `unheard` bool[N]: came while
    the call was paused.
    """

    at: Int64s
    leg: npt.NDArray[np.uint8]
    payload_type: npt.NDArray[np.uint8]
    sequence: Int64s
    timestamp: Int64s
    ssrc: Int64s
    offset: Int64s
    size: Int64s
    unheard: Bools
    data: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.at)

    def select(self, which: slice | Int64s | Bools) -> Arrivals:
        """Return some of the packets."""
        return Arrivals(
            self.at[which],
            self.leg[which],
            self.payload_type[which],
            self.sequence[which],
            self.timestamp[which],
            self.ssrc[which],
            self.offset[which],
            self.size[which],
            self.unheard[which],
            self.data,
        )


def read_arrivals(batch: PacketBatch, call: Outline) -> Arrivals:
    """Return the RTP packets of a batch; what is no RTP is left out."""
    packets = parse_packets(batch.data, batch.offset, batch.length, batch.header_only)
    arrival_ns = batch.arrival_ns[packets.index]
    unheard = batch.header_only[packets.index]
    for begin, end in call.pauses:
        unheard = unheard | ((arrival_ns >= begin) & (arrival_ns < end))
    # Exact in int64 for 13 days around t0, the same rounding as `Outline.position`.
    at = ((arrival_ns - call.start_ns) * SAMPLE_RATE + 500_000_000) // 1_000_000_000
    return Arrivals(
        at,
        batch.leg[packets.index],
        packets.payload_type,
        packets.sequence,
        packets.timestamp,
        packets.ssrc,
        packets.payload_offset,
        packets.payload_length,
        unheard,
        np.frombuffer(batch.data, np.uint8),
    )
