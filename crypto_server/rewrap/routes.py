"""``POST /lab/recordings/{id}/rewrap``: for administrators, one audit line however it ends."""

from __future__ import annotations

import msgspec
from aiohttp import web

from crypto_server.administration.action import Actions, AdministrationRecord, answer
from crypto_server.administration.body import read_form
from crypto_server.rewrap.rewrapper import Rewrapper
from crypto_server.rewrap.wish import RewrapWish
from service_shell.web import ACCOUNT

REWRAP_PATH = "/lab/recordings/{recording}/rewrap"
_LONGEST_NOTE = 200


class RewrapRoutes:
    """The handler of one crypto server; mounted by ``RewrapRoutes(…).add_to(app)``."""

    def __init__(self, rewrapper: Rewrapper, actions: Actions) -> None:
        self._rewrapper = rewrapper
        self._actions = actions

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_post(REWRAP_PATH, self._actions.change("rewrap", self.rewrap))

    async def rewrap(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Re-wrap one recording; answer what changed in each of its encrypted media files."""
        recording = request.match_info["recording"]
        record.recording = recording[:_LONGEST_NOTE]
        wish = await read_form(request, RewrapWish)
        record.detail = f"add {len(wish.add)}, remove {len(wish.remove)}"
        if wish.dry_run:
            record.detail += ", dry run"
        report = await self._rewrapper.rewrap(request[ACCOUNT], recording, wish)
        record.tenant = report.tenant
        record.detail += f": {report.changed} of {len(report.media_files)} media files"
        return answer(msgspec.to_builtins(report))
