"""Streams from another service to our client: chunk by chunk, never the whole, Range passed on.

Until the first byte is out, whatever the other service does wrong is told in one sentence. After
it, a break can only be told by breaking off too: the client never takes a cut stream for a whole.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import structlog
from aiohttp import web
from yarl import URL

from recording_processor.errors import UpstreamFailed, UpstreamSlow
from recording_processor.web.metrics import Metrics
from recording_processor.web.slots import Slots
from service_shell.trust import unreached

_log = structlog.get_logger()
_CHUNK = 256 * 1024
_ASKED = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
_ANSWERED = (
    "Content-Range",
    "Accept-Ranges",
    "ETag",
    "Last-Modified",
    "Repr-Digest",
    "X-Reclab-Verified",
)
_RANGE = re.compile(r"bytes=[0-9, -]{1,200}")
_PASSED = (200, 206, 304, 416)
_LONGEST_FAILURE = 4096


class _Failure(msgspec.Struct):
    message: str = msgspec.field(name="statusMessage", default="")


class Relay:
    """Streams from one upstream service, called `name` in messages. Bounded by `slots`.

    `refused` turns a status that is not passed on, and the sentence that came with it (or an empty
    text), into the error that the client gets.
    """

    def __init__(
        self,
        name: str,
        http: aiohttp.ClientSession,
        slots: Slots,
        metrics: Metrics,
        *,
        seconds: float,
        refused: Callable[[int, str], Exception],
    ) -> None:
        self._name = name
        self._label = name.removeprefix("the ")
        self._http = http
        self._slots = slots
        self._metrics = metrics
        self._seconds = seconds
        self._refused = refused

    async def stream(
        self,
        request: web.Request,
        url: str,
        *,
        authorization: str,
        content_type: Callable[[str], str],
        forwarded: str = "",
    ) -> web.StreamResponse:
        """Answer `request` with what `url` holds.

        `url` is percent-encoded already; `content_type` turns the upstream's type into ours.
        `forwarded` is the ``X-Forwarded-For`` that the upstream is told, when it is.
        Raises `UpstreamFailed`, `UpstreamSlow`, `Busy` or what `refused` gives.
        """
        headers = _passed(request.headers)
        if forwarded:
            headers["X-Forwarded-For"] = forwarded
        headers |= {"Authorization": authorization, "Accept-Encoding": "identity"}
        with self._slots.hold():
            async with self._open(request.method, url, headers) as upstream:
                if upstream.status not in _PASSED:
                    self._count("refused")
                    raise self._refused(upstream.status, await _told(upstream))
                return await self._pass_on(request, upstream, content_type)

    @asynccontextmanager
    async def _open(
        self, method: str, url: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, connect=self._seconds, sock_read=self._seconds)
        try:
            response = await self._http.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            )
        except TimeoutError:
            self._count("refused")
            raise UpstreamSlow(f"{self._name} did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            self._count("refused")
            raise UpstreamFailed(unreached(self._name, error)) from None
        try:
            yield response
        finally:
            # A response that was read to its end has given its connection back already.
            response.close()

    async def _pass_on(
        self,
        request: web.Request,
        upstream: aiohttp.ClientResponse,
        content_type: Callable[[str], str],
    ) -> web.StreamResponse:
        kept = {name: upstream.headers[name] for name in _ANSWERED if name in upstream.headers}
        if upstream.status in (304, 416):
            return web.Response(status=upstream.status, headers=kept)
        answer = web.StreamResponse(status=upstream.status, headers=kept)
        answer.content_type = content_type(upstream.content_type)
        answer.content_length = upstream.content_length
        await answer.prepare(request)
        if request.method != "HEAD":
            await self._copy(request, upstream, answer)
        await answer.write_eof()
        self._count("whole")
        return answer

    async def _copy(
        self,
        request: web.Request,
        upstream: aiohttp.ClientResponse,
        answer: web.StreamResponse,
    ) -> None:
        counter = self._metrics.upstream_bytes.labels(self._label)
        try:
            async for chunk in upstream.content.iter_chunked(_CHUNK):
                async with asyncio.timeout(self._seconds):
                    await answer.write(chunk)
                counter.inc(len(chunk))
        except (aiohttp.ClientError, TimeoutError) as error:
            left = isinstance(error, ConnectionError)
            self._count("left" if left else "broken")
            if not left:
                _log.warning("A stream broke off", upstream=self._name, path=request.path)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the stream was broken off") from None

    def _count(self, outcome: str) -> None:
        self._metrics.upstream.labels(self._label, outcome).inc()


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that are passed on; what the upstream could only refuse is left out.

    A Range of another unit, or that is none, counts as none (RFC 9110 §14.2).
    """
    known = {name: headers[name] for name in _ASKED if name in headers}
    passed = {name: value for name, value in known.items() if value.isprintable()}
    if not _RANGE.fullmatch(passed.get("Range", "")):
        passed.pop("Range", None)
    return passed


async def _told(upstream: aiohttp.ClientResponse) -> str:
    """Return the sentence of an error in the vendor's form, or an empty text."""
    try:
        body = await upstream.content.readexactly(
            min(upstream.content_length or 0, _LONGEST_FAILURE)
        )
        told = msgspec.json.decode(body, type=_Failure).message
    except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError):
        return ""
    return told if told.isprintable() else ""
