"""``/lab/session``: signing in for a session, and out again."""

from __future__ import annotations

from aiohttp import web

from crypto_server.administration.action import Actions, AdministrationRecord, answer
from crypto_server.administration.sessions import Sessions
from crypto_server.administration.sign_in import (
    COOKIE,
    SESSION_PATH,
    forget_cookie,
    set_cookie,
)
from service_shell.web import ACCOUNT


class SessionRoutes:
    """Sessions of administrators. Who signed in was checked before the handlers run."""

    def __init__(self, sessions: Sessions, actions: Actions, *, idle_seconds: float) -> None:
        self._sessions = sessions
        self._actions = actions
        self._idle_seconds = idle_seconds

    def add_to(self, app: web.Application) -> None:
        """Register the paths."""
        app.router.add_post(SESSION_PATH, self._actions.change("session-open", self.open))
        app.router.add_delete(SESSION_PATH, self._actions.change("session-close", self.close))

    async def open(self, request: web.Request, _record: AdministrationRecord) -> web.Response:
        """Begin a session; the one that the browser had before ends."""
        account = request[ACCOUNT]
        self._sessions.close(request.cookies.get(COOKIE, ""))
        token = self._sessions.open(account)
        response = answer(
            {
                "user": account.name,
                "roles": account.roles,
                "tenants": account.tenants,
                "idleSeconds": round(self._idle_seconds),
            }
        )
        set_cookie(request, response, token)
        return response

    async def close(self, request: web.Request, _record: AdministrationRecord) -> web.Response:
        """End the session of the cookie, if there is one."""
        self._sessions.close(request.cookies.get(COOKIE, ""))
        response = answer({})
        forget_cookie(response)
        return response
