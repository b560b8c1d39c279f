"""A recording processor of a few lines, with the faults that a real one can have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.crypto_server.recordings import MadeRecording

USER, PASSWORD = "crypto", "the processor's password"
CCID = "cc-1"
_STEP = 64 * 1024


@dataclass
class FakeProcessor:
    """Serves `recordings`. `url` is set while it runs, `asked` are the paths it was asked for.

    `ranges` are the Range headers of the requests for stored bytes ("" without one), `sent` how
    many of those it handed over. Faults: `status` answers everything so, `metadata` replaces the
    JSON, `cut_after` breaks the transfer of stored bytes there, `stall_after` stops sending there
    until the end of the test, `silent` never answers at all, `told_length` false sends stored bytes
    chunked, `ignores_range` always sends the whole, `part_headers` replaces headers of a 206.
    """

    recordings: list[MadeRecording] = field(default_factory=list)
    url: str = ""
    asked: list[str] = field(default_factory=list)
    status: int = 200
    metadata: bytes | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    silent: bool = False
    told_length: bool = True
    ranges: list[str] = field(default_factory=list)
    sent: int = 0
    ignores_range: bool = False
    part_headers: dict[str, str] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def recording(self, request: web.Request) -> web.StreamResponse:
        """Answer a recording's metadata."""
        found = await self._find(request)
        return web.Response(body=self.metadata or found.answer, content_type="application/json")

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Answer the stored bytes of a media file."""
        found = await self._find(request)
        if request.match_info["name"] != found.name:
            raise web.HTTPNotFound
        self.ranges.append(request.headers.get("Range", ""))
        response, body = self._part(request.headers.get("Range"), found.stored)
        if self.told_length and response.content_length is None:
            response.content_length = len(body)
        await response.prepare(request)
        limit = self.cut_after if self.cut_after is not None else self.stall_after
        for at in range(0, len(body if limit is None else body[:limit]), _STEP):
            stop = at + _STEP if limit is None else min(at + _STEP, limit)
            self.sent += len(body[at:stop])
            await response.write(body[at:stop])
        if self.stall_after is not None:
            await self.over.wait()
        if limit is not None and request.transport is not None:
            request.transport.close()
        return response

    def _part(self, asked: str | None, stored: bytes) -> tuple[web.StreamResponse, bytes]:
        """Return the answer to a Range as a store gives it, and its body."""
        if asked is None or self.ignores_range:
            return web.StreamResponse(), stored
        first, last = asked.removeprefix("bytes=").split("-")
        start = int(first) if first else max(len(stored) - int(last), 0)
        stop = min(int(last) + 1, len(stored)) if first and last else len(stored)
        if start >= stop:
            raise web.HTTPRequestRangeNotSatisfiable(
                headers={"Content-Range": f"bytes */{len(stored)}"}
            )
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(stored)}"}
        return web.StreamResponse(status=206, headers=headers | self.part_headers), stored[
            start:stop
        ]

    async def _find(self, request: web.Request) -> MadeRecording:
        self.asked.append(request.path)
        if self.silent:
            await self.over.wait()
        expected = aiohttp.encode_basic_auth(USER, PASSWORD)
        if request.headers.get("Authorization") != expected:
            raise web.HTTPUnauthorized
        if self.status != 200:
            return_to = {"Location": "/elsewhere"} if 300 <= self.status < 400 else {}
            raise _answer(self.status, return_to)
        for recording in self.recordings:
            same_centre = request.match_info.get("ccid", CCID) == CCID
            if recording.recording_id == request.match_info["id"] and same_centre:
                return recording
        raise web.HTTPNotFound


def _answer(status: int, headers: dict[str, str]) -> web.HTTPException:
    class Answer(web.HTTPException):
        status_code = status

    return Answer(headers=headers)


@asynccontextmanager
async def running(processor: FakeProcessor) -> AsyncIterator[FakeProcessor]:
    """Serve `processor` on a free port of the loopback."""
    app = web.Application()
    for prefix in ("/api/v2", "/api/v2/ops/contact-centers/{ccid}"):
        app.router.add_get(f"{prefix}/recordings/{{id}}", processor.recording)
        app.router.add_get(f"{prefix}/recordings/{{id}}/play/{{name}}", processor.play)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        processor.url = f"http://{host}:{port}"
        yield processor
    finally:
        processor.over.set()
        await runner.cleanup()
