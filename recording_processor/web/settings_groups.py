"""``…/settings/screen-recording``: settings by location, as the vendor's documents set them.

They hold for the whole contact centre: an account that is limited to tenants may read them, but not
change them. The body is read as JSON whatever its Content-Type says.
"""

from __future__ import annotations

import structlog
from aiohttp import web

from recording_processor.catalogue.settings_groups import SettingsGroups
from recording_processor.errors import NotPermitted
from recording_processor.group_setting import (
    SCREEN_RECORDING,
    answer_of,
    effective,
    location_of,
    read_key,
    read_setting,
)
from recording_processor.query import parameters
from recording_processor.settings import ProcessorSettings
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.recordings import check_contact_center
from service_shell.accounts import Account
from service_shell.web import require_role

_log = structlog.get_logger()
_LONGEST_BODY = 1 << 18
PATH = "/api/v2/ops/contact-centers/{ccid}/settings"


class SettingsGroupRoutes:
    """The group ``screen-recording``."""

    def __init__(self, groups: SettingsGroups, settings: ProcessorSettings) -> None:
        self._groups = groups
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        path = f"{PATH}/{SCREEN_RECORDING}"
        return [
            web.get(path, self.all),
            web.post(path, self.put),
            web.put(path, self.put),
            web.delete(path, self.delete),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer all settings; with `location`, those that hold there."""
        require_role(request, "admin", "operator")
        check_contact_center(request, self._settings)
        query = parameters(request.query.items(), ("location",))
        found = await self._groups.settings(SCREEN_RECORDING)
        if "location" in query:
            found = tuple(effective(found, location_of(query["location"])).values())
        return json_answer({"statusCode": 0, "settings": [answer_of(each) for each in found]})

    async def put(self, request: web.Request) -> web.Response:
        """Make or change a setting; POST and PUT do the same."""
        account = changer_of(request, self._settings)
        query = parameters(request.query.items(), ("location",))
        setting = read_setting(await read_body(request, _LONGEST_BODY), query)
        await self._groups.put_setting(SCREEN_RECORDING, setting, changed_by=account.name)
        _log.info(
            "A setting was changed",
            group=SCREEN_RECORDING,
            name=setting.name,
            location=setting.location,
            by=account.name,
        )
        return json_answer({"statusCode": 0, **answer_of(setting)})

    async def delete(self, request: web.Request) -> web.Response:
        """Remove a setting, which the body or the address names."""
        account = changer_of(request, self._settings)
        query = parameters(request.query.items(), ("name", "location"))
        key = read_key(await read_body(request, _LONGEST_BODY), query)
        await self._groups.delete_setting(SCREEN_RECORDING, key)
        _log.info(
            "A setting was removed",
            group=SCREEN_RECORDING,
            name=key.name,
            location=key.location,
            by=account.name,
        )
        return json_answer({"statusCode": 0, "name": key.name, "location": key.location})


def changer_of(request: web.Request, settings: ProcessorSettings) -> Account:
    """Return the administrator who may change what every tenant shares. Raises `NotPermitted`."""
    account = require_role(request, "admin")
    check_contact_center(request, settings)
    if not account.every_tenant:
        raise NotPermitted("these settings are every tenant's, and the account is limited to some")
    return account
