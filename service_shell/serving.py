"""Running an aiohttp application: its connections, what is no HTTP on them, and its end.

aiohttp's own answer to malformed HTTP quotes what it could not read, which may be a password, and
logs a traceback; here it is one sentence, and no record.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import structlog
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from service_shell.failure import BAD_PARAMETER, INTERNAL, failure
from service_shell.faults.http import HTTP_FAULTS, Count
from service_shell.tls import GOODBYE_SECONDS, HANDSHAKE_SECONDS, ServerTls

_BACKLOG = 512
_KEEPALIVE_SECONDS = 75.0
_FIRST_REQUEST_SECONDS = 30.0
"""How long a client may take for the head of its first request; later it is the other one."""
# For answers that are no pages: nothing in them may run, be framed, or be guessed to be a page. A
# player on another site may play what a listener may hear.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Only over TLS (RFC 6797 §7.2). Of a day, because it holds for every port of the host: another
# service there that is not moved to TLS yet is not closed to browsers for long.
_ONLY_TLS = "max-age=86400"
_LONGEST_HOST = 300
_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::(?P<port>\d{0,5}))?"
)
_HIGHEST_PORT = 65535
_log = structlog.get_logger()


@asynccontextmanager
async def serve(
    app: web.Application,
    sock: socket.socket,
    *,
    grace: float = 10.0,
    tls: ServerTls | None = None,
) -> AsyncIterator[None]:
    """Serve `app` on the listening `sock`; at the end, open requests get `grace` seconds.

    With `tls` by HTTPS only: what is no TLS is closed without an answer.

    aiohttp's own shutdown drops what clients still send, so an upload under way could never finish:
    running requests end first, then the server stops reading.
    """
    running = RunningRequests()
    app.middlewares[:0] = [running.count, host_is_sound]
    app.on_response_prepare.append(_add_headers)
    runner = _Runner(app, shutdown_timeout=1.0)
    runner.count = running.count
    await runner.setup()
    try:
        async with tls.following() if tls else nullcontext():
            server = await _listen(runner, sock, tls)
            try:
                yield
            finally:
                server.close()
                if HTTP_FAULTS in app:
                    app[HTTP_FAULTS].end()
                await running.drain(grace)
    finally:
        await runner.cleanup()


async def _listen(
    runner: web.AppRunner, sock: socket.socket, tls: ServerTls | None
) -> asyncio.AbstractServer:
    loop = asyncio.get_running_loop()
    assert runner.server is not None, "the runner is set up"
    if tls is None:
        return await loop.create_server(runner.server, sock=sock, backlog=_BACKLOG)
    return await loop.create_server(
        runner.server,
        sock=sock,
        backlog=_BACKLOG,
        ssl=tls.context,
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
        ssl_shutdown_timeout=GOODBYE_SECONDS,
    )


class RunningRequests:
    """How many requests are being answered."""

    def __init__(self) -> None:
        self._number = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Wait until no request runs, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, and know of it meanwhile."""
        if isinstance(request.protocol, _Connection):
            request.protocol.be_patient()
        self._number += 1
        self._idle.clear()
        try:
            return await handler(request)
        finally:
            self._number -= 1
            if self._number == 0:
                self._idle.set()


@web.middleware
async def host_is_sound(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a ``Host`` that cannot be one (RFC 9112 §3.2); it may stand in answers as a URL."""
    host = request.headers.get("Host")
    if host is None or not is_host(host):
        return failure(400, BAD_PARAMETER, "the header Host is missing or not that of a URL")
    return await handler(request)


def is_host(text: str) -> bool:
    """Return whether `text` is a host and maybe a port, as a URL has them (RFC 3986 §3.2.2)."""
    found = _HOST.fullmatch(text) if len(text) <= _LONGEST_HOST else None
    return found is not None and int(found["port"] or 0) <= _HIGHEST_PORT


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.secure:
        response.headers["Strict-Transport-Security"] = _ONLY_TLS
    if response.status in (429, 503, 507):
        response.headers.setdefault("Retry-After", "5")
    # What aiohttp says tells strangers the versions of Python and of itself.
    if response.headers.get("Server") == SERVER_SOFTWARE:
        response.headers["Server"] = "reclab"


class _Connection(web.RequestHandler):
    """One client's connection. One that never says what it wants is closed."""

    __slots__ = ("_impatience",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client a while to say what it wants."""
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._impatience = loop.call_later(_FIRST_REQUEST_SECONDS, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        self.be_patient()
        super().connection_lost(exc)

    def be_patient(self) -> None:
        """The client has said what it wants."""
        self._impatience.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what failed outside of every handler; then hang up."""
        if isinstance(exc, HttpProcessingError):
            answer = failure(400, BAD_PARAMETER, "the request is not HTTP that can be read")
        else:
            self.log_exception("A request failed outside of its handler", exc_info=exc)
            answer = failure(status, INTERNAL, "an internal error; the log tells more")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        answer.headers["Server"] = "reclab"
        answer.force_close()
        return answer

    def log_exception(self, *args: object, **kw: object) -> None:
        """Log what is our fault; a client that breaks off or sends nonsense is not."""
        fault = kw.get("exc_info")
        if isinstance(fault, (HttpProcessingError, web.RequestPayloadError, ConnectionError)):
            return
        _log.error(str(args[0]) if args else "A request failed", exc_info=fault)


class _Server(web.Server):
    """Makes connections of our kind."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's way to say that there is none
            keepalive_timeout=_KEEPALIVE_SECONDS,
        )


class _Runner(web.AppRunner):
    """Runs an application on our kind of server."""

    __slots__ = ("count",)

    count: Count

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        answer, make = made.request_handler, made.request_factory
        if HTTP_FAULTS in self.app:
            answer, make = self.app[HTTP_FAULTS].around(answer, make, self.count)
        return _Server(answer, request_factory=make)
