"""An answer on its way to the client, block by block, as fast as the client takes it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from aiohttp import web
from multidict import CIMultiDict

from webdav_store.disk import Disk
from webdav_store.exchange import Answer
from webdav_store.metrics import StoreMetrics

_log = structlog.get_logger()


class Sender:
    """Sends answers. A client that takes nothing for `idle_seconds` is cut off."""

    def __init__(self, disk: Disk, metrics: StoreMetrics, idle_seconds: float) -> None:
        self._disk = disk
        self._metrics = metrics
        self._idle_seconds = idle_seconds

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Send `answer`, or return it when aiohttp can send it in one piece; close its file."""
        headers = CIMultiDict(answer.headers)
        headers.popall("Date", None)
        headers["Server"] = "webdav_store"
        try:
            if request.method == "HEAD":
                return web.Response(status=answer.status, headers=headers)
            if len(answer.first) >= answer.length:
                self._metrics.sent.inc(len(answer.first))
                whole = web.Response(status=answer.status, headers=headers, body=answer.first)
                return await self._last(request, whole) if answer.is_last else whole
            response = web.StreamResponse(status=answer.status, headers=headers)
            await self._send_blocks(request, response, answer)
            return response
        finally:
            answer.close()

    async def _send_blocks(
        self, request: web.Request, response: web.StreamResponse, answer: Answer
    ) -> None:
        sent = 0
        block = answer.first
        try:
            await response.prepare(request)
            while block:
                async with asyncio.timeout(self._idle_seconds):
                    await response.write(block)
                sent += len(block)
                self._metrics.sent.inc(len(block))
                block = await self._disk.read(answer.next_block) if sent < answer.length else b""
            if sent == answer.length:
                async with asyncio.timeout(self._idle_seconds):
                    await response.write_eof()
                return
            reason = "the file became shorter"
        except TimeoutError:
            reason = "the client stalled"
        except ConnectionError:
            reason = "the client went away"
        self._cut(request, reason, sent, answer.length)

    async def _last(self, request: web.Request, whole: web.Response) -> web.Response:
        """Send an answer after which nothing is read any more, and end the connection."""
        whole.force_close()
        with suppress(ConnectionError):
            await whole.prepare(request)
            await whole.write_eof()
        if request.transport is not None:
            request.transport.close()
        return whole

    def _cut(self, request: web.Request, reason: str, sent: int, length: int) -> None:
        """End the connection: only so does the client know that the body is not whole."""
        self._metrics.cut_downloads.inc()
        _log.warning(
            "A download was cut off", path=request.path, reason=reason, sent=sent, length=length
        )
        if request.transport is not None:
            request.transport.abort()
