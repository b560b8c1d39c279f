"""IVR profiles over HTTP: all of them with a version, a long poll for the next, and the change.

Profiles hold passwords. They go to the roles `mcp` and `admin` only, and into no log.
"""

from __future__ import annotations

import asyncio
import re

import msgspec
import structlog
from aiohttp import web

from recording_processor import provisioning
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.provisioned import ProfileList
from recording_processor.errors import BadParameter
from recording_processor.profile_feed import ProfileFeed
from recording_processor.settings import ProcessorSettings
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.metrics import Metrics
from recording_processor.web.slots import Slots
from service_shell.web import require_role

_log = structlog.get_logger()
_LONGEST_WAIT = 60


class ProfileRoutes:
    """``/lab/profiles``."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: ProcessorSettings,
        feed: ProfileFeed,
        slots: Slots,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._feed = feed
        self._slots = slots
        self._metrics = metrics

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [
            web.get("/lab/profiles", self.all),
            web.put(r"/lab/profiles/{dbid:\d{1,10}}", self.put),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer every profile; with `after` and `wait`, when there is a newer version.

        When the time is over without one, the present version is answered. With
        ``If-None-Match`` of the present version the answer is 304.
        """
        require_role(request, "mcp", "admin")
        after, wait = _poll(request)
        listed = await self._newer(request, after, wait)
        self._metrics.profile_version.set(listed.version)
        etag = self._etag(listed)
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        body = msgspec.json.encode({"version": listed.version, "profiles": listed.profiles})
        return web.Response(body=body, content_type="application/json", headers={"ETag": etag})

    async def put(self, request: web.Request) -> web.Response:
        """Make or change a profile; answered when it is durable, and every waiting reader wakes."""
        account = require_role(request, "admin")
        body = await read_body(request, self._settings.limits.profile_bytes)
        profile = provisioning.decode_profile(body, dbid=int(request.match_info["dbid"]))
        problems = provisioning.problems(profile)
        version = await self._catalogue.put_profile(profile, changed_by=account.name)
        self._metrics.profile_version.set(version)
        self._feed.changed()
        _log.info(
            "A profile was changed",
            profile=profile.name,
            dbid=profile.dbid,
            version=version,
            by=account.name,
            problems=[problem.option for problem in problems],
        )
        answer = {"statusCode": 0, "version": version, "problems": problems}
        return json_answer(answer)

    async def _newer(self, request: web.Request, after: int | None, wait: int) -> ProfileList:
        known = request.headers.get("If-None-Match")
        change = self._feed.change
        listed = await self._catalogue.profiles()
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
        return await self._catalogue.profiles()

    def _etag(self, listed: ProfileList) -> str:
        return f'"{self._catalogue.identity}-{listed.version}"'


def _poll(request: web.Request) -> tuple[int | None, int]:
    """Return `after` (None: not given) and `wait` in seconds."""
    for name in request.query:
        if name not in ("after", "wait"):
            raise BadParameter(f"{name[:64]!r} is not a parameter of this list")
    after = _whole(request, "after", 2**53)
    return after, _whole(request, "wait", _LONGEST_WAIT) or 0


def _whole(request: web.Request, name: str, maximum: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,16}", text) or int(text) > maximum:
        raise BadParameter(f"{name}: it is not a whole number from 0 to {maximum}")
    return int(text)
