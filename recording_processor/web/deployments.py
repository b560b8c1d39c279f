"""What the administration of certificates asks: tenants, deployments, and their changes.

For crypto_server, under the role `crypto`, and for administrators. No answer holds a password.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta

from recording_format.ivr_profile import IvrProfile
from recording_processor.catalogue.profiles import Author, Outcome, Profiles
from recording_processor.deployment import (
    ProfileLine,
    deploy,
    deployments_of,
    option_of,
    read_certificate,
    warning_without_certificates,
    withdraw,
)
from recording_processor.errors import BadParameter
from recording_processor.json_body import decode_body
from recording_processor.profile_feed import ProfileFeed
from recording_processor.profile_problems import problems
from recording_processor.query import parameters
from recording_processor.tenancy import tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.metrics import Metrics
from service_shell.accounts import Account
from service_shell.web import require_role

_log = structlog.get_logger()
_LONGEST_BODY = 1 << 20
_LONGEST_NAME = 255
_ADMINISTRATION = ("admin", "crypto")


class _Certificate(msgspec.Struct, forbid_unknown_fields=True):
    certificate: str
    by: Annotated[str, Meta(max_length=_LONGEST_NAME)] = ""


class DeploymentRoutes:
    """``/lab/tenants``, ``/lab/deployments``, ``/lab/profiles/{dbid}/certificates``."""

    def __init__(
        self,
        profiles: Profiles,
        feed: ProfileFeed,
        metrics: Metrics,
        now: Callable[[], datetime],
    ) -> None:
        self._profiles = profiles
        self._feed = feed
        self._metrics = metrics
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        certificates = r"/lab/profiles/{dbid:\d{1,10}}/certificates"
        return [
            web.get("/lab/tenants", self.tenants),
            web.get("/lab/deployments", self.all),
            web.post(certificates, self.deploy),
            web.delete(f"{certificates}/{{certificate}}", self.withdraw),
        ]

    async def tenants(self, request: web.Request) -> web.Response:
        """Answer the tenants."""
        account = require_role(request, *_ADMINISTRATION, "operator")
        known = await self._profiles.tenants(tenants_of(account))
        return json_answer({"statusCode": 0, "tenants": known})

    async def all(self, request: web.Request) -> web.Response:
        """Answer every certificate of every profile, and the profiles, which may have none."""
        account = require_role(request, *_ADMINISTRATION)
        listed = await self._profiles.all(tenants_of(account))
        found = [known for profile in listed.profiles for known in deployments_of(profile)]
        lines = [ProfileLine.of(profile) for profile in listed.profiles]
        return json_answer({"statusCode": 0, "deployments": found, "profiles": lines})

    async def deploy(self, request: web.Request) -> web.Response:
        """Add a certificate to a profile; one that is there already changes nothing."""
        account = require_role(request, *_ADMINISTRATION)
        body = decode_body(await read_body(request, _LONGEST_BODY), _Certificate)
        certificate = read_certificate(body.certificate)
        outcome = await self._profiles.change(
            int(request.match_info["dbid"]),
            author_of(account, body.by),
            lambda profile: deploy(profile, certificate),
        )
        option = option_of(outcome.profile, certificate.fingerprint)
        self._tell(outcome, account, "A certificate was deployed", option=option)
        return json_answer(
            {
                "statusCode": 0,
                "option": option,
                "version": outcome.version,
                "problems": problems(outcome.profile, now=self._now()),
            }
        )

    async def withdraw(self, request: web.Request) -> web.Response:
        """Remove a certificate, by its fingerprint or its option, from a profile."""
        account = require_role(request, *_ADMINISTRATION)
        by, what = _query_by(request), request.match_info["certificate"]

        def alter(profile: IvrProfile) -> IvrProfile:
            return withdraw(profile, what)

        dbid = int(request.match_info["dbid"])
        outcome = await self._profiles.change(dbid, author_of(account, by), alter)
        self._tell(outcome, account, "A certificate was withdrawn", certificate=what[:80])
        answer: dict[str, object] = {"statusCode": 0, "version": outcome.version}
        warning = warning_without_certificates(outcome.profile)
        return json_answer(answer if warning is None else {**answer, "warning": warning})

    def _tell(self, outcome: Outcome, account: Account, event: str, **told: str | None) -> None:
        if outcome.changed:
            self._metrics.profile_version.set(outcome.version)
            self._feed.changed()
            profile = outcome.profile
            _log.info(event, profile=profile.name, dbid=profile.dbid, by=account.name, **told)


def author_of(account: Account, by: str = "") -> Author:
    """Return who changes: the account, or the person for whom it says that it acts.

    Raises `BadParameter` when that is no name.
    """
    if not by.isprintable():
        raise BadParameter("by: it is not a name")
    name = f"{by} (by {account.name})" if by else account.name
    return Author(name, tenants_of(account))


def _query_by(request: web.Request) -> str:
    by = parameters(request.query.items(), ("by",)).get("by", "")
    if len(by) > _LONGEST_NAME:
        raise BadParameter(f"by: it is longer than {_LONGEST_NAME} characters")
    return by
