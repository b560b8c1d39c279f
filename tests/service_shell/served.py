"""A small service as the real ones are built, and raw HTTP to talk to it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

from service_shell.accounts import Account, Accounts, hash_password
from service_shell.listening import bind_tcp, display
from service_shell.sign_in import SignInSettings
from service_shell.tls import ServerTls
from service_shell.web import basic_auth, errors_as_json, require_role, serve

PASSWORD = "pass:wörd"
HASH = hash_password(PASSWORD)


class Reply(NamedTuple):
    """One answer: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def failure(self) -> tuple[int, str]:
        """The vendor's statusCode and its sentence."""
        said = json.loads(self.body)
        assert set(said) == {"statusCode", "statusMessage"}
        return said["statusCode"], said["statusMessage"]


class Service:
    """The service's address and its application's gates."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()

    async def raw(self, request: bytes) -> bytes:
        """Send bytes as they are; return everything that comes until the connection ends."""
        host, _, port = self.address.rpartition(":")
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(request)
                return await reader.read()
            finally:
                writer.close()

    async def ask(
        self, path: str, *headers: str, method: str = "GET", body: bytes = b"", host: str = "lab"
    ) -> Reply:
        """Send one request; return its answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return parse(await self.raw("\r\n".join([*lines, "", ""]).encode() + body))


def parse(answer: bytes) -> Reply:
    """Read an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Reply(int(status.split(" ")[1]), {name.lower(): text for name, _, text in pairs}, body)


def sign_in(name: str, password: str = PASSWORD) -> str:
    """Return the header of a name and a password."""
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@asynccontextmanager
async def serving(
    *,
    grace: float = 5.0,
    tls: ServerTls | None = None,
    sign_in_rule: SignInSettings | None = None,
) -> AsyncIterator[Service]:
    """Serve on a free port until the block ends."""
    accounts = Accounts(
        [
            Account("anna", ["listener"], password_hash=HASH),
            Account("ops", ["operator", "admin"], password_hash=HASH),
        ]
    )
    auth = basic_auth(accounts, realm="test", open_paths=("/livez",), sign_in=sign_in_rule)
    app = web.Application(middlewares=[errors_as_json, auth], client_max_size=1000)
    with bind_tcp("127.0.0.1:0") as sock:
        service = Service(display(sock))
        _add_routes(app, service)
        async with serve(app, sock, grace=grace, tls=tls):
            yield service


def _add_routes(app: web.Application, service: Service) -> None:
    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def admin(request: web.Request) -> web.Response:
        return web.Response(text=require_role(request, "admin", "owner").name)

    async def body(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def broken(_request: web.Request) -> web.Response:
        raise ValueError("hunter2")

    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/livez")

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 4
        await response.prepare(request)
        await response.write(b"do")
        service.entered.set()
        await service.gate.wait()
        await response.write(b"ne")
        return response

    async def refusing(request: web.Request) -> web.Response:
        status, way = int(request.match_info["status"]), request.match_info["way"]
        if way == "raised":
            kinds = {429: web.HTTPTooManyRequests, 503: web.HTTPServiceUnavailable}
            raise kinds.get(status, web.HTTPInsufficientStorage)()
        headers = {"Retry-After": "77"} if way == "said" else {}
        return web.Response(status=status, text="no", headers=headers)

    app.router.add_get("/refusing/{status}/{way}", refusing)
    app.router.add_get("/livez", live)
    app.router.add_get("/admin", admin)
    app.router.add_post("/body", body)
    app.router.add_get("/broken", broken)
    app.router.add_get("/redirect", redirect)
    app.router.add_get("/slow", slow)
