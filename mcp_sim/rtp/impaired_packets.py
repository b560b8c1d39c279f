"""The packets of an impaired stream, made in blocks and handed out when they are to leave.

What happens to each is decided in `impairment`; here it becomes RTP. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.impairment.account import Account, account
from mcp_sim.rtp.impairment.departure import departures
from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import (
    BLOCK_FRAMES,
    HEADER_SIZE,
    MARKER,
    Frames,
    FrameSource,
    StreamFormat,
    big_endian,
    chosen,
    fill_headers,
    frame_rows,
)

Int64s = npt.NDArray[np.int64]


class ImpairedPackets:
    """One stream's packets in the order in which they leave."""

    def __init__(self, source: FrameSource, form: StreamFormat, fate: LegFate) -> None:
        self.ssrc = chosen(form.ssrc, 4)
        self.fate = fate
        self.began_ns: int | None = None
        self.elapsed_ns = -1
        self._source, self._form = source, form
        self._sequence = chosen(form.first_sequence, 2)
        self._timestamp = chosen(form.first_timestamp, 4)
        self._frame = 0
        self._frames: int | None = None  # that the source has, once it has ended
        self._packets = memoryview(b"")
        self._left: list[int] = []
        self._at = self._size = 0

    @property
    def frames(self) -> int:
        """How many frame times have passed by the sender's clock, which does not drift."""
        return self.elapsed_ns // self.fate.frame_ns + 1

    @property
    def ended(self) -> bool:
        """Whether the source has ended and everything has left."""
        return self._at >= len(self._left) and self._over()

    def leaving(self, elapsed_ns: int) -> Iterator[memoryview]:
        """Give the packets that leave until `elapsed_ns` after the begin, in order."""
        self.elapsed_ns = elapsed_ns
        while True:
            if self._at >= len(self._left) and not self._refill():
                return
            if self._left[self._at] > elapsed_ns:
                return
            begin = self._at * self._size
            self._at += 1
            yield self._packets[begin : begin + self._size]

    def account(self, rebindings: int) -> Account:
        """Return what has been done to the stream until now."""
        return account(self.fate, self.elapsed_ns, frames=self._frames, rebindings=rebindings)

    def _over(self) -> bool:
        return self._frames is not None and self._frame - self.fate.farthest >= self._frames

    def _refill(self) -> bool:
        """Make the next packets; False where there are none left, or none of them is due."""
        while self._at >= len(self._left):
            due_ns = self.fate.due_ns(np.array([self._frame], np.int64))
            if self._over() or int(due_ns[0]) > self.elapsed_ns:
                return False
            self._make(self._frame)
            self._frame += BLOCK_FRAMES
        return True

    def _make(self, first: int) -> None:
        held = min(self.fate.farthest, first)
        rows = frame_rows(self._source, first - held, BLOCK_FRAMES + held)
        if len(rows) < BLOCK_FRAMES + held and self._frames is None:
            self._frames = first - held + len(rows)
        due = departures(self.fate, first, BLOCK_FRAMES)
        there = due.frame - (first - held) < len(rows)
        frame = due.frame[there]
        payload = rows[frame - (first - held)]
        packets = np.empty((len(frame), HEADER_SIZE + rows.shape[1]), np.uint8)
        self._fill(packets, frame)
        packets[:, HEADER_SIZE:] = payload
        self._size = packets.shape[1]
        self._packets = packets.reshape(-1).data
        self._left, self._at = due.left_ns[there].tolist(), 0

    def _fill(self, packets: Frames, frame: Int64s) -> None:
        """Write the headers; behind a change of the SSRC all numbers begin anew."""
        fate, draws, change = self.fate, self.fate.draws, self.fate.change_frame
        behind = frame >= change if change is not None else np.zeros(len(frame), np.bool_)
        since = np.full(1, change or 0, np.int64)
        number = fate.numbers(frame) + self._sequence
        number[behind] += draws.second_sequence - self._sequence - fate.numbers(since)
        time = frame * self._form.samples_per_frame + self._timestamp
        time[behind] += draws.second_timestamp - self._timestamp
        time[behind] -= since * self._form.samples_per_frame
        ssrc = np.where(behind, self.ssrc ^ draws.ssrc_mask, self.ssrc)
        fill_headers(packets, self._form.payload_type, number, time, big_endian(ssrc, ">u4"))
        packets[fate.spurts(frame), 1] |= MARKER
