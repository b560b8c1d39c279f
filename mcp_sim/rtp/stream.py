"""One RTP stream to be sent: its packets made in blocks of two seconds, sent one at a time.

Headers are filled in by numpy for a whole block; sending one packet is one `send` on a connected
socket of the stream's own, which measured faster than `sendmmsg` with a single message.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

Frames: TypeAlias = npt.NDArray[np.uint8]
FrameSource: TypeAlias = Frames | Callable[[int, int], Frames]
"""uint8[frames, bytes per frame], or a function of (first frame, count) that returns such rows,
fewer than `count` when the stream ends there."""

BLOCK_FRAMES = 100
_HEADER_SIZE = 12


class StreamFormat(msgspec.Struct, frozen=True):
    """How payload frames become RTP packets. Random start values are drawn where None stands."""

    payload_type: int
    samples_per_frame: int = 160
    ssrc: int | None = None
    first_sequence: int | None = None
    first_timestamp: int | None = None


class StreamReport(msgspec.Struct, frozen=True):
    """What was sent. Times are CLOCK_MONOTONIC in ns, None when nothing was sent.

    `failed` packets were refused by the kernel; their sequence numbers are missing on the wire.
    `unreachable` counts answers that nobody listens at the target.
    """

    ssrc: int
    sent: int
    failed: int
    unreachable: int
    first_sent_ns: int | None
    last_sent_ns: int | None


class PacketBlock:
    """Makes the packets of one stream, `BLOCK_FRAMES` at a time."""

    def __init__(self, source: FrameSource, form: StreamFormat) -> None:
        self.ssrc = _chosen(form.ssrc, 4)
        self._source = source
        self._form = form
        self._sequence = _chosen(form.first_sequence, 2)
        self._timestamp = _chosen(form.first_timestamp, 4)
        self._frame = 0
        self.packet_size = 0

    def next(self) -> memoryview:
        """Return the next packets, one behind the other; empty when the source has ended."""
        rows = self._rows()
        count, size = rows.shape
        if not count:
            return memoryview(b"")
        packets = np.empty((count, _HEADER_SIZE + size), np.uint8)
        self._fill_headers(packets, count)
        packets[:, _HEADER_SIZE:] = rows
        self._frame += count
        self.packet_size = _HEADER_SIZE + size
        return packets.reshape(-1).data

    def _rows(self) -> Frames:
        if callable(self._source):
            return self._source(self._frame, BLOCK_FRAMES)
        return self._source[self._frame : self._frame + BLOCK_FRAMES]

    def _fill_headers(self, packets: Frames, count: int) -> None:
        frame = self._frame + np.arange(count, dtype=np.uint64)
        sequence = (self._sequence + frame).astype(">u2")
        timestamp = (self._timestamp + frame * self._form.samples_per_frame).astype(">u4")
        packets[:, 0] = 0x80
        packets[:, 1] = self._form.payload_type
        if self._frame == 0:
            packets[0, 1] |= 0x80  # the marker: begin of a talkspurt (RFC 3551 §4.1)
        packets[:, 2:4] = sequence.view(np.uint8).reshape(-1, 2)
        packets[:, 4:8] = timestamp.view(np.uint8).reshape(-1, 4)
        packets[:, 8:12] = np.frombuffer(self.ssrc.to_bytes(4, "big"), np.uint8)


class RtpStream:
    """One leg's sender with its own socket and source port, driven by an `RtpSender`."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, 0))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._blocks: PacketBlock | None = None
        self._packets = memoryview(b"")
        self._at = 0
        self._sent = self._failed = self._unreachable = 0
        self._first_sent_ns: int | None = None
        self._last_sent_ns: int | None = None

    def prepare(self, target: tuple[str, int], source: FrameSource, form: StreamFormat) -> None:
        """Name the peer and what it shall get. Raises `OSError` for an impossible target."""
        self._socket.connect(target)
        self._blocks = PacketBlock(source, form)
        self._packets, self._at = memoryview(b""), 0

    def send_next(self) -> bool:
        """Send one packet; False when there is none left."""
        if self._at >= len(self._packets) and not self._refill():
            return False
        assert self._blocks is not None
        end = self._at + self._blocks.packet_size
        packet = self._packets[self._at : end]
        self._at = end
        self._last_sent_ns = time.monotonic_ns()
        if self._first_sent_ns is None:
            self._first_sent_ns = self._last_sent_ns
        try:
            self._socket.send(packet)
        except OSError as error:
            self._send_again(packet, error)
        else:
            self._sent += 1
        return True

    def report(self) -> StreamReport:
        """Return what was sent until now."""
        return StreamReport(
            self._blocks.ssrc if self._blocks else 0,
            self._sent,
            self._failed,
            self._unreachable,
            self._first_sent_ns,
            self._last_sent_ns,
        )

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _refill(self) -> bool:
        if self._blocks is None:
            return False
        self._packets, self._at = self._blocks.next(), 0
        return len(self._packets) > 0

    def _send_again(self, packet: memoryview, error: OSError) -> None:
        """After an ICMP error, which belongs to an earlier packet and kept this one back."""
        if isinstance(error, ConnectionRefusedError):
            self._unreachable += 1
            try:
                self._socket.send(packet)
            except OSError:
                self._failed += 1
            else:
                self._sent += 1
        else:
            self._failed += 1


def _chosen(value: int | None, size: int) -> int:
    return int.from_bytes(os.urandom(size), "big") if value is None else value
