"""``/console/conflicts``: the refused posts, for the people who have to find out why."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from recording_processor.catalogue.conflicts import Conflicts
from recording_processor.console.page import ConflictView, conflict_line, render_conflicts
from recording_processor.query import parameters
from recording_processor.settings import ProcessorSettings
from recording_processor.tenancy import tenants_of
from recording_processor.web.conflicts import PATH
from service_shell.web import require_role

_SHOWN = 100


class ConflictPageRoutes:
    """The page of conflicts."""

    def __init__(self, conflicts: Conflicts, settings: ProcessorSettings) -> None:
        self._conflicts = conflicts
        self._center = settings.contact_center

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [web.get("/console/conflicts", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        """Show the newest conflicts, each with a button that dismisses it."""
        person = require_role(request, "operator", "admin")
        parameters(request.query.items(), ())
        found = await self._conflicts.newest(tenants_of(person), limit=_SHOWN)
        view = ConflictView(
            conflicts=tuple(conflict_line(each) for each in found),
            path=PATH.format(ccid=quote(self._center.ccid, safe="")),
            domain=self._center.domain,
            region=self._center.region,
            person=person.name,
            roles=tuple(person.roles),
        )
        return web.Response(text=render_conflicts(view), content_type="text/html", charset="utf-8")
