"""How onward delivery goes, and the replay of what failed, for administrators of every tenant."""

from __future__ import annotations

import asyncio

from aiohttp import web

from recording_processor.errors import NotFound, NotPermitted, UpstreamFailed
from recording_processor.onward.onward import Onward
from recording_processor.query import parameters
from recording_processor.settings import ProcessorSettings
from recording_processor.web.answering import json_answer
from recording_processor.web.recordings import check_contact_center
from service_shell.web import require_role

_PATH = "/api/v2/ops/contact-centers/{ccid}/onward"
_SHOWN = 100
_LONGEST_WAIT = 25.0


class OnwardRoutes:
    """``…/onward``."""

    def __init__(self, settings: ProcessorSettings, onward: Onward | None) -> None:
        self._settings = settings
        self._onward = onward

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [web.get(_PATH, self.state), web.post(f"{_PATH}/replay", self.replay)]

    async def state(self, request: web.Request) -> web.Response:
        """Answer what waits, and the names of the files of what failed, the oldest first."""
        onward = self._reached(request, "operator", "admin")
        parameters(request.query.items(), ())
        try:
            files = await onward.replay.look()
        except OSError:
            raise UpstreamFailed("the folder of failed posts cannot be read") from None
        return json_answer(
            {
                "statusCode": 0,
                "waiting": onward.delivery.counts.waiting,
                "failed": len(files),
                "files": files[:_SHOWN],
                "fault": onward.delivery.fault or None,
            }
        )

    async def replay(self, request: web.Request) -> web.Response:
        """Send what failed once more; a long run goes on when the answer has been given."""
        onward = self._reached(request, "admin")
        run = onward.replay.start()
        done, _ = await asyncio.wait([run], timeout=_LONGEST_WAIT)
        if not done:
            return json_answer({"statusCode": 0, "running": True}, status=202)
        result = run.result()
        return json_answer(
            {
                "statusCode": 0,
                "running": False,
                "replayed": result.replayed,
                "kept": result.kept,
                "fault": result.fault,
            }
        )

    def _reached(self, request: web.Request, *roles: str) -> Onward:
        account = require_role(request, *roles)
        check_contact_center(request, self._settings)
        if not account.every_tenant:
            raise NotPermitted("it concerns every tenant, and the account is limited to some")
        if self._onward is None:
            raise NotFound("nothing goes onward here: `onward.url` is not set")
        return self._onward
