"""Emptying many sockets at once: what is taken, when it arrived, what is counted."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest

from mcp_sim.rtp.kernel_clock import KernelClock
from mcp_sim.rtp.ports import RtpPorts
from mcp_sim.rtp.receiver import SLOT_SIZE, Received, Receiver, RtpPort


class Bench:
    """Some ports, a sender, and everything that was received."""

    def __init__(self, clock: KernelClock) -> None:
        self.clock = clock
        self.receiver: Receiver[RtpPort] = Receiver(clock, self._take)
        self.blocks: list[Received[RtpPort]] = []
        self.sockets: list[socket.socket] = []
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _take(self, received: Received[RtpPort]) -> None:
        self.blocks.append(received)

    def open(self, count: int, buffer_size: int = 1 << 18) -> list[RtpPort]:
        ports = RtpPorts("127.0.0.1", buffer_size=buffer_size)
        new = [ports.open() for _ in range(count)]
        self.sockets += new
        return [RtpPort(udp, time.monotonic_ns()) for udp in new]

    def send(self, index: int, data: bytes) -> None:
        self.sender.sendto(data, self.sockets[index].getsockname())

    def received(self) -> dict[RtpPort, list[bytes]]:
        found: dict[RtpPort, list[bytes]] = {}
        for block in self.blocks:
            ends = np.cumsum(block.length).tolist()
            starts = [0, *ends[:-1]]
            owners = np.repeat(np.arange(len(block.ports)), block.counts).tolist()
            for owner, start, end in zip(owners, starts, ends, strict=True):
                found.setdefault(block.ports[owner], []).append(block.data[start:end])
        return found

    def close(self) -> None:
        for udp in (*self.sockets, self.sender):
            udp.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with KernelClock() as clock:
        bench = Bench(clock)
        yield bench
        bench.close()


def test_datagrams_come_out_whole_in_order_and_per_port(bench: Bench) -> None:
    """Different lengths on several ports, one of them silent: every byte is where it belongs."""
    ports = bench.open(4)
    sent: dict[RtpPort, list[bytes]] = {}
    for turn in range(5):
        for index in (0, 1, 3):
            data = bytes([index, turn]) * (1 + 11 * turn + index)
            bench.send(index, data)
            sent.setdefault(ports[index], []).append(data)
    bench.receiver.drain(ports)
    assert bench.received() == sent
    assert [port.packets for port in ports] == [5, 5, 0, 5]


def test_more_than_a_block_is_taken_in_one_drain(bench: Bench) -> None:
    """Many ports with many datagrams fill several blocks; none is lost, equal lengths or not."""
    ports = bench.open(60)
    for index in range(60):
        for turn in range(40):
            bench.send(index, bytes([index, turn]) + bytes(170 if index % 7 else 20))
    bench.receiver.drain(ports)
    received = bench.received()
    for index, port in enumerate(ports):
        assert [data[:2] for data in received[port]] == [bytes([index, t]) for t in range(40)]
    assert len(bench.blocks) > 1


def test_empty_datagrams_are_datagrams(bench: Bench) -> None:
    """A datagram without bytes is counted and does not end the drain."""
    ports = bench.open(1)
    bench.send(0, b"")
    bench.send(0, b"voice")
    bench.receiver.drain(ports)
    assert bench.received() == {ports[0]: [b"", b"voice"]}


def test_arrival_is_the_time_of_sending_not_of_draining(bench: Bench) -> None:
    """The kernel's stamp counts: packets waiting for the tick keep the distance they came with."""
    ports = bench.open(1)
    spans = []
    for _ in range(3):
        before = time.monotonic_ns()
        bench.send(0, b"voice")
        spans.append((before, time.monotonic_ns()))
        _busy(3_000_000)
    bench.receiver.drain(ports)
    arrivals = bench.blocks[0].arrival_ns.tolist()
    for (before, after), arrival in zip(spans, arrivals, strict=True):
        assert before - 1_000_000 <= arrival <= after + 1_000_000


def test_clock_jump_between_drains_shifts_nothing(bench: Bench) -> None:
    """When the difference of both clocks jumps, packets stamped before it stay in place."""
    ports = bench.open(1)
    before = time.monotonic_ns()
    bench.send(0, b"voice")
    after = time.monotonic_ns()
    # As if the wall clock had been set back by an hour behind the stamp: the refresh in the drain
    # finds the true offset again, which is then a jump from this one.
    bench.clock.offset_ns += 3_600_000_000_000
    bench.receiver.drain(ports)
    assert before - 1_000_000 <= bench.blocks[0].arrival_ns[0] <= after + 1_000_000
    assert bench.clock.jumps == 1


def test_drain_narrows_the_time_in_which_the_next_packet_can_arrive(bench: Bench) -> None:
    """An emptied port is known to have been empty at this drain, with or without packets."""
    ports = bench.open(2)
    bench.send(0, b"voice")
    before = time.monotonic_ns()
    bench.receiver.drain(ports)
    after = time.monotonic_ns()
    assert all(before <= port.since_ns <= after for port in ports)


def test_oversized_datagram_is_counted_and_has_no_bytes(bench: Bench) -> None:
    """A datagram longer than a slot is not cut to a wrong one, but counted; its bytes are gone."""
    ports = bench.open(2)
    bench.send(0, b"a" * SLOT_SIZE)
    bench.send(1, b"b" * (SLOT_SIZE + 1))
    bench.send(1, b"voice")
    bench.receiver.drain(ports)
    assert bench.received() == {ports[0]: [b"a" * SLOT_SIZE], ports[1]: [b"", b"voice"]}
    assert [port.oversized for port in ports] == [0, 1]


def test_kernel_drops_are_counted_on_their_port(bench: Bench) -> None:
    """What a full socket queue dropped is told by the kernel and adds up to what was sent."""
    ports = bench.open(2, buffer_size=8192)
    for _ in range(500):
        bench.send(1, bytes(172))
    bench.send(0, bytes(172))
    bench.receiver.drain(ports)
    bench.send(1, bytes(172))  # carries the counter as it is now
    bench.receiver.drain(ports)
    assert ports[0].dropped == 0
    assert ports[1].dropped > 0
    assert ports[1].packets + ports[1].dropped == 501


def test_closed_socket_disturbs_no_other(bench: Bench) -> None:
    """A descriptor that is gone counts an error; the others are drained."""
    ports = bench.open(2)
    bench.send(1, b"voice")
    bench.sockets[0].close()
    bench.receiver.drain(ports)
    assert bench.received() == {ports[1]: [b"voice"]}
    assert ports[0].errors == 1


def _busy(nanoseconds: int) -> None:
    """Let time pass without asking the scheduler to wake us in time."""
    end = time.monotonic_ns() + nanoseconds
    while time.monotonic_ns() < end:
        pass
