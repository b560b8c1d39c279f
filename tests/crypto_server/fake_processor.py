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


@dataclass
class FakeProcessor:
    """Serves `recordings`. `url` is set while it runs, `asked` are the paths it was asked for.

    Faults: `status` answers everything so, `metadata` replaces the JSON, `cut_after` breaks the
    transfer of stored bytes there, `stall_after` stops sending there until the end of the test,
    `silent` never answers at all, `told_length` false sends stored bytes chunked.
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
        response = web.StreamResponse()
        if self.told_length:
            response.content_length = len(found.stored)
        await response.prepare(request)
        limit = self.cut_after if self.cut_after is not None else self.stall_after
        await response.write(found.stored if limit is None else found.stored[:limit])
        if self.stall_after is not None:
            await self.over.wait()
        if limit is not None and request.transport is not None:
            request.transport.close()
        return response

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
