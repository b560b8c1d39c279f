"""``/lab/certificates`` and ``/lab/agent-setup/keys`` over HTTP."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from crypto_server.administration.action import Actions, AdministrationRecord, answer, noted
from crypto_server.administration.body import read_form
from crypto_server.administration.certificates import Certificates, Held, Listing, read_certificate
from crypto_server.administration.deployments import Deployments, parse_dbid
from crypto_server.administration.description import describe, key_details
from crypto_server.administration.errors import AdministrationRefused
from crypto_server.administration.expiry import Expiry
from recording_format.certificates import RecordingCertificate
from recording_format.errors import PrivateKeyError
from recording_format.private_keys import key_matches, load_private_key
from service_shell.accounts import Account
from service_shell.web import ACCOUNT

_LONGEST_FILTER = 200
_MOST_DAYS = 36500


class UploadForm(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The upload form. Its texts are secrets until it is known which one holds the key."""

    certificate: str
    key: str = ""
    password: str = ""
    tenant: str = ""
    accept_expired: bool = False

    def __repr__(self) -> str:
        return "UploadForm()"


class DeploymentWish(msgspec.Struct, forbid_unknown_fields=True):
    """The profile that shall have the certificate."""

    profile: int
    tenant: str = ""


class CertificateRoutes:
    """The handlers about certificates."""

    def __init__(
        self,
        certificates: Certificates,
        deployments: Deployments,
        expiry: Expiry,
        actions: Actions,
    ) -> None:
        self._certificates = certificates
        self._deployments = deployments
        self._expiry = expiry
        self._actions = actions

    def add_to(self, app: web.Application) -> None:
        """Register the paths."""
        read, change, router = self._actions.read, self._actions.change, app.router
        one = "/lab/certificates/{id}"
        router.add_post("/lab/certificates/inspect", change("inspect", self.inspect))
        router.add_get("/lab/certificates/expiring", read(self.expiring), allow_head=False)
        router.add_post("/lab/certificates", change("upload", self.upload))
        router.add_get("/lab/certificates", read(self.list), allow_head=False)
        router.add_get(one, read(self.show), allow_head=False)
        router.add_delete(one, change("delete", self.delete))
        router.add_post(f"{one}/deployments", change("deploy", self.deploy))
        router.add_delete(f"{one}/deployments/{{dbid}}", change("undeploy", self.undeploy))
        router.add_post("/lab/agent-setup/keys", change("agent-setup", self.set_up))

    async def inspect(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Answer what the upload form fills in; nothing is stored."""
        form = await read_form(request, UploadForm)
        certificate = read_certificate(form.certificate)
        record.certificate = certificate.fingerprint
        validation, now = self._certificates.validation, self._certificates.now()
        judgement = await asyncio.to_thread(validation.judge, certificate, now)
        shown = {"certificate": describe(certificate, judgement)}
        if form.key:
            key = await asyncio.to_thread(_inspect_key, form, certificate)
            return answer({**shown, "key": key})
        return answer({**shown})

    async def upload(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Take a certificate and its key into the keystore."""
        form = await read_form(request, UploadForm)
        certificate = read_certificate(form.certificate)
        record.certificate, record.tenant = certificate.fingerprint, noted(form.tenant)
        if form.accept_expired:
            record.detail = "expired is accepted"
        if not form.key:
            raise AdministrationRefused("the key file is missing")
        stored = await self._certificates.upload(
            request[ACCOUNT],
            form.tenant,
            certificate,
            form.key,
            form.password,
            accept_expired=form.accept_expired,
        )
        record.tenant, record.key_alias = stored.row.tenant, stored.row.alias
        await self._expiry.refresh()
        return answer({"certificate": stored.row}, status=201 if stored.new else 200)

    async def list(self, request: web.Request) -> web.Response:
        """Answer the list, narrowed by the quick filter."""
        tenant, text = _query(request, "tenant", "filter")
        listing = await self._certificates.listing(request[ACCOUNT], tenant)
        rows = [one for one in listing.rows if text is None or text.lower() in one.shown]
        return _listed(Listing(rows, listing.note))

    async def expiring(self, request: web.Request) -> web.Response:
        """Answer what ends soon."""
        tenant, text = _query(request, "tenant", "days")
        days = self._expiry.days if text is None else _days(text)
        return _listed(await self._certificates.expiring(request[ACCOUNT], tenant, days))

    async def show(self, request: web.Request) -> web.Response:
        """Answer one certificate."""
        (tenant,) = _query(request, "tenant")
        fingerprint = request.match_info["id"]
        listing = await self._certificates.show(request[ACCOUNT], fingerprint, tenant)
        return answer({"certificate": listing.rows[0], "note": listing.note})

    async def delete(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Take a certificate and its key out of the keystore."""
        tenant, text = _query(request, "tenant", "force")
        force = _truth("force", text)
        record.detail = "force" if force else None
        held = await self._find(request, record, tenant)
        warning = await self._deployments.delete(held, force=force)
        await self._expiry.refresh()
        return answer({"warning": warning})

    async def deploy(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Add a certificate to a profile."""
        form = await read_form(request, DeploymentWish)
        record.profile = form.profile
        held = await self._find(request, record, form.tenant or None)
        deployed, warning = await self._deployments.deploy(request[ACCOUNT], held, form.profile)
        others = [one for one in deployed.problems if one.option != deployed.option]
        return answer(
            {
                "option": deployed.option,
                "version": deployed.version,
                "warning": warning,
                "problems": others or None,
            }
        )

    async def undeploy(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Remove a certificate from a profile; its key may be gone already."""
        (tenant,) = _query(request, "tenant")
        record.profile = parse_dbid(request.match_info["dbid"])
        fingerprint = request.match_info["id"]
        record.certificate, record.tenant = fingerprint[:64], noted(tenant)
        removed, record.tenant = await self._deployments.undeploy(
            request[ACCOUNT], fingerprint, tenant, record.profile
        )
        return answer({"version": removed.version, "warning": removed.warning})

    async def set_up(self, request: web.Request, record: AdministrationRecord) -> web.Response:
        """Do what the Agent Setup form does: store, deploy to `record`, answer Key and Alias."""
        form = await read_form(request, UploadForm)
        account: Account = request[ACCOUNT]
        certificate = read_certificate(form.certificate)
        record.certificate, record.tenant = certificate.fingerprint, noted(form.tenant)
        tenant, alias = await self._certificates.naming(account, form.tenant, certificate)
        record.tenant, record.key_alias = tenant, alias
        record.profile = await self._deployments.record_profile(tenant)
        if form.key:
            await self._certificates.upload(account, tenant, certificate, form.key, form.password)
            await self._expiry.refresh()
        deployed, warning = await self._deployments.set_up(account, tenant, certificate)
        if not await self._certificates.has_key(tenant, certificate):
            missing = "the keystore has no key for it: what is recorded cannot be played here"
            warning = f"{missing}; {warning}" if warning else missing
        return answer({"key": deployed.option, "alias": alias, "warning": warning})

    async def _find(
        self, request: web.Request, record: AdministrationRecord, tenant: str | None
    ) -> Held:
        fingerprint = request.match_info["id"]
        record.certificate, record.tenant = fingerprint[:64], noted(tenant)
        held = await self._certificates.find(request[ACCOUNT], fingerprint, tenant)
        record.tenant, record.key_alias = held.tenant, held.entry.alias
        return held


def _listed(listing: Listing) -> web.Response:
    return answer({"certificates": listing.rows, "note": listing.note})


def _inspect_key(form: UploadForm, certificate: RecordingCertificate) -> dict[str, object]:
    """Return what the form says of the key; a missing password is no reason to refuse it yet."""
    try:
        key = load_private_key(form.key.encode(), form.password or None, name="file")
    except PrivateKeyError as error:
        return {"problem": str(error)}
    found: dict[str, object] = {"details": key_details(key.key_size)}
    found["matches"] = key_matches(certificate, key)
    if not found["matches"]:
        found["problem"] = f"the private key does not belong to {certificate.described}"
    return found


def _query(request: web.Request, *names: str) -> tuple[str | None, ...]:
    """Return the parameters of these names, None for those that are not given or empty."""
    for name in request.query:
        if name not in names:
            raise AdministrationRefused(f"{name[:64]!r} is not a parameter of this address")
        if len(request.query[name]) > _LONGEST_FILTER:
            raise AdministrationRefused(f"{name} is longer than {_LONGEST_FILTER} characters")
    return tuple(request.query.get(name) or None for name in names)


def _truth(name: str, text: str | None) -> bool:
    if text in (None, "false", "true"):
        return text == "true"
    raise AdministrationRefused(f"{name} is `true` or `false`")


def _days(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:9]) <= _MOST_DAYS and len(text) < 10:
        return int(text)
    raise AdministrationRefused(f"days is a whole number from 0 to {_MOST_DAYS}")
