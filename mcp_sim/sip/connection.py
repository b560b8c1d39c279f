"""One connection that SIP comes on, TCP or TLS: messages cut out of the stream, writes bounded.

TLS is agreed on below it: a connection is made when that is done, and knows its name only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .framing import StreamFramer
from .hop import Hop, TransportName

if TYPE_CHECKING:
    from .transport import Transports


class Connection(asyncio.Protocol):
    """One connection of a `kind` of transport, accepted or opened by us (to `server_name`)."""

    def __init__(self, owner: Transports, kind: TransportName, server_name: str = "") -> None:
        self.hop: Hop | None = None
        self.transport: asyncio.Transport | None = None
        self.heard_at = 0.0
        self.partial_since: float | None = None
        self._kind = kind
        self._server_name = server_name
        self._owner = owner
        self._framer = StreamFramer(owner.message_limits)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the connection under its peer's address."""
        stream = cast("asyncio.Transport", transport)  # uvloop's is of no asyncio class
        peer = stream.get_extra_info("peername")
        self.transport = stream
        if peer is None:  # gone before it was looked at
            stream.abort()
            return
        self.hop = Hop(self._kind, peer[0], peer[1], self._server_name)
        self.heard_at = asyncio.get_running_loop().time()
        stream.set_write_buffer_limits(self._owner.limits.write_buffer)
        self._owner.enter(self)

    def data_received(self, data: bytes) -> None:
        """Cut the stream into messages and hand them up."""
        if self.hop is None or self.transport is None:
            return
        self.heard_at = asyncio.get_running_loop().time()
        for message in self._framer.feed(data):
            if self.transport.is_closing():
                return  # cut off while its messages were answered
            self._owner.receive(message, self.hop)
        if self._framer.broken:
            self.transport.close()  # after the refusal has been written
        elif not self._framer.partial:
            self.partial_since = None
        elif self.partial_since is None:
            self.partial_since = self.heard_at

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._owner.leave(self)

    @property
    def usable(self) -> bool:
        """False once the connection is closed or being closed."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> bool:
        """Write; False when the peer reads so little that the connection was cut off."""
        assert self.transport is not None
        if self.transport.get_write_buffer_size() > self._owner.limits.write_buffer:
            self.transport.abort()
            return False
        self.transport.write(data)
        return True
