"""All IVR profiles over HTTP, with a version, and a long poll for the next.

Profiles hold passwords. They go to the roles `mcp` and `admin` only, and into no log.
"""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.profile_rows import ProfileList
from recording_processor.profile_feed import ProfileFeed
from recording_processor.query import parameters, read, whole_number
from recording_processor.tenancy import Tenants, tenants_of
from recording_processor.web.metrics import Metrics
from recording_processor.web.slots import Slots
from service_shell.web import require_role

_LONGEST_WAIT = 60


class ProfileListRoutes:
    """``GET /lab/profiles``."""

    def __init__(
        self, catalogue: Catalogue, feed: ProfileFeed, slots: Slots, metrics: Metrics
    ) -> None:
        self._catalogue = catalogue
        self._feed = feed
        self._slots = slots
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [web.get("/lab/profiles", self.all)]

    async def all(self, request: web.Request) -> web.Response:
        """Answer every profile; with `after` and `wait`, when there is a newer version.

        When the time is over without one, the present version is answered. With
        ``If-None-Match`` of the present version the answer is 304.
        """
        account = require_role(request, "mcp", "admin")
        after, wait = _poll(request)
        listed = await self._newer(request, after, wait, tenants_of(account))
        self._metrics.profile_version.set(listed.version)
        etag = self._etag(listed)
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        body = msgspec.json.encode({"version": listed.version, "profiles": listed.profiles})
        return web.Response(body=body, content_type="application/json", headers={"ETag": etag})

    async def _newer(
        self, request: web.Request, after: int | None, wait: int, tenants: Tenants
    ) -> ProfileList:
        known = request.headers.get("If-None-Match")
        change = self._feed.change
        listed = await self._catalogue.profiles.all(tenants)
        # Another catalogue's version 7 is not ours: a reader that says which one it knows is told.
        is_news = listed.version != after or known not in (None, self._etag(listed))
        if after is None or wait == 0 or is_news:
            return listed
        with self._slots.hold():
            try:
                async with asyncio.timeout(wait):
                    await change.wait()
            except TimeoutError:
                return listed
        return await self._catalogue.profiles.all(tenants)

    def _etag(self, listed: ProfileList) -> str:
        return f'"{self._catalogue.identity}-{listed.version}"'


def _poll(request: web.Request) -> tuple[int | None, int]:
    """Return `after` (None: not given) and `wait` in seconds."""
    given = parameters(request.query.items(), ("after", "wait"), of="this list")
    after = read("after", given, whole_number(0, 2**53))
    return after, read("wait", given, whole_number(0, _LONGEST_WAIT)) or 0
