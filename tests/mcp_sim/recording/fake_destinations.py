"""A store and a processor that do what a test tells them, over real sockets on free ports."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from service_shell.accounts import basic_header

ACCOUNT = ("mcp", "store-password")
POST_ACCOUNT = ("mcp", "processor-password")


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class FakeStore:
    """Objects by path. `script` is what the next PUTs meet, one word or status each:

    ``cut``: the object is kept, and the connection is lost; ``cut-before``: it is lost first;
    ``spoil``: another object is kept; a number: that status, and nothing is kept; a pair: the same
    with header fields; an `asyncio.Event`: the object is kept, the answer waits for it.
    `upsets`: what the next request of a method meets before it is served: ``cut``, or a wait.
    """

    collections: set[str] = field(default_factory=lambda: {"/recordings"})
    objects: dict[str, bytes] = field(default_factory=dict)
    script: deque[str | int | tuple[int, dict[str, str]] | asyncio.Event] = field(
        default_factory=deque
    )
    upsets: dict[str, str | asyncio.Event] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    digests: bool = True
    lengths: bool = True
    account: tuple[str, str] = ACCOUNT
    url: str = ""

    def count(self, method: str) -> int:
        """Return how many requests of a method came."""
        return sum(request.method == method for request in self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        seen = Request(request.method, request.path, dict(request.headers))
        self.requests.append(seen)
        seen.body = await request.read()
        if request.headers.get("Authorization") != basic_header(*self.account):
            return web.Response(status=401)
        upset = self.upsets.pop(request.method, None)
        if isinstance(upset, asyncio.Event):
            await upset.wait()
        elif upset is not None:
            return _lose(request)
        if request.method == "PUT":
            return await self._put(request, seen)
        if request.method == "MKCOL":
            return self._make_collection(request.path.rstrip("/"))
        content = self.objects.get(request.path)
        if content is None:
            return web.Response(status=404)
        return self._content(request, content)

    async def _put(self, request: web.Request, seen: Request) -> web.StreamResponse:
        act = self.script.popleft() if self.script else "keep"
        if isinstance(act, tuple):
            return web.Response(status=act[0], headers=act[1])
        if isinstance(act, int):
            return web.Response(status=act, headers={"Retry-After": "7"} if act == 503 else {})
        if act == "cut-before":
            return _lose(request)
        if request.path.rpartition("/")[0] not in self.collections:
            return web.Response(status=409)
        if request.headers.get("If-None-Match") == "*" and request.path in self.objects:
            return web.Response(status=412)
        assert int(request.headers["Content-Length"]) == len(seen.body)
        self.objects[request.path] = b"spoilt" + seen.body[6:] if act == "spoil" else seen.body
        if isinstance(act, asyncio.Event):
            await act.wait()
        return _lose(request) if act == "cut" else web.Response(status=201)

    def _make_collection(self, path: str) -> web.Response:
        if path in self.collections:
            return web.Response(status=405)
        if path.rpartition("/")[0] not in {"", *self.collections}:
            return web.Response(status=409)
        self.collections.add(path)
        return web.Response(status=201)

    def _content(self, request: web.Request, content: bytes) -> web.Response:
        headers = {}
        if self.digests and "sha-256" in request.headers.get("Want-Repr-Digest", ""):
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            headers["Repr-Digest"] = f"sha-256=:{digest}:"
        if request.method == "HEAD" and not self.lengths:
            return web.Response(status=501)
        return web.Response(body=content, headers=headers)


@dataclass
class FakeProcessor:
    """Keeps what is posted. `script` holds (status, body) of the next answers; "cut" loses one.

    With `in_pieces` the body of an answer comes byte by byte.
    """

    script: deque[tuple[int, str] | str] = field(default_factory=deque)
    posts: list[Request] = field(default_factory=list)
    account: tuple[str, str] = POST_ACCOUNT
    url: str = ""
    in_pieces: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        body = await request.read()
        self.posts.append(Request(request.method, request.path, dict(request.headers), body))
        if request.headers.get("Authorization") != basic_header(*self.account):
            return web.Response(status=401)
        act = self.script.popleft() if self.script else (200, '{"statusCode":0,"id":"x"}')
        if isinstance(act, str):
            return _lose(request)
        if self.in_pieces:
            return await _in_pieces(request, *act)
        return web.Response(status=act[0], text=act[1], content_type="application/json")


def _lose(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _in_pieces(request: web.Request, status: int, body: str) -> web.StreamResponse:
    """Answer byte by byte, each in a segment of its own as far as the kernel plays along."""
    response = web.StreamResponse(status=status)
    await response.prepare(request)
    for octet in body.encode():
        await response.write(bytes([octet]))
        await asyncio.sleep(0.001)
    await response.write_eof()
    return response


@asynccontextmanager
async def serving(
    one: FakeStore | FakeProcessor, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve on a free port of the loopback, by HTTPS with `tls`; `url` is set meanwhile."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", one.handle)
    server = TestServer(app)
    await server.start_server(ssl=tls)
    async with server:
        one.url = str(server.make_url("")).rstrip("/")
        yield


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """Give the URL of a server that takes every connection and never says a word."""
    writers: list[asyncio.StreamWriter] = []

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def saying(answer: bytes, *, last: bool = False) -> AsyncIterator[str]:
    """Give the URL of a server that answers each request with these bytes, whatever they are.

    With `last` it closes then; else it keeps the connection open and says no more.
    """
    ended = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            whole = not head.startswith(b"head ")
            writer.write(answer if whole else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            await writer.drain()
            if not last:
                await ended.wait()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
        ended.set()
