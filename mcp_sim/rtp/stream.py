"""One RTP stream to be sent, one packet at a time, from a socket and source port of its own.

Sending one packet is one `send` on a connected socket, which measured faster than `sendmmsg` with a
single message. An impaired stream sends the same way; which packets, and when, is decided before.
"""

from __future__ import annotations

import contextlib
import socket
import time

import msgspec

from mcp_sim.rtp.impaired_packets import ImpairedPackets
from mcp_sim.rtp.impairment.account import Account
from mcp_sim.rtp.impairment.fate import LegFate
from mcp_sim.rtp.packet_block import FrameSource, PacketBlock, StreamFormat


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
    impaired: Account | None = None
    """What was done to the stream, where something was; doubled packets are in `sent` twice."""


class RtpStream:
    """One leg's sender with its own socket and source port, driven by an `RtpSender`."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._socket = _bound(host)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._target: tuple[str, int] = ("", 0)
        self._blocks: PacketBlock | None = None
        self._impaired: ImpairedPackets | None = None
        self._packets = memoryview(b"")
        self._at = 0
        self._sent = self._failed = self._unreachable = self._rebindings = 0
        self._rebound = False
        self._first_sent_ns: int | None = None
        self._last_sent_ns: int | None = None

    def prepare(
        self,
        target: tuple[str, int],
        source: FrameSource,
        form: StreamFormat,
        fate: LegFate | None = None,
    ) -> None:
        """Name the peer and what it shall get. Raises `OSError` for an impossible target.

        With a `fate` the stream is impaired: `send_until` sends it, and `send_next` does not.
        """
        self._socket.connect(target)
        self._target = target
        self._packets, self._at = memoryview(b""), 0
        self._blocks = PacketBlock(source, form) if fate is None else None
        self._impaired = None if fate is None else ImpairedPackets(source, form, fate)

    @property
    def frames(self) -> int:
        """How many frame times have passed since the stream began, whatever became of them."""
        return self._impaired.frames if self._impaired else self._sent + self._failed

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

    def send_until(self, due_ns: int, *, may_begin: bool) -> bool:
        """Send what leaves an impaired stream until `due_ns` (CLOCK_MONOTONIC); False at its end.

        Its time begins with the first call that `may_begin` it.
        """
        impaired = self._impaired
        if impaired is None:
            return False
        if impaired.began_ns is None:
            if not may_begin:
                return True
            impaired.began_ns = due_ns
        elapsed_ns = due_ns - impaired.began_ns
        rebinding_ns = impaired.fate.rebinding_ns
        if rebinding_ns is not None and rebinding_ns <= elapsed_ns and not self._rebound:
            self._send_all(impaired, rebinding_ns - 1)
            self._rebind()
        self._send_all(impaired, elapsed_ns)
        return not impaired.ended

    def report(self) -> StreamReport:
        """Return what was sent until now."""
        impaired = self._impaired
        made = impaired or self._blocks
        return StreamReport(
            made.ssrc if made else 0,
            self._sent,
            self._failed,
            self._unreachable,
            self._first_sent_ns,
            self._last_sent_ns,
            impaired.account(self._rebindings) if impaired else None,
        )

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send_all(self, impaired: ImpairedPackets, until_ns: int) -> None:
        for packet in impaired.leaving(until_ns):
            self._last_sent_ns = time.monotonic_ns()
            if self._first_sent_ns is None:
                self._first_sent_ns = self._last_sent_ns
            try:
                self._socket.send(packet)
            except OSError as error:
                self._send_again(packet, error)
            else:
                self._sent += 1

    def _rebind(self) -> None:
        """Go on from another port, as behind a NAT that forgot the mapping.

        Where no other port is to be had, the old one stays, and the report counts none.
        """
        self._rebound = True
        with contextlib.suppress(OSError):
            other = _bound(self._host)
            try:
                other.connect(self._target)
            except OSError:
                other.close()
                raise
            self._socket.close()
            self._socket = other
            self._rebindings += 1

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


def _bound(host: str) -> socket.socket:
    """Return a UDP socket on a port of its own. Raises `OSError`."""
    udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.bind((host, 0))
        udp.setblocking(False)
    except OSError:
        udp.close()
        raise
    return udp
