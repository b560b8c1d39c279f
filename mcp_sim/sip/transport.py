"""UDP and TCP under the SIP agent: asyncio in, whole messages out.

Connections are kept by the peer's address and used again in both directions; each has bounds
for what it may buffer, and a silent or slow one is closed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable, Coroutine
from typing import cast

import structlog

from .framing import StreamFramer
from .hop import Hop
from .message import MessageLimits
from .transactions import Transmit

log = structlog.get_logger()

MAX_DATAGRAM = 65_507

Receive = Callable[[bytes, Hop], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of the transports; times in seconds."""

    connections: int = 2000
    write_buffer: int = 1 << 20
    queued_per_connect: int = 100
    connect_timeout: float = 5.0
    partial_timeout: float = 15.0
    idle_timeout: float = 900.0
    sweep_every: float = 5.0


@dataclasses.dataclass(slots=True)
class TransportCounters:
    """What the transports did, for metrics; only ever grows."""

    datagrams: int = 0
    accepted: int = 0
    connected: int = 0
    refused: int = 0
    expired: int = 0
    send_failures: int = 0


class DatagramSide(asyncio.DatagramProtocol):
    """The UDP socket's protocol."""

    def __init__(self, receive: Receive, counters: TransportCounters) -> None:
        self._receive = receive
        self._counters = counters

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand a datagram up."""
        self._counters.datagrams += 1
        self._receive(data, Hop("udp", addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """An ICMP error: the transaction's timers decide, as RFC 3261 §18.4 allows."""
        log.debug("A datagram was not delivered", error=str(exc))


class Connection(asyncio.Protocol):
    """One TCP connection, accepted or opened by us."""

    def __init__(self, owner: Transports) -> None:
        self.hop: Hop | None = None
        self.transport: asyncio.Transport | None = None
        self.heard_at = 0.0
        self.partial_since: float | None = None
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
        self.hop = Hop("tcp", peer[0], peer[1])
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


class Transports:
    """The sockets of one agent."""

    def __init__(
        self,
        receive: Receive,
        failed: Callable[[Transmit], None],
        message_limits: MessageLimits,
        limits: TransportLimits,
    ) -> None:
        self.receive = receive
        self.message_limits = message_limits
        self.limits = limits
        self.counters = TransportCounters()
        self._failed = failed
        self._udp: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[Hop, Connection] = {}
        self._connecting: dict[Hop, list[Transmit]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now."""
        return len(self._connections)

    async def open(self, udp: socket.socket, tcp: socket.socket | None) -> None:
        """Take over the bound sockets; `tcp` listens already."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: DatagramSide(self.receive, self.counters), sock=udp
        )
        if tcp is not None:
            self._server = await loop.create_server(lambda: Connection(self), sock=tcp)
        self._spawn(self._sweep())

    async def close(self) -> None:
        """Close the sockets at once; what is still buffered is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections.values()):
            if connection.transport is not None:
                connection.transport.abort()
        if self._server is not None:
            self._server.close()
        if self._udp is not None:
            self._udp.close()
        await asyncio.sleep(0)  # lets the transports say goodbye to their protocols

    def send(self, transmit: Transmit) -> None:
        """Send along the route; failures come back through `failed`, also later ones."""
        hop = transmit.route.hop
        if hop.transport == "udp":
            self._send_datagram(transmit, hop)
            return
        target = transmit.route.fallback or hop
        for known in (self._connections.get(hop), self._connections.get(target)):
            if known is not None and known.usable:
                if not known.write(transmit.data):
                    self._fail(transmit, "the peer does not read")
                return
        self._connect_and_send(transmit, target)

    def _send_datagram(self, transmit: Transmit, hop: Hop) -> None:
        if len(transmit.data) > MAX_DATAGRAM:
            self._fail(transmit, f"a datagram holds at most {MAX_DATAGRAM} bytes")
            return
        try:
            assert self._udp is not None
            self._udp.sendto(transmit.data, (hop.host, hop.port))
        except (OSError, ValueError) as error:
            self._fail(transmit, str(error))

    def _connect_and_send(self, transmit: Transmit, target: Hop) -> None:
        queue = self._connecting.get(target)
        if queue is not None:
            if len(queue) >= self.limits.queued_per_connect:
                self._fail(transmit, "too many messages wait for this connection")
            else:
                queue.append(transmit)
        elif len(self._connections) + len(self._connecting) >= self.limits.connections:
            self._fail(transmit, "too many connections are open")
        else:
            self._connecting[target] = [transmit]
            self._spawn(self._connect(target))

    async def _connect(self, target: Hop) -> None:
        loop = asyncio.get_running_loop()
        problem = "the connection was closed"
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self), target.host, target.port
                )
            self.counters.connected += 1
        except (OSError, TimeoutError) as error:
            problem = str(error) or "the connection timed out"
        finally:
            queue = self._connecting.pop(target, [])
        for transmit in queue:
            usable = connection is not None and connection.usable
            if connection is None or not usable or not connection.write(transmit.data):
                self._fail(transmit, problem)

    def _fail(self, transmit: Transmit, problem: str) -> None:
        self.counters.send_failures += 1
        log.debug("A message could not be sent", to=str(transmit.route.hop), error=problem)
        # Later, so that a sender is never called back from inside its own send.
        asyncio.get_running_loop().call_soon(self._failed, transmit)

    def enter(self, connection: Connection) -> None:
        """Take a new connection, or refuse it above the bound."""
        assert connection.hop is not None
        assert connection.transport is not None
        if len(self._connections) >= self.limits.connections:
            self.counters.refused += 1
            connection.transport.abort()
            return
        self.counters.accepted += 1
        self._connections[connection.hop] = connection

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        if connection.hop is not None and self._connections.get(connection.hop) is connection:
            del self._connections[connection.hop]

    async def _sweep(self) -> None:
        """Close connections that are idle, or stuck in the middle of a message."""
        while True:
            await asyncio.sleep(self.limits.sweep_every)
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections.values()):
                since = connection.partial_since
                stuck = since is not None and now - since > self.limits.partial_timeout
                if stuck or now - connection.heard_at > self.limits.idle_timeout:
                    self.counters.expired += 1
                    if connection.transport is not None:
                        connection.transport.abort()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
