"""RTP sockets from a range, or from the kernel."""

from __future__ import annotations

import socket

import pytest

from mcp_sim.rtp.ports import PortsExhaustedError, RtpPorts

HOST = "127.0.0.1"


def free_range(ports: int) -> tuple[int, int]:
    """Return a range of `ports` even ports that nobody uses just now."""
    for first in range(30_000, 60_000, 100):
        opened = []
        try:
            for port in range(first, first + 2 * ports, 2):
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                opened.append(udp)
                udp.bind((HOST, port))
        except OSError:
            continue
        else:
            return first, first + 2 * ports - 1
        finally:
            for udp in opened:
                udp.close()
    pytest.fail("no free range of ports")


def test_range_gives_its_even_ports_once() -> None:
    """A range gives each of its even ports, then says that it is exhausted."""
    first, last = free_range(3)
    ports = RtpPorts(HOST, first - 1, last, buffer_size=65536)
    opened = [ports.open() for _ in range(3)]
    try:
        assert [udp.getsockname()[1] for udp in opened] == [first, first + 2, first + 4]
        with pytest.raises(PortsExhaustedError):
            ports.open()
    finally:
        for udp in opened:
            ports.close(udp)
    assert ports.capacity == 3


def test_freed_port_waits_behind_the_others() -> None:
    """Late packets of one call must not find the next one: a freed port is used last."""
    first, last = free_range(3)
    ports = RtpPorts(HOST, first, last, buffer_size=65536)
    ports.close(ports.open())
    again = [ports.open() for _ in range(3)]
    try:
        assert [udp.getsockname()[1] for udp in again] == [first + 2, first + 4, first]
    finally:
        for udp in again:
            ports.close(udp)


def test_port_in_use_is_stepped_over() -> None:
    """A port of the range that another program holds costs nothing but itself."""
    first, last = free_range(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, first))
        ports = RtpPorts(HOST, first, last, buffer_size=65536)
        udp = ports.open()
        assert udp.getsockname()[1] == first + 2
        ports.close(udp)


def test_without_a_range_the_kernel_chooses() -> None:
    """No range: any number of sockets, on IPv6 too."""
    for host in (HOST, "::1"):
        ports = RtpPorts(host, buffer_size=65536)
        udp = ports.open()
        assert udp.getsockname()[1] > 0
        assert ports.capacity is None
        ports.close(udp)


def test_unusable_host_is_an_error() -> None:
    """An address that is not ours is the system's error, and leaves no socket open."""
    with pytest.raises(OSError, match="assign requested address"):
        RtpPorts("192.0.2.1", buffer_size=65536).open()


def test_a_port_that_somebody_sends_to_is_avoided() -> None:
    """A caller of a killed process goes on sending: the next call gets another port."""
    first, last = free_range(3)
    ports = RtpPorts(HOST, first, last, buffer_size=65536)
    ports.stock(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"late", (HOST, first))
    opened = [ports.open() for _ in range(3)]
    assert [udp.getsockname()[1] for udp in opened] == [first + 2, first + 4, first]
    assert ports.avoided == 1
    for udp in opened:
        ports.close(udp)


@pytest.mark.parametrize("ranged", [False, True])
def test_the_stock_is_no_more_than_there_is(ranged: bool) -> None:
    """Ports that wait are given out like any other, each once; what is left can be closed."""
    first, last = free_range(3) if ranged else (0, 0)
    ports = RtpPorts(HOST, first, last, buffer_size=65536)
    ports.stock(5)
    opened = [ports.open() for _ in range(3)]
    assert len({udp.getsockname()[1] for udp in opened}) == 3
    if ranged:
        with pytest.raises(PortsExhaustedError):
            ports.open()
    for udp in opened:
        ports.close(udp)
    ports.close_stock()
