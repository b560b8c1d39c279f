"""Conflicts: posts that were refused because the catalogue has something else under their ids."""

from __future__ import annotations

import msgspec
import structlog
from aiohttp import web

from recording_processor.catalogue.conflicts import LIMIT, Conflicts, MediaConflict
from recording_processor.dates import vendor_date
from recording_processor.errors import NotFound
from recording_processor.query import parameters, read, whole_number
from recording_processor.settings import ProcessorSettings
from recording_processor.tenancy import tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.recordings import check_contact_center
from service_shell.web import require_role

_log = structlog.get_logger()
PATH = "/api/v2/ops/contact-centers/{ccid}/conflicts"
_SHOWN = 100


class ConflictRoutes:
    """``…/conflicts``; an account sees those between its own tenants."""

    def __init__(self, conflicts: Conflicts, settings: ProcessorSettings) -> None:
        self._conflicts = conflicts
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [web.get(PATH, self.all), web.delete(f"{PATH}/{{number}}", self.dismiss)]

    async def all(self, request: web.Request) -> web.Response:
        """Answer the conflicts, newest first."""
        account = require_role(request, "operator", "admin")
        check_contact_center(request, self._settings)
        query = parameters(request.query.items(), ("limit",))
        limit = read("limit", query, whole_number(1, LIMIT)) or _SHOWN
        found = await self._conflicts.newest(tenants_of(account), limit=limit)
        return json_answer({"statusCode": 0, "conflicts": [_answer(each) for each in found]})

    async def dismiss(self, request: web.Request) -> web.Response:
        """Take a conflict off the list; the catalogue stays as it is."""
        account = require_role(request, "operator", "admin")
        check_contact_center(request, self._settings)
        number = request.match_info["number"]
        if not number.isascii() or not number.isdigit() or len(number) > 16:
            raise NotFound("there is no such conflict")
        await self._conflicts.dismiss(int(number), tenants_of(account))
        _log.info("A conflict was dismissed", number=int(number), by=account.name)
        return json_answer({"statusCode": 0})


def _answer(conflict: MediaConflict) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(conflict)
    dates = {"firstAt": conflict.first_at, "lastAt": conflict.last_at}
    return told | {name: vendor_date(instant) for name, instant in dates.items()}
