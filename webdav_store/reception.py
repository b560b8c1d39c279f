"""The body of an upload, as it comes from the client, in batches for the disk.

Waiting for a client costs a coroutine and at most one batch of memory, never a thread.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from webdav_store.errors import BodyCut, BodyStalled

_BATCH = 256 * 1024


class Reception:
    """Reads one request's body. `received` counts its bytes; `ended` is set once it was whole."""

    def __init__(self, request: web.Request, *, limit: int, idle_seconds: float) -> None:
        self.received = 0
        self.ended = False
        self._content = request.content
        self._limit = limit
        self._idle_seconds = idle_seconds

    async def invite(self, request: web.Request) -> None:
        """Tell a client that waits for it to send the body (RFC 9110 §10.1.1)."""
        try:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        except ConnectionError:
            raise _gone() from None

    async def batch(self) -> list[bytes]:
        """Return the next 256 KiB or so, or the rest of the body.

        Raises `BodyCut`: 400 when the client went away or broke the framing, 408 when it stalled,
        413 when the body is longer than the limit.
        """
        parts: list[bytes] = []
        size = 0
        while size < _BATCH:
            part = await self._part()
            if not part:
                self.ended = True
                break
            parts.append(part)
            size += len(part)
        return parts

    async def whole(self) -> bytes:
        """Return a small body in one piece; the limit bounds the memory."""
        parts: list[bytes] = []
        while not self.ended:
            parts += await self.batch()
        return b"".join(parts)

    async def _part(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_seconds):
                part = await self._content.readany()
        except TimeoutError:
            raise BodyStalled from None
        except (OSError, web.RequestPayloadError, HttpProcessingError):
            raise _gone() from None
        self.received += len(part)
        if self.received > self._limit:
            raise BodyCut(413, f"the body is longer than {self._limit} bytes")
        return part


def _gone() -> BodyCut:
    return BodyCut(400, "the body was cut off")
