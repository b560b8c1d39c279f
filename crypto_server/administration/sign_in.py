"""Signing in to the administration: Basic at each request, or once for a session's cookie.

A cookie counts only below ``/lab/`` and only without ``Authorization``. One that this process does
not know (it was restarted, or the session idled too long) is answered as the vendor's server does:
401, "RCS is not available". The page of another site can make a browser send nothing that counts:
the cookie is ``SameSite=Strict``, a change by cookie needs ``X-Requested-With`` or an ``Origin`` of
our own, and no change is made for a foreign ``Origin`` alone, whatever it is signed by.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from crypto_server.administration.errors import ForgeryRefused
from crypto_server.administration.sessions import Sessions
from service_shell.web import ACCOUNT, NO_PERMISSION, failure

COOKIE = "rcs_session"
SESSION_PATH = "/lab/session"
NOT_AVAILABLE = "RCS is not available"
REALM = "recordings"
_BELOW = "/lab"
_SAFE_METHODS = ("GET", "HEAD")
_CHALLENGE = {"WWW-Authenticate": f'Basic realm="{REALM}", charset="UTF-8"'}


def session_or_basic(sessions: Sessions, basic: Middleware) -> Middleware:
    """Return a middleware that takes a session's cookie where one counts, else asks `basic`."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        token = session_token(request)
        try:
            _check_origin(request, by_cookie=token is not None)
        except ForgeryRefused as error:
            return failure(error.status, error.code, str(error))
        if token is None:
            return await basic(request, handler)
        account = sessions.account(token)
        if account is None:
            answer = failure(401, NO_PERMISSION, NOT_AVAILABLE, dict(_CHALLENGE))
            if request.method == "DELETE" and request.path == SESSION_PATH:
                forget_cookie(answer)  # logging out: there is nothing left to hold on to
            return answer
        request[ACCOUNT] = account
        return await handler(request)

    return check


def session_token(request: web.Request) -> str | None:
    """Return the session's token of a request that is to be judged by it, else None."""
    if not request.path.startswith(f"{_BELOW}/") or "Authorization" in request.headers:
        return None
    return request.cookies.get(COOKIE)


def set_cookie(request: web.Request, answer: web.StreamResponse, token: str) -> None:
    """Give the session's token to the browser, for its own requests only."""
    answer.set_cookie(
        COOKIE, token, path=_BELOW, httponly=True, samesite="Strict", secure=request.secure
    )


def forget_cookie(answer: web.StreamResponse) -> None:
    """Let the browser forget the session's token."""
    answer.del_cookie(COOKIE, path=_BELOW, httponly=True, samesite="Strict")


def _check_origin(request: web.Request, *, by_cookie: bool) -> None:
    """Raise `ForgeryRefused` for a change that another site's page could have asked for."""
    if request.method in _SAFE_METHODS or "X-Requested-With" in request.headers:
        return  # a page cannot set that header for another site without being allowed to
    origin = request.headers.get("Origin")
    if origin is None and by_cookie:
        raise ForgeryRefused(
            "a change by a session's cookie needs the header X-Requested-With, or our own Origin"
        )
    if origin is not None and _host(origin) != request.host.lower():
        raise ForgeryRefused("the page of another site may not change anything here")


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
