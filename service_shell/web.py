"""What the aiohttp services share: sign-in, roles, errors as JSON.

Error answers carry the vendor's ``statusCode`` and one sentence in ``statusMessage``; an exception
that nobody expected becomes 500 with no detail, and its trace goes to the log only. How a service
is run is `serving`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest

from service_shell.accounts import Account, Accounts, basic_credentials
from service_shell.failure import (
    BAD_PARAMETER,
    INTERNAL,
    NO_PERMISSION,
    NO_ROLE,
    NOT_FOUND,
    failure,
)
from service_shell.serving import serve
from service_shell.sign_in import Guesses, SignInSettings, TooManyGuesses

__all__ = [
    "ACCOUNT",
    "BAD_PARAMETER",
    "INTERNAL",
    "NOT_FOUND",
    "NO_PERMISSION",
    "NO_ROLE",
    "RoleMissing",
    "basic_auth",
    "errors_as_json",
    "failure",
    "metrics_response",
    "require_own_page",
    "require_role",
    "serve",
]

ACCOUNT: web.RequestKey[Account] = web.RequestKey("account", Account)
# A check of a password takes 50 ms of one thread; strangers must not take all of them.
_CHECKS_AT_ONCE = 2
_CHECKS_WAITING = 64
_log = structlog.get_logger()


def basic_auth(
    accounts: Accounts,
    *,
    realm: str,
    open_paths: Collection[str],
    sign_in: SignInSettings | None = None,
    refused: Counter | None = None,
) -> Middleware:
    """Let only signed-in requests through, except to `open_paths`; the account goes with them.

    Passwords are checked a few at a time; when too many wait, the answer is 503. An address that
    failed too often gets 429, which `refused` counts.
    """
    challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
    checks = PasswordChecks(accounts, Guesses(sign_in or SignInSettings()))

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in open_paths:
            return await handler(request)
        try:
            account = await checks.account(
                request.headers.get("Authorization"), request.remote or ""
            )
        except TooManyChecks:
            wait = {"Retry-After": "1"}
            return failure(503, INTERNAL, "too many sign-ins are being checked", wait)
        except TooManyGuesses as error:
            if refused is not None:
                refused.inc()
            wait = {"Retry-After": str(error.seconds)}
            return failure(429, NO_PERMISSION, str(error), wait)
        if account is None:
            return failure(401, NO_PERMISSION, "a valid name and password are needed", challenge)
        request[ACCOUNT] = account
        return await handler(request)

    return check


class TooManyChecks(Exception):
    """Too many passwords wait to be checked."""


class PasswordChecks:
    """Checks passwords outside the event loop, a few at a time, the same one once."""

    def __init__(self, accounts: Accounts, guesses: Guesses | None = None) -> None:
        self._accounts = accounts
        self._guesses = guesses or Guesses(SignInSettings(failures=0))
        self._places = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._checks: dict[tuple[str, str], asyncio.Task[Account | None]] = {}

    async def account(self, authorization: str | None, host: str = "") -> Account | None:
        """Return the account of an ``Authorization`` header that came from `host`.

        Raises `TooManyChecks`, or `TooManyGuesses` for a password never right before from there.
        """
        if authorization is None or basic_credentials(authorization) is None:
            return None
        remembered = self._accounts.remembered(authorization)
        known = self._guesses.knows(host, authorization)
        if remembered is not None and known:
            return remembered
        # A check that another address waits for would say more than it may be told.
        check = self._checks.get((host, authorization))
        if check is None:
            if len(self._checks) >= _CHECKS_WAITING:
                raise TooManyChecks
            if not known:
                self._guesses.begin(host)
            work = self._check(authorization, host, known=known)
            check = asyncio.create_task(work, name="password check")
            self._checks[host, authorization] = check
        # A client that goes away must not take the check from the others that wait for it.
        return await asyncio.shield(check)

    async def _check(self, authorization: str, host: str, *, known: bool) -> Account | None:
        try:
            async with self._places:
                account = await asyncio.to_thread(self._accounts.check_header, authorization)
        finally:
            del self._checks[host, authorization]
        if account is not None and not known:
            self._guesses.was_right(host, authorization)
        return account


def require_role(request: web.Request, *roles: str) -> Account:
    """Return the signed-in account when it has one of `roles`, else answer 403."""
    account = request[ACCOUNT]
    if not set(roles) & set(account.roles):
        message = f"{account.name!r} does not have the role {' or '.join(roles)}"
        raise RoleMissing(message)
    return account


def require_own_page(request: web.Request) -> None:
    """Answer a change with 403 when the page of another site asks for it.

    A browser says whose page asks (``Origin``, RFC 6454 §7), and sends a sign-in along with it.
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
        raise RoleMissing("the page of another site may not change anything here")


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
    except (web.RequestPayloadError, HttpProcessingError):
        return failure(400, BAD_PARAMETER, "the body is not what its headers say")
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
