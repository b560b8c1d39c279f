"""Which profiles record for a certificate, and whether its key may go.

A profile takes certificates of its own tenant only. A key goes when no profile records for it any
more and every recording opens with another key, or when the administrator insists.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

from crypto_server.administration.certificates import Certificates, Held
from crypto_server.administration.description import Profile, deployed_to, recordable
from crypto_server.administration.errors import (
    AdministrationRefused,
    Conflict,
    ProcessorUnavailable,
    Unknown,
)
from crypto_server.administration.processor import (
    AdministrationClient,
    Deployed,
    Deployment,
    Need,
    ProfileLine,
    Undeployed,
)
from crypto_server.administration.validation import Judgement, Status
from crypto_server.keystore import KeyEntry
from recording_format.certificates import RecordingCertificate, certificate_alias
from service_shell.accounts import Account

RECORD_PROFILE = "record"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Use(NamedTuple):
    """What still needs a key: recordings that no other one opens, and profiles."""

    recordings: int
    profiles: list[Profile]

    @property
    def sentence(self) -> str | None:
        """What would be lost with the key, or None."""
        parts = []
        if self.recordings:
            many = "s" if self.recordings > 1 else ""
            parts.append(f"{self.recordings} recording{many} could never be played again")
        if self.profiles:
            names = ", ".join(f"{one.name} ({one.dbid})" for one in self.profiles)
            parts.append(f"it is deployed to {names}")
        return " and ".join(parts) or None


class Deployments:
    """Deploys certificates, takes them back, and deletes keys that nothing needs."""

    def __init__(self, certificates: Certificates, processor: AdministrationClient) -> None:
        self._certificates = certificates
        self._processor = processor

    async def deploy(
        self, account: Account, held: Held, profile: int
    ) -> tuple[Deployed, str | None]:
        """Add a certificate to a profile; return where it stands, and a warning.

        Not yet valid is allowed, with a warning; expired and untrusted are refused.
        """
        certificate = held.entry.certificate
        async with self._certificates.changing:
            if not await self._certificates.has_key(held.tenant, certificate):
                raise Unknown(f"{certificate.described} is gone meanwhile")
            return await self._deploy(account, held.tenant, certificate, profile)

    async def undeploy(
        self, account: Account, fingerprint: str, tenant: str | None, profile: int
    ) -> tuple[Undeployed, str]:
        """Remove a certificate from a profile, whether its key is here (any more) or not.

        Return also the profile's tenant. Raises `Unknown` when it is not there.
        """
        async with self._certificates.changing:
            found = await self._profile(account, profile)
            if not _FINGERPRINT.fullmatch(fingerprint) or tenant not in (None, found.tenant):
                raise Unknown(f"the profile {profile} has no certificate {fingerprint[:64]!r}")
            removed = await self._processor.undeploy(profile, fingerprint, account.name)
        return removed, found.tenant

    async def delete(self, held: Held, *, force: bool) -> str | None:
        """Take a certificate and its key out of the keystore; return a warning.

        Without `force` it is refused while something needs the key (`Conflict`, with ``recordings``
        and ``deployedTo``), and while nobody knows (`ProcessorUnavailable`).
        """
        async with self._certificates.changing:
            use: Use | None = None
            try:
                use = await self._use(held)
            except ProcessorUnavailable as error:
                if not force:
                    raise ProcessorUnavailable(
                        f"{error}: nobody knows which recordings need this key, and without"
                        " `force` it stays"
                    ) from None
            if use is not None and use.sentence and not force:
                raise Conflict(
                    f"{held.entry.certificate.described} is not deleted: {use.sentence};"
                    " `force` deletes it all the same",
                    recordings=use.recordings,
                    deployedTo=[{"dbid": one.dbid, "name": one.name} for one in use.profiles],
                )
            await self._certificates.remove(held)
        if use is None:
            return "nobody knows whether recordings need this key"
        return f"with this key gone, {use.sentence}" if use.sentence else None

    async def set_up(
        self, account: Account, tenant: str, certificate: RecordingCertificate
    ) -> tuple[Deployed, str | None]:
        """Deploy a certificate to the tenant's profile `record`, as the Agent Setup form does."""
        async with self._certificates.changing:
            profile = await self.record_profile(tenant)
            return await self._deploy(account, tenant, certificate, profile)

    async def record_profile(self, tenant: str) -> int:
        """Return the DBID of the tenant's profile `record`, or of its only recording profile.

        Raises `Conflict` when there is none, or when several could be meant.
        """
        listed = await self._processor.profiles()
        profiles = {one.dbid: one.name for one in listed if one.tenant == tenant and one.records}
        named = [dbid for dbid, name in profiles.items() if name == RECORD_PROFILE]
        if named or len(profiles) == 1:
            return min(named or profiles)
        if not profiles:
            raise Conflict(f"tenant {tenant} has no recording profile to deploy to")
        names = ", ".join(f"{profiles[dbid]} ({dbid})" for dbid in sorted(profiles))
        raise Conflict(f"none of the profiles of tenant {tenant} is named `record`: {names}")

    async def _deploy(
        self, account: Account, tenant: str, certificate: RecordingCertificate, profile: int
    ) -> tuple[Deployed, str | None]:
        validation, now = self._certificates.validation, self._certificates.now()
        judgement = await asyncio.to_thread(validation.judge, certificate, now)
        _check_recordable(judgement)
        await self._check_profile(account, tenant, profile)
        deployed = await self._processor.deploy(profile, certificate.pem, account.name)
        return deployed, _warning(judgement)

    async def _profile(self, account: Account, dbid: int) -> ProfileLine:
        """Return a profile. Raises `Unknown` unless it is there and within the account's reach."""
        listed = await self._processor.profiles()
        profile = next((one for one in listed if one.dbid == dbid), None)
        if profile is None or not account.may_reach(profile.tenant):
            raise Unknown(f"there is no profile {dbid}")
        return profile

    async def _check_profile(self, account: Account, tenant: str, dbid: int) -> None:
        """Raise unless the profile is there, within the account's reach, and of `tenant`."""
        profile = await self._profile(account, dbid)
        if profile.tenant != tenant:
            raise Conflict(
                f"the profile {profile.name} ({dbid}) is of tenant {profile.tenant}: it takes no"
                f" certificate of tenant {tenant}"
            )

    async def _use(self, held: Held) -> Use:
        listed: list[Deployment] = await self._processor.deployments()
        dbid = (await self._processor.tenants()).get(held.tenant)
        entries = [held.entry, *await self._certificates.others(held)]
        alias, *others = (_alias(entry, held.tenant, dbid) for entry in entries)
        need: Need = await self._processor.need(held.tenant, alias, others)
        return Use(need.orphaned, deployed_to(held.entry.certificate, held.tenant, listed))


def _alias(entry: KeyEntry, tenant: str, dbid: int | None) -> str:
    """Return what recordings call an entry, whatever its name in the keystore is."""
    if dbid is None:  # a tenant that the processor does not have any more
        return entry.alias
    return certificate_alias(entry.certificate, tenant, dbid)


def _check_recordable(judgement: Judgement) -> None:
    if not judgement.trusted or not recordable(judgement.status):
        raise Conflict(f"it is not deployed: {judgement.problem}")


def _warning(judgement: Judgement) -> str | None:
    if judgement.status is Status.NOT_YET_VALID:
        return f"{judgement.problem}: until then no recording is made for it"
    return None


def parse_dbid(text: str) -> int:
    """Return the DBID in a path. Raises `AdministrationRefused` for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise AdministrationRefused("a profile is named by its DBID, a whole number")
    return int(text)
