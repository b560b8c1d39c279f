"""Empties many RTP sockets in one go: recvmmsg per socket, everything else per block of datagrams.

A tick every 100 ms finds several datagrams in each socket, so one system call fetches them all, and
times, lengths and bytes come out as columns. That costs less than half of `recvmsg_into`, which
parses each control message into objects. Times are the kernel's, on CLOCK_MONOTONIC.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.arrival import monotonic_arrivals
from mcp_sim.rtp.kernel_clock import KernelClock
from mcp_sim.rtp.mmsg import MessageBlock

SLOT_SIZE = 2048
"""The longest datagram that is taken; RTP over Ethernet stays under 1,500 bytes."""
_SLOTS = 512
_BURST = 32
_MOST_BURSTS = 64


class RtpPort:
    """A receiving socket and what happened on it.

    `packets` were received, `dropped` by the kernel because the socket's queue was full,
    `oversized` were longer than `SLOT_SIZE` (they count as packets, with no bytes).
    """

    __slots__ = ("descriptor", "dropped", "errors", "oversized", "packets", "since_ns")

    def __init__(self, udp: socket.socket, now_ns: int) -> None:
        self.descriptor = udp.fileno()
        self.since_ns = now_ns
        self.packets = 0
        self.dropped = 0
        self.oversized = 0
        self.errors = 0


P = TypeVar("P", bound=RtpPort)


@dataclass(frozen=True, slots=True, eq=False)
class Received(Generic[P]):
    """N datagrams, those of one port together: `counts[i]` of them belong to `ports[i]`.

    `arrival_ns` int64[N] CLOCK_MONOTONIC, `length` int64[N], `data` without gaps.
    """

    ports: list[P]
    counts: list[int]
    arrival_ns: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    data: bytes


class Receiver(Generic[P]):
    """Drains ports and hands what came to `deliver`, a block at a time, ports in given order."""

    def __init__(self, clock: KernelClock, deliver: Callable[[Received[P]], None]) -> None:
        self._clock = clock
        self._deliver = deliver
        self._block = MessageBlock(_SLOTS, SLOT_SIZE)
        self._ports: list[P] = []
        self._counts: list[int] = []
        self._since: list[int] = []
        self._filled = 0
        self._began_ns = 0

    def drain(self, ports: Iterable[P]) -> None:
        """Take all that waits on `ports`; of a flooded port, at most 2,048 datagrams."""
        self._began_ns = time.monotonic_ns()
        for port in ports:
            for _ in range(_MOST_BURSTS):
                if self._filled + _BURST > _SLOTS:
                    self._hand_over()
                if not self._receive(port):
                    break
        self._hand_over()

    def _receive(self, port: P) -> bool:
        """Take one burst; say whether there may be more."""
        try:
            count = self._block.receive(port.descriptor, self._filled, _BURST)
        except OSError:
            port.errors += 1
            return False
        if count:
            self._ports.append(port)
            self._counts.append(count)
            self._since.append(port.since_ns)
            self._filled += count
            port.packets += count
        if count == _BURST:
            return True
        port.since_ns = self._began_ns
        return False

    def _hand_over(self) -> None:
        count, self._filled = self._filled, 0
        if not count:
            return
        self._clock.refresh()
        now_ns = time.monotonic_ns()
        arrival = monotonic_arrivals(
            self._block.stamps(count),
            np.repeat(np.array(self._since, np.int64), self._counts),
            now_ns,
            self._clock.offset_ns,
            self._clock.earlier_offset_ns,
        )
        length = self._block.lengths(count)
        ports, counts = self._ports, self._counts
        self._note_oddities(count, length)
        data = self._block.packed(count, length)
        self._block.reset(count)
        self._ports, self._counts, self._since = [], [], []
        self._began_ns = now_ns
        self._deliver(Received(ports, counts, arrival, length, data))

    def _note_oddities(self, count: int, length: npt.NDArray[np.int64]) -> None:
        """Count drops and oversized datagrams on their ports; give the latter length 0."""
        drops = self._block.drops(count)
        oversized = np.flatnonzero(length < 0)
        if not drops and not len(oversized):
            return
        ends = np.cumsum(self._counts)
        for slot, total in drops:
            port = self._ports[int(np.searchsorted(ends, slot, side="right"))]
            port.dropped = total
        for slot in oversized.tolist():
            self._ports[int(np.searchsorted(ends, slot, side="right"))].oversized += 1
        length[oversized] = 0
