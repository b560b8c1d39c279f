"""``…/settings/screen-recording-encryption``: the certificates of screen recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import structlog
from aiohttp import web

from recording_format.ivr_profile import Tenant
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.deployment import read_certificate
from recording_processor.errors import BadParameter, NotFound
from recording_processor.json_body import decode_body
from recording_processor.profile_problems import date_problem
from recording_processor.query import parameters
from recording_processor.screen_certificate import (
    GROUP,
    ScreenCertificate,
    assign,
    pairs,
    remove,
    warning_without,
)
from recording_processor.settings import ProcessorSettings
from recording_processor.tenancy import tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.recordings import check_contact_center
from recording_processor.web.settings_groups import PATH
from service_shell.accounts import Account
from service_shell.web import require_role

_log = structlog.get_logger()
_LONGEST_BODY = 1 << 20


class _Assignment(msgspec.Struct, forbid_unknown_fields=True):
    certificate: str
    tenant: str | None = None


class _Removal(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class ScreenCertificateRoutes:
    """The group ``screen-recording-encryption``; an account sees those of its tenants."""

    def __init__(
        self, catalogue: Catalogue, settings: ProcessorSettings, now: Callable[[], datetime]
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        path = f"{PATH}/{GROUP}"
        return [
            web.get(path, self.all),
            web.post(path, self.assign),
            web.put(path, self.assign),
            web.delete(path, self.remove),
            web.delete(f"{path}/{{certificate}}", self.remove),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer the certificates and their aliases, and what is wrong with their dates."""
        account = require_role(request, "admin", "operator")
        check_contact_center(request, self._settings)
        parameters(request.query.items(), ())
        tenants = await self._tenants(account)
        known = await self._catalogue.groups.certificates()
        seen = [each for each in known if each.tenant in tenants]
        problems = [
            {"name": each.option, "problem": problem}
            for each in seen
            if (problem := date_problem(each.certificate, self._now()))
        ]
        return json_answer(
            {
                "statusCode": 0,
                "encrypted": bool(seen),
                "settings": list(pairs(seen)),
                "problems": problems,
            }
        )

    async def assign(self, request: web.Request) -> web.Response:
        """Assign a certificate; one that is there already changes nothing."""
        account = require_role(request, "admin")
        check_contact_center(request, self._settings)
        body = decode_body(await read_body(request, _LONGEST_BODY), _Assignment)
        certificate = read_certificate(body.certificate)
        tenant = _tenant_of(body.tenant, await self._tenants(account))
        change = await self._catalogue.groups.change_certificates(
            lambda present: assign(present, tenant, certificate), changed_by=account.name
        )
        added = next(
            each
            for each in change.after
            if each.tenant == tenant and each.certificate == certificate
        )
        _log.info(
            "A screen-recording certificate was assigned",
            option=added.option,
            tenant=tenant.name,
            by=account.name,
        )
        answer = {
            "statusCode": 0,
            "name": added.option,
            "alias": added.alias,
            "id": certificate.fingerprint,
            "tenant": tenant.name,
        }
        problem = date_problem(certificate, self._now())
        return json_answer(answer if problem is None else {**answer, "warning": problem})

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a certificate; warns when it was the last."""
        account = require_role(request, "admin")
        check_contact_center(request, self._settings)
        what = await _what_to_remove(request)
        tenants = await self._tenants(account)

        def alter(present: tuple[ScreenCertificate, ...]) -> tuple[ScreenCertificate, ...]:
            return remove(present, what, tenants)

        change = await self._catalogue.groups.change_certificates(alter, changed_by=account.name)
        _log.info(
            "A screen-recording certificate was removed", certificate=what[:80], by=account.name
        )
        warning = warning_without(change.before, change.after)
        return json_answer({"statusCode": 0} | ({} if warning is None else {"warning": warning}))

    async def _tenants(self, account: Account) -> tuple[Tenant, ...]:
        return await self._catalogue.profiles.tenants(tenants_of(account))


async def _what_to_remove(request: web.Request) -> str:
    """Return the name or fingerprint that the address, its query or the body says."""
    query = parameters(request.query.items(), ("name",))
    body = await read_body(request, _LONGEST_BODY)
    told = {
        *([request.match_info["certificate"]] if "certificate" in request.match_info else []),
        *query.values(),
        *([decode_body(body, _Removal).name] if body.strip() else []),
    }
    if len(told) != 1:
        raise BadParameter("name: say which certificate, once")
    return told.pop()


def _tenant_of(name: str | None, tenants: Sequence[Tenant]) -> Tenant:
    if name is None and len(tenants) == 1:
        return tenants[0]
    if name is None:
        raise BadParameter("tenant: it is missing, and there is more than one")
    for tenant in tenants:
        if tenant.name == name:
            return tenant
    raise NotFound("there is no such tenant")
