"""What the aiohttp services share: sign-in, roles, errors as JSON, and the running of a server.

Error answers carry the vendor's ``statusCode`` and one sentence in ``statusMessage``; an exception
that nobody expected becomes 500 with no detail, and its trace goes to the log only.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from service_shell.accounts import Account, Accounts

BAD_PARAMETER, NO_PERMISSION, INTERNAL, NO_ROLE, NOT_FOUND = 2, 3, 4, 5, 6
ACCOUNT: web.RequestKey[Account] = web.RequestKey("account", Account)
_BACKLOG = 512
_log = structlog.get_logger()


def failure(
    status: int, code: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an error answer: HTTP `status`, the vendor's statusCode, one sentence."""
    body = {"statusCode": code, "statusMessage": message}
    return web.json_response(body, status=status, headers=headers)


def basic_auth(accounts: Accounts, *, realm: str, open_paths: Collection[str]) -> Middleware:
    """Let only signed-in requests through, except to `open_paths`; the account goes with them."""
    challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in open_paths:
            return await handler(request)
        header = request.headers.get("Authorization")
        account = accounts.remembered(header)
        if account is None and header is not None:
            account = await asyncio.to_thread(accounts.check_header, header)
        if account is None:
            return failure(401, NO_PERMISSION, "a valid name and password are needed", challenge)
        request[ACCOUNT] = account
        return await handler(request)

    return check


def require_role(request: web.Request, *roles: str) -> Account:
    """Return the signed-in account when it has one of `roles`, else answer 403."""
    account = request[ACCOUNT]
    if not set(roles) & set(account.roles):
        message = f"{account.name!r} does not have the role {' or '.join(roles)}"
        raise RoleMissing(message)
    return account


class RoleMissing(Exception):
    """The signed-in account may not do this; answered with 403 and statusCode 5."""


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer aiohttp's own errors, a missing role and the unexpected in the vendor's form."""
    try:
        return await handler(request)
    except RoleMissing as error:
        return failure(403, NO_ROLE, str(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {k: v for k, v in error.headers.items() if k in ("Allow", "Retry-After")}
        code = NOT_FOUND if error.status == 404 else BAD_PARAMETER
        return failure(error.status, code, error.reason.lower(), kept)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:  # noqa: BLE001 - the boundary: whatever it was, the client gets one plain answer
        _log.exception("A request failed", method=request.method, path=request.path)
        return failure(500, INTERNAL, "an internal error; the log tells more")


def metrics_response(registry: CollectorRegistry) -> web.Response:
    """Return the registry in Prometheus' text form."""
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


@asynccontextmanager
async def serve(
    app: web.Application, sock: socket.socket, *, grace: float = 10.0
) -> AsyncIterator[None]:
    """Serve `app` on the listening `sock`; at the end, open requests get `grace` seconds.

    aiohttp's own shutdown drops what clients still send, so an upload under way could never finish:
    running requests end first, then the server stops reading.
    """
    logging.getLogger("aiohttp.server").addFilter(_is_worth_a_record)
    running = RunningRequests()
    app.middlewares.insert(0, running.count)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=75.0)
    await runner.setup()
    try:
        site = web.SockSite(runner, sock, backlog=_BACKLOG)
        await site.start()
        try:
            yield
        finally:
            await site.stop()
            await running.drain(grace)
    finally:
        await runner.cleanup()


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
        self._number += 1
        self._idle.clear()
        try:
            return await handler(request)
        finally:
            self._number -= 1
            if self._number == 0:
                self._idle.set()


def _is_worth_a_record(record: logging.LogRecord) -> bool:
    """What is no HTTP was answered with 400; aiohttp would log each with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
