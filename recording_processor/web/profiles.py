"""One IVR profile over HTTP: read, made, changed, deleted, and its history.

What is answered can be put again as it is: the profile's version is its entity tag, and a change
under ``If-Match`` is made to that version or not at all. Profiles hold passwords: they go to the
roles `mcp` and `admin` only, and into no log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog
from aiohttp import web

from recording_processor import provisioning
from recording_processor.catalogue.profile_rows import ProfileVersion
from recording_processor.catalogue.profiles import Author, Outcome, Profiles
from recording_processor.dates import vendor_date
from recording_processor.precondition import Precondition, entity_tag
from recording_processor.profile_feed import ProfileFeed
from recording_processor.profile_options import notes
from recording_processor.profile_problems import problems
from recording_processor.tenancy import tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.metrics import Metrics
from service_shell.accounts import Account
from service_shell.web import require_role

_log = structlog.get_logger()


class ProfileRoutes:
    """``/lab/profiles/{dbid}`` and what lies below it."""

    def __init__(
        self,
        profiles: Profiles,
        feed: ProfileFeed,
        metrics: Metrics,
        now: Callable[[], datetime],
        *,
        longest_body: int,
    ) -> None:
        self._profiles = profiles
        self._feed = feed
        self._metrics = metrics
        self._now = now
        self._longest_body = longest_body

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        profile = r"/lab/profiles/{dbid:\d{1,10}}"
        return [
            web.post("/lab/profiles", self.create),
            web.get(profile, self.one),
            web.put(profile, self.put),
            web.delete(profile, self.delete),
            web.get(f"{profile}/versions", self.history),
            web.get(rf"{profile}/versions/{{version:\d{{1,18}}}}", self.version),
        ]

    async def one(self, request: web.Request) -> web.Response:
        """Answer a profile as it is now."""
        account = require_role(request, "mcp", "admin")
        known = await self._profiles.one(_dbid(request), tenants_of(account))
        tag = entity_tag(known.version)
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        body = msgspec.json.encode(known.profile)
        return web.Response(body=body, content_type="application/json", headers={"ETag": tag})

    async def put(self, request: web.Request) -> web.Response:
        """Make or change a profile; answered when it is durable, and every waiting reader wakes."""
        account = require_role(request, "admin")
        precondition = _precondition(request)
        body = await read_body(request, self._longest_body)
        profile = provisioning.decode_profile(body, dbid=_dbid(request))
        outcome = await self._profiles.put(profile, _author(account), precondition)
        return self._answer(outcome, account, status=200)

    async def create(self, request: web.Request) -> web.Response:
        """Make a profile under the DBID that its body names, or else under a free one."""
        account = require_role(request, "admin")
        body = await read_body(request, self._longest_body)
        profile = provisioning.decode_new_profile(body)
        outcome = await self._profiles.create(profile, _author(account))
        answer = self._answer(outcome, account, status=201)
        answer.headers["Location"] = f"/lab/profiles/{outcome.profile.dbid}"
        return answer

    async def delete(self, request: web.Request) -> web.Response:
        """End a profile: readers see it vanish, its history stays. Running calls keep it."""
        account = require_role(request, "admin")
        precondition, dbid = _precondition(request), _dbid(request)
        version = await self._profiles.delete(dbid, _author(account), precondition)
        self._metrics.profile_version.set(version)
        self._feed.changed()
        _log.info("A profile was deleted", dbid=dbid, version=version, by=account.name)
        return json_answer({"statusCode": 0, "version": version})

    async def history(self, request: web.Request) -> web.Response:
        """Answer who changed a profile when, newest first; its options are in each version."""
        account = require_role(request, "admin")
        found = await self._profiles.history(_dbid(request), tenants_of(account))
        return json_answer({"statusCode": 0, "versions": [_version(known) for known in found]})

    async def version(self, request: web.Request) -> web.Response:
        """Answer one version of a profile, with its options."""
        account = require_role(request, "admin")
        # Beyond what the catalogue can hold there is nothing.
        number = min(int(request.match_info["version"]), 2**62)
        known = await self._profiles.version(_dbid(request), number, tenants_of(account))
        return json_answer({"statusCode": 0, **_version(known), "profile": known.profile})

    def _answer(self, outcome: Outcome, account: Account, *, status: int) -> web.Response:
        profile = outcome.profile
        found = problems(profile, now=self._now())
        if outcome.changed:
            self._metrics.profile_version.set(outcome.version)
            self._feed.changed()
            _log.info(
                "A profile was made" if outcome.created else "A profile was changed",
                profile=profile.name,
                dbid=profile.dbid,
                version=outcome.version,
                by=account.name,
                problems=[problem.option for problem in found],
            )
        answer = json_answer(
            {
                "statusCode": 0,
                "dbid": profile.dbid,
                "version": outcome.version,
                "problems": found,
                "notes": notes(profile),
            },
            status=status,
        )
        answer.headers["ETag"] = entity_tag(outcome.version)
        return answer


def _dbid(request: web.Request) -> int:
    return int(request.match_info["dbid"])


def _author(account: Account) -> Author:
    return Author(account.name, tenants_of(account))


def _precondition(request: web.Request) -> Precondition:
    return Precondition.read(_whole(request, "If-Match"), _whole(request, "If-None-Match"))


def _whole(request: web.Request, name: str) -> str | None:
    """Return a header; one of several lines is one list (RFC 9110 §5.3)."""
    lines = request.headers.getall(name, [])
    return ", ".join(lines) if lines else None


def _version(known: ProfileVersion) -> dict[str, object]:
    return {
        "version": known.version,
        "name": known.profile.name,
        "tenant": known.profile.tenant,
        "changedAt": vendor_date(known.changed_at),
        "changedBy": known.changed_by,
        "deleted": known.deleted,
    }
