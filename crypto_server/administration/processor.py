"""What the administration asks of the recording processor: tenants, deployments, who needs a key.

Every wait has a time-out, redirects are not followed, and each failure is an
`AdministrationRefused`. What the processor refuses with a sentence is refused here with the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from crypto_server.administration.errors import (
    AdministrationRefused,
    Conflict,
    ProcessorUnavailable,
    Unknown,
)
from crypto_server.settings import ProcessorSettings
from service_shell.accounts import basic_header
from service_shell.trust import unreached

_LARGEST_ANSWER = 16 * 1024 * 1024
_LONGEST_SENTENCE = 500
_MOST_ALIASES = 1000
_TOTAL_SECONDS = 30.0
T = TypeVar("T")


class Tenant(msgspec.Struct, frozen=True):
    """A tenant's name and DBID."""

    name: str
    dbid: int


class Deployment(msgspec.Struct, frozen=True):
    """A certificate of a profile; `fingerprint` is None where the option's text is none."""

    dbid: int
    name: str
    tenant: str
    option: str
    fingerprint: str | None = None
    problem: str | None = None


class ProfileLine(msgspec.Struct, frozen=True):
    """A profile, with or without certificates; `records` says whether it is for recordings."""

    dbid: int
    name: str
    tenant: str
    records: bool = True


class Problem(msgspec.Struct, frozen=True):
    """An option of a profile that will not do what it should."""

    option: str
    problem: str


class Deployed(msgspec.Struct, frozen=True):
    """What a deployment came to: the option that holds the certificate, the profiles' version.

    `problems` are those of all the profile's certificates.
    """

    option: str
    version: int
    problems: list[Problem] = []


class Undeployed(msgspec.Struct, frozen=True):
    """What the removal from a profile came to."""

    version: int
    warning: str | None = None


class Need(msgspec.Struct, frozen=True):
    """How many recordings have a recipient, and how many no other key opens."""

    recordings: int
    orphaned: int


class _Tenants(msgspec.Struct, frozen=True):
    tenants: list[Tenant]


class _Deployments(msgspec.Struct, frozen=True):
    deployments: list[Deployment]
    profiles: list[ProfileLine] = []


class _Refusal(msgspec.Struct, frozen=True):
    status_message: str = msgspec.field(default="", name="statusMessage")


class AdministrationClient:
    """Asks with the crypto server's own account (role crypto). The URL was checked before."""

    def __init__(
        self, settings: ProcessorSettings, password: str, session: aiohttp.ClientSession
    ) -> None:
        self._url = settings.url.rstrip("/")
        self._headers = {
            "Authorization": basic_header(settings.user, password),
            "Content-Type": "application/json",
        }
        self._session = session
        self._timeout = aiohttp.ClientTimeout(
            total=_TOTAL_SECONDS, connect=settings.connect_seconds, sock_read=settings.read_seconds
        )

    async def tenants(self) -> dict[str, int]:
        """Return every tenant's DBID by its name."""
        answer = await self._ask("GET", "/lab/tenants", _Tenants)
        return {tenant.name: tenant.dbid for tenant in answer.tenants}

    async def deployments(self) -> list[Deployment]:
        """Return every certificate of every profile."""
        return (await self._ask("GET", "/lab/deployments", _Deployments)).deployments

    async def profiles(self) -> list[ProfileLine]:
        """Return every profile, without its options."""
        return (await self._ask("GET", "/lab/deployments", _Deployments)).profiles

    async def deploy(self, profile: int, certificate_pem: str, by: str) -> Deployed:
        """Add a certificate to a profile; there already, nothing changes."""
        body = {"certificate": certificate_pem, "by": by}
        return await self._ask("POST", f"/lab/profiles/{profile}/certificates", Deployed, body)

    async def undeploy(self, profile: int, fingerprint: str, by: str) -> Undeployed:
        """Remove a certificate from a profile. Raises `Unknown` when it is not there."""
        path = f"/lab/profiles/{profile}/certificates/{quote(fingerprint, safe='')}"
        return await self._ask("DELETE", f"{path}?{urlencode({'by': by})}", Undeployed)

    async def need(self, tenant: str, alias: str, others: list[str]) -> Need:
        """Return how many recordings need the key of `alias`, when those of `others` stay.

        Of very many others only the first are told: rather too many recordings than too few.
        """
        body = {"tenant": tenant, "alias": alias, "others": others[:_MOST_ALIASES]}
        return await self._ask("POST", "/lab/recordings/need", Need, body)

    async def _ask(
        self, method: str, path: str, kind: type[T], body: Mapping[str, object] | None = None
    ) -> T:
        status, answer = await self._exchange(method, path, body)
        if status != 200:
            raise _refusal(status, answer)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError:
            raise ProcessorUnavailable(
                "the recording processor answered something else than was asked"
            ) from None

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> tuple[int, bytes]:
        try:
            async with self._session.request(
                method,
                URL(self._url + path, encoded=True),
                data=None if body is None else msgspec.json.encode(body),
                headers=self._headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                answer = bytearray()
                async for piece in response.content.iter_any():
                    answer += piece
                    if len(answer) > _LARGEST_ANSWER:
                        raise ProcessorUnavailable("the recording processor's answer is too long")
                return response.status, bytes(answer)
        except TimeoutError:
            raise ProcessorUnavailable("the recording processor did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProcessorUnavailable(unreached("the recording processor", error)) from None


def _refusal(status: int, answer: bytes) -> AdministrationRefused:
    """Return what the processor's refusal means for the one who asked us."""
    if status in (401, 403):
        return ProcessorUnavailable("the recording processor refused the crypto server's account")
    try:
        sentence = msgspec.json.decode(answer, type=_Refusal).status_message[:_LONGEST_SENTENCE]
    except msgspec.MsgspecError:
        sentence = ""
    if status == 404 and sentence:
        return Unknown(sentence)
    if status in (400, 409, 412, 413) and sentence:
        return Conflict(sentence)
    return ProcessorUnavailable(f"the recording processor answered {status}")
