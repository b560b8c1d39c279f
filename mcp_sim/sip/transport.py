"""UDP, TCP and TLS under the SIP agent: asyncio in, whole messages out.

Connections are kept by the peer's address and used again in both directions; each has bounds
for what it may buffer, and a silent or slow one is closed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import cast

import structlog

from service_shell.trust import certificate_fault

from .connection import Connection
from .hop import Hop
from .message import MessageLimits
from .transactions import Transmit

log = structlog.get_logger()

MAX_DATAGRAM = 65_507
_GOODBYE = 2.0  # seconds that a peer has to take the end of TLS

Receive = Callable[[bytes, Hop], None]


@dataclasses.dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of the transports; times in seconds."""

    connections: int = 2000
    write_buffer: int = 1 << 20
    queued_per_connect: int = 100
    connect_timeout: float = 5.0
    handshake_timeout: float = 5.0
    partial_timeout: float = 15.0
    idle_timeout: float = 900.0
    sweep_every: float = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class SipTls:
    """What TLS is spoken with: as a server by our certificate, as a client by whom we trust.

    Where a side has none, there is no TLS in that direction.
    """

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None


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

    def __init__(
        self,
        receive: Receive,
        counters: TransportCounters,
        opened: Callable[[asyncio.DatagramTransport], None],
    ) -> None:
        self._receive = receive
        self._counters = counters
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say where answers go, before the first datagram: some wait in an inherited socket."""
        self._opened(cast("asyncio.DatagramTransport", transport))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand a datagram up."""
        self._counters.datagrams += 1
        self._receive(data, Hop("udp", addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """An ICMP error: the transaction's timers decide, as RFC 3261 §18.4 allows."""
        log.debug("A datagram was not delivered", error=str(exc))


class Transports:
    """The sockets of one agent."""

    def __init__(
        self,
        receive: Receive,
        failed: Callable[[Transmit], None],
        message_limits: MessageLimits,
        limits: TransportLimits,
        tls: SipTls,
    ) -> None:
        self.receive = receive
        self.message_limits = message_limits
        self.limits = limits
        self.counters = TransportCounters()
        self._failed = failed
        self._tls = tls
        self._udp: asyncio.DatagramTransport | None = None
        self._servers: list[asyncio.Server] = []
        self._connections: dict[Hop, Connection] = {}
        self._connecting: dict[Hop, list[Transmit]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_connections(self) -> int:
        """How many TCP and TLS connections are open now."""
        return len(self._connections)

    async def open(
        self, udp: socket.socket, tcp: socket.socket | None, tls: socket.socket | None
    ) -> None:
        """Take over the bound sockets; `tcp` and `tls` listen already."""
        loop = asyncio.get_running_loop()

        def opened(transport: asyncio.DatagramTransport) -> None:
            self._udp = transport

        await loop.create_datagram_endpoint(
            lambda: DatagramSide(self.receive, self.counters, opened), sock=udp
        )
        if tcp is not None:
            server = await loop.create_server(lambda: Connection(self, "tcp"), sock=tcp)
            self._servers.append(server)
        if tls is not None:
            server = await loop.create_server(
                lambda: Connection(self, "tls"),
                sock=tls,
                ssl=self._tls.server,
                ssl_handshake_timeout=self.limits.handshake_timeout,
                ssl_shutdown_timeout=_GOODBYE,
            )
            self._servers.append(server)
        self._spawn(self._sweep())

    async def close(self) -> None:
        """Close the sockets at once; what is still buffered is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections.values()):
            if connection.transport is not None:
                connection.transport.abort()
        for server in self._servers:
            server.close()
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
        problem = "the connection was closed"
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                connection = await self._connected(target)
            self.counters.connected += 1
        except (OSError, TimeoutError) as error:
            refused = certificate_fault(error, target.server_name or target.host, target.port)
            problem = refused or str(error) or "the connection timed out"
        finally:
            queue = self._connecting.pop(target, [])
        for transmit in queue:
            usable = connection is not None and connection.usable
            if connection is None or not usable or not connection.write(transmit.data):
                self._fail(transmit, problem)

    async def _connected(self, target: Hop) -> Connection:
        """Connect; over TLS only to a peer that proves to be the one that was asked for."""
        loop = asyncio.get_running_loop()

        def make() -> Connection:
            return Connection(self, target.transport, target.server_name)

        if target.transport == "tcp":
            _, connection = await loop.create_connection(make, target.host, target.port)
            return connection
        if self._tls.client is None:
            raise OSError("no TLS is set up here")
        _, connection = await loop.create_connection(
            make,
            target.host,
            target.port,
            ssl=self._tls.client,
            server_hostname=target.server_name or target.host,
            ssl_handshake_timeout=self.limits.handshake_timeout,
            ssl_shutdown_timeout=_GOODBYE,
        )
        return connection

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
