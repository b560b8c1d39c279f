"""UDP sockets for RTP: from a configured range of even ports, or wherever the kernel likes."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import deque

from mcp_sim.rtp.mmsg import ask_for_stamps

_SO_RCVBUFFORCE = 33


class PortsExhaustedError(Exception):
    """Every port of the range is in use."""


class RtpPorts:
    """Opens RTP sockets on one host.

    `first` and `last` bound the range, of which even ports are used (RFC 3550 §11); both 0 lets the
    kernel choose. A freed port waits behind all others, so that late packets of one call do not
    reach the next one. A process that was killed frees its ports too, and its callers may not know:
    `stock` binds ports ahead, and one to which somebody sends before it was given out is `avoided`.
    """

    def __init__(self, host: str, first: int = 0, last: int = 0, *, buffer_size: int) -> None:
        self.host = host
        self._any = first == 0 and last == 0
        self._free = deque(range(first + first % 2, last + 1, 2))
        self._buffer_size = buffer_size
        self._stock: deque[socket.socket] = deque()
        self.avoided = 0
        self.capacity = None if self._any else len(self._free)

    def stock(self, count: int) -> None:
        """Have up to `count` ports wait, or as many as there are: strangers show up on them."""
        with contextlib.suppress(PortsExhaustedError, OSError):
            while len(self._stock) < count:
                self._stock.append(self._fresh())

    def open(self) -> socket.socket:
        """Return a bound, non-blocking socket. Raises `PortsExhaustedError` or `OSError`."""
        while self._stock:
            udp = self._stock.popleft()
            if _is_silent(udp):
                return udp
            self.avoided += 1
            self.close(udp)
        return self._fresh()

    def close_stock(self) -> None:
        """Close the ports that wait."""
        while self._stock:
            self.close(self._stock.popleft())

    def _fresh(self) -> socket.socket:
        if self._any:
            return self._bound(0)
        for _ in range(len(self._free)):
            port = self._free.popleft()
            try:
                return self._bound(port)
            except OSError as error:
                self._free.append(port)
                if error.errno != errno.EADDRINUSE:
                    raise
        raise PortsExhaustedError(f"every RTP port of the range on {self.host} is in use")

    def close(self, udp: socket.socket) -> None:
        """Close a socket that `open` returned; its port is free again."""
        port = udp.getsockname()[1]
        udp.close()
        if not self._any:
            self._free.append(port)

    def _bound(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            ask_for_stamps(udp)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_size)
            with contextlib.suppress(PermissionError):  # past net.core.rmem_max, for root only
                udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self._buffer_size)
            udp.setblocking(False)
            udp.bind((self.host, port))
        except OSError:
            udp.close()
            raise
        return udp


def _is_silent(udp: socket.socket) -> bool:
    try:
        udp.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False
