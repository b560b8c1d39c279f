"""A small service that can be broken on purpose, and raw HTTP that sees how it is broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry

from service_shell.accounts import Account, Accounts
from service_shell.faults import FaultSwitch
from service_shell.faults.api import FaultApi
from service_shell.faults.fault import StoreFault
from service_shell.faults.http import HTTP_FAULTS, HttpFaults
from service_shell.faults.metrics import FaultCollector
from service_shell.faults.plan import FaultPlan
from service_shell.listening import bind_tcp, display
from service_shell.web import basic_auth, errors_as_json, metrics_response, serve
from tests.service_shell.served import HASH, Reply, parse, sign_in

SIZE = 300_000
CONTENT = bytes(range(250)) * (SIZE // 250)
REALM = "breakable"
PATIENCE = 30.0


class Outcome(NamedTuple):
    """What came over one connection until its end, and whether that was a reset."""

    received: bytes
    was_reset: bool

    @property
    def reply(self) -> Reply:
        """The one answer."""
        return parse(self.received)


def head(method: str, path: str, *fields: str, who: str = "ops") -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: lab", sign_in(who), *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def get(path: str, *fields: str, who: str = "ops", method: str = "GET") -> bytes:
    """Return a request without a body, after which the connection ends."""
    return head(method, path, "Connection: close", *fields, who=who)


def put(path: str, body: bytes, *fields: str) -> bytes:
    """Return a request with a body, after which the connection ends."""
    return head("PUT", path, "Connection: close", f"Content-Length: {len(body)}", *fields) + body


class Breakable:
    """The running service. `stored` is what uploads left, `clock` is what the switch reads."""

    def __init__(self, address: str, clock: Clock) -> None:
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.clock = clock
        self.switch = FaultSwitch("store", clock)
        self.stored: dict[str, bytes] = {}
        self.entered = asyncio.Event()

    def put(self, *faults: StoreFault, seed: int = 0) -> None:
        """Put faults in force."""
        self.switch.put(FaultPlan(seed=seed, faults=list(faults)))

    async def exchange(self, request: bytes) -> Outcome:
        """Send a request; return all that comes until the connection ends."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                return await self._all(reader, writer, request)
            finally:
                writer.close()

    async def _all(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> Outcome:
        received = b""
        try:
            writer.write(request)
            while part := await reader.read(1 << 16):
                received += part
        except ConnectionResetError:
            return Outcome(received, True)
        return Outcome(received, False)

    async def reply(self, path: str, method: str = "GET") -> Reply:
        """Ask for a path; return the answer."""
        return (await self.exchange(get(path, method=method))).reply


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@asynccontextmanager
async def breakable(*, grace: float = 5.0) -> AsyncIterator[Breakable]:
    """Serve on a free port until the block ends, as the services with faults enabled do."""
    accounts = Accounts(
        [
            Account("ops", ["operator"], password_hash=HASH),
            Account("boss", ["admin", "operator", "mcp"], password_hash=HASH),
            Account("faults", ["faults"], password_hash=HASH),
        ]
    )
    auth = basic_auth(accounts, realm=REALM, open_paths=("/livez", "/metrics"))
    app = web.Application(middlewares=[errors_as_json, auth], client_max_size=1 << 24)
    registry = CollectorRegistry()
    with bind_tcp("127.0.0.1:0") as sock:
        service = Breakable(display(sock), Clock())
        _add_routes(app, service, registry)
        FaultApi(service.switch).add_to(app, "/faults")
        registry.register(FaultCollector(service.switch, "store"))
        app[HTTP_FAULTS] = HttpFaults(
            service.switch, app, realm=REALM, exempt=("/faults", "/livez", "/metrics")
        )
        async with serve(app, sock, grace=grace):
            yield service


def _add_routes(app: web.Application, service: Breakable, registry: CollectorRegistry) -> None:
    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def metrics(_request: web.Request) -> web.Response:
        return metrics_response(registry)

    async def small(_request: web.Request) -> web.Response:
        service.entered.set()
        return web.Response(body=CONTENT[:1000])

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if request.path == "/large":
            response.content_length = SIZE
        await response.prepare(request)
        for start in range(0, SIZE, 50_000):
            await response.write(CONTENT[start : start + 50_000])
        await response.write_eof()
        return response

    async def unchanged(_request: web.Request) -> web.Response:
        return web.Response(status=304, headers={"ETag": '"1"'})

    async def store(request: web.Request) -> web.Response:
        service.entered.set()
        service.stored[request.path] = await request.read()
        return web.Response(status=201)

    app.router.add_get("/livez", live)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/small", small)
    app.router.add_get("/large", stream)
    app.router.add_get("/chunked", stream)
    app.router.add_get("/unchanged", unchanged)
    app.router.add_put("/{name}", store)
    app.router.add_delete("/{name}", unchanged)
