"""The recording certificates of the keystore: shown, added and taken away.

An account sees its tenants' certificates only; another tenant's are unknown to it. Everything that
touches disk or derives keys runs in a thread. Changes go one after the other, so that two of them
cannot take the last key of a recording together.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from crypto_server.administration import description
from crypto_server.administration.description import Row
from crypto_server.administration.errors import (
    AdministrationRefused,
    Conflict,
    ProcessorUnavailable,
    Unknown,
)
from crypto_server.administration.processor import AdministrationClient, Deployment
from crypto_server.administration.turn import Turn
from crypto_server.administration.validation import Validation
from crypto_server.errors import KeystoreError
from crypto_server.keystore import KeyEntry, Keystore
from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.errors import CertificateError, PrivateKeyError
from recording_format.private_keys import key_matches, load_private_key
from service_shell.accounts import Account


class Held(NamedTuple):
    """An entry of a tenant's keystore."""

    tenant: str
    entry: KeyEntry


class Listing(NamedTuple):
    """Rows, and a sentence where deployments could not be asked for."""

    rows: list[Row]
    note: str | None


class Stored(NamedTuple):
    """An uploaded certificate, and whether it was not there before."""

    row: Row
    new: bool


class Certificates:
    """The certificates of one crypto server. `now` gives aware times."""

    def __init__(
        self,
        keystore: Keystore,
        processor: AdministrationClient,
        validation: Validation,
        now: Callable[[], datetime],
    ) -> None:
        self._keystore = keystore
        self._processor = processor
        self.validation = validation
        self.now = now
        self.changing = Turn()

    async def listing(self, account: Account, tenant: str | None) -> Listing:
        """Return what `account` may see, of one tenant or of all, by tenant and alias."""
        deployments, note = await self._deployments()
        held = await asyncio.to_thread(self._held, account, tenant)
        rows = await asyncio.to_thread(self._rows, held, deployments)
        return Listing(rows, note)

    async def show(self, account: Account, fingerprint: str, tenant: str | None) -> Listing:
        """Return one certificate with its PEM text. Raises `Unknown`."""
        held = await self.find(account, fingerprint, tenant)
        deployments, note = await self._deployments()
        rows = await asyncio.to_thread(self._rows, [held], deployments)
        pem = held.entry.certificate.pem
        return Listing([msgspec.structs.replace(one, pem=pem) for one in rows], note)

    async def find(self, account: Account, fingerprint: str, tenant: str | None) -> Held:
        """Return the entry of a certificate. Raises `Unknown`, or asks for the tenant."""
        held = await asyncio.to_thread(self._held, account, tenant)
        found = [one for one in held if one.entry.certificate.fingerprint == fingerprint]
        if not found:
            where = f" of tenant {tenant!r}" if tenant else ""
            raise Unknown(f"there is no certificate {fingerprint[:64]!r} in the keystore{where}")
        if len(found) > 1:
            tenants = ", ".join(one.tenant for one in found)
            raise AdministrationRefused(
                f"several tenants have this certificate, say which by `tenant`: {tenants}"
            )
        return found[0]

    async def tenant_dbid(self, account: Account, tenant: str | None) -> tuple[str, int]:
        """Return a tenant that `account` may reach: the one named, or its only one."""
        known = await self._processor.tenants()
        reachable = {name: dbid for name, dbid in known.items() if account.may_reach(name)}
        if not tenant and len(reachable) == 1:
            return next(iter(reachable.items()))
        if not tenant:
            raise AdministrationRefused("say by `tenant` whose certificate it is")
        if tenant not in reachable:
            named = (
                f"tenant {tenant!r}"
                if tenant.isprintable() and len(tenant) < 100
                else "such tenant"
            )
            raise Unknown(f"there is no {named}")
        return tenant, reachable[tenant]

    async def naming(
        self, account: Account, tenant: str | None, certificate: RecordingCertificate
    ) -> tuple[str, str]:
        """Return the tenant's name and the alias that a certificate has there."""
        name, dbid = await self.tenant_dbid(account, tenant)
        return name, certificate_alias(certificate, name, dbid)

    async def upload(
        self,
        account: Account,
        tenant: str | None,
        certificate: RecordingCertificate,
        key: str,
        password: str,
        *,
        accept_expired: bool = False,
    ) -> Stored:
        """Put a certificate and its key into the keystore, under the alias of its tenant.

        Raises `AdministrationRefused` unless everything about them is right.
        """
        async with self.changing:
            name, dbid = await self.tenant_dbid(account, tenant)
            judgement = await asyncio.to_thread(
                self.validation.admit, certificate, self.now(), accept_expired=accept_expired
            )
            alias = certificate_alias(certificate, name, dbid)
            before = await asyncio.to_thread(self._keystore.entries, name)
            await asyncio.to_thread(self._add, name, alias, certificate, key, password)
        row = description.row(name, alias, certificate, judgement, await self._known_deployments())
        return Stored(row, all(entry.certificate != certificate for entry in before))

    async def remove(self, held: Held) -> None:
        """Take an entry out of the keystore; `changing` is held meanwhile by who decided it."""
        fingerprint = held.entry.certificate.fingerprint
        try:
            await asyncio.to_thread(self._keystore.remove, held.tenant, fingerprint)
        except KeystoreError as error:
            raise Conflict(str(error)) from None

    async def others(self, held: Held) -> list[KeyEntry]:
        """Return the tenant's other entries, whose keys open recordings as well."""
        entries = await asyncio.to_thread(self._keystore.entries, held.tenant)
        return [one for one in entries if one.certificate != held.entry.certificate]

    async def has_key(self, tenant: str, certificate: RecordingCertificate) -> bool:
        """Return whether the tenant's keystore opens what is recorded for `certificate`."""
        entries = await asyncio.to_thread(self._keystore.entries, tenant)
        return any(entry.certificate == certificate for entry in entries)

    async def expiring(self, account: Account, tenant: str | None, days: int) -> Listing:
        """Return what ends within `days`, soonest first; ended already only while deployed."""
        listing = await self.listing(account, tenant)
        now = self.now()
        held = await asyncio.to_thread(self._held, account, tenant)
        ends = {(one.tenant, one.entry.certificate.fingerprint): one.entry for one in held}
        rows = []
        for one in listing.rows:
            entry = ends.get((one.tenant, one.id))
            left = days + 1 if entry is None else description.days_left(entry.certificate, now)
            if left <= days and (left >= 0 or one.deployed_count):
                rows.append(msgspec.structs.replace(one, days_left=left))
        return Listing(sorted(rows, key=lambda one: (one.not_after, one.tenant)), listing.note)

    async def _deployments(self) -> tuple[list[Deployment] | None, str | None]:
        try:
            return await self._processor.deployments(), None
        except ProcessorUnavailable as error:
            return None, f"where certificates are deployed is not known: {error}"

    async def _known_deployments(self) -> list[Deployment] | None:
        return (await self._deployments())[0]

    def _held(self, account: Account, tenant: str | None) -> list[Held]:
        try:
            names = [tenant] if tenant else self._keystore.tenants()
            return [
                Held(name, renamed(entry))
                for name in names
                if account.may_reach(name)
                for entry in self._keystore.entries(name)
            ]
        except KeystoreError as error:
            raise Conflict(str(error)) from None

    def _rows(self, held: Iterable[Held], deployments: list[Deployment] | None) -> list[Row]:
        now = self.now()
        return [
            description.row(
                tenant,
                entry.alias,
                entry.certificate,
                self.validation.judge(entry.certificate, now),
                deployments,
            )
            for tenant, entry in held
        ]

    def _add(
        self, tenant: str, alias: str, certificate: RecordingCertificate, key: str, password: str
    ) -> None:
        try:
            private_key = load_private_key(key.encode(), password or None, name="file")
            if not key_matches(certificate, private_key):
                raise AdministrationRefused(
                    f"the private key does not belong to {certificate.described}"
                )
            self._keystore.add(tenant, alias, certificate, private_key)
        except PrivateKeyError as error:
            raise AdministrationRefused(str(error)) from None
        except KeystoreError as error:
            raise Conflict(str(error)) from None


def renamed(entry: KeyEntry) -> KeyEntry:
    """Return the entry so that messages do not call its certificate by a file's name."""
    certificate = dataclasses.replace(entry.certificate, name="in the keystore")
    return dataclasses.replace(entry, certificate=certificate)


def read_certificate(text: str, name: str = "the certificate file") -> RecordingCertificate:
    """Return the certificate of a PEM text; `AdministrationRefused` says what is wrong with it."""
    try:
        return RecordingCertificate.load(text, name=name)
    except CertificateError as error:
        raise AdministrationRefused(str(error)) from None
