"""A store and a crypto server made for the tests: they serve bytes and remember what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Upstream:
    """A server whose every answer is `answer`'s; `asked` are the requests that came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[web.BaseRequest] = []
        self.was_asked = asyncio.Event()
        self.answer: Answer = refuse(404)


@asynccontextmanager
async def open_upstream() -> AsyncIterator[Upstream]:
    """Serve on a free port; everything is 404 until `answer` is set."""

    async def handle(request: web.Request) -> web.StreamResponse:
        upstream.asked.append(request)
        upstream.was_asked.set()
        return await upstream.answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        upstream = Upstream(str(server.make_url("")).rstrip("/"))
        yield upstream


def refuse(status: int, body: object = None) -> Answer:
    """Answer an error."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


def serve(data: bytes, *, account: str = "", content_type: str = "audio/wav") -> Answer:
    """Answer `data`, or one Range of it, to whoever sends the header `account`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if account and request.headers.get("Authorization") != account:
            return web.Response(status=401)
        wanted = request.http_range
        if "Range" not in request.headers:
            return web.Response(body=data, content_type=content_type, headers={"ETag": '"1"'})
        if (wanted.start or 0) >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        part = data[wanted]
        first = wanted.start if wanted.start >= 0 else len(data) + wanted.start
        span = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        return web.Response(
            status=206, body=part, content_type=content_type, headers={"Content-Range": span}
        )

    return answer


def break_off(sent: bytes, declared: int) -> Answer:
    """Declare a length, send less, and cut the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(declared)})
        await response.prepare(request)
        await response.write(sent)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def hang(until: asyncio.Event) -> Answer:
    """Answer nothing before the event."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.Response()

    return answer
