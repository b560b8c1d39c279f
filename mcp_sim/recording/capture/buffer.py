"""A call's packets between the socket and the journal, and what a pause takes away from them.

Pure. Packets wait here for at most one flush time. Those that arrived in a paused span leave as
bare RTP headers: their payload never reaches a journal. What is no RTP leaves without any byte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcp_sim.recording.journal.frames import (
    HEADER_ONLY,
    ROW_SIZE,
    PacketBatch,
    PacketColumns,
    decode_packets,
    encode_packets,
)
from mcp_sim.rtp.packets import header_sizes


class CallBuffer:
    """Packets of one call that are not yet in its journal. `size` is how many bytes they take."""

    def __init__(self) -> None:
        self._chunks: list[PacketColumns] = []
        self._pauses: list[tuple[int, int | None]] = []
        self.size = 0

    def add(self, chunk: PacketColumns) -> None:
        """Take packets as they came."""
        self._chunks.append(chunk)
        self.size += len(chunk.data) + ROW_SIZE * len(chunk.leg)

    def pause(self, at_ns: int) -> None:
        """Strip what arrived at `at_ns` (CLOCK_MONOTONIC) or later. A second pause is no other."""
        if not self._pauses or self._pauses[-1][1] is not None:
            self._pauses.append((at_ns, None))

    def resume(self, at_ns: int) -> None:
        """End the pause at `at_ns`."""
        if self._pauses and self._pauses[-1][1] is None:
            self._pauses[-1] = (self._pauses[-1][0], at_ns)

    def take(self) -> bytes:
        """Return what waits as a PACKETS payload, b"" when nothing does."""
        if not self._chunks:
            return b""
        payload = encode_packets(self._chunks)
        self._chunks = []
        self.size = 0
        return self._strip(payload) if self._pauses else payload

    def _strip(self, payload: bytes) -> bytes:
        batch = decode_packets(payload)
        paused = np.zeros(len(batch), np.bool_)
        for start, end in self._pauses:
            inside = batch.arrival_ns >= start
            paused |= inside if end is None else inside & (batch.arrival_ns < end)
        oldest = int(batch.arrival_ns.min())
        self._pauses = [(s, e) for s, e in self._pauses if e is None or e > oldest]
        return encode_packets([_without_payloads(batch, paused)]) if paused.any() else payload


def _without_payloads(batch: PacketBatch, paused: npt.NDArray[np.bool_]) -> PacketColumns:
    headers = header_sizes(batch.data, batch.offset, batch.length)
    length = np.where(paused, headers, batch.length)
    data = b"".join(
        batch.data[start : start + size]
        for start, size in zip(batch.offset.tolist(), length.tolist(), strict=True)
    )
    marked = length | np.where(paused, HEADER_ONLY, 0)
    return PacketColumns(
        batch.arrival_ns.astype("<i8").tobytes(),
        marked.astype("<u2").tobytes(),
        batch.leg.tobytes(),
        data,
    )
