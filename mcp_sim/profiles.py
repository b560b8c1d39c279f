"""The IVR profiles that this platform records by: loaded at start, updated within a second.

`ProfileBook` holds the newest version. `ProfileFeed` keeps it new by long polls to the recording
processor, and keeps a copy on disk, sealed under the spool keyring because profiles hold passwords;
the copy lets a platform start while the processor is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
import structlog

from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.plan import SealedBox
from mcp_sim.recording.spool.durable import write_file
from recording_format.certificates import RecordingCertificate
from recording_format.errors import CertificateError
from recording_format.ivr_profile import IvrProfile, choose_profile
from service_shell.trust import tls_fault

_log = structlog.get_logger()

_PURPOSE = "profiles"
_WAIT_SECONDS = 25
_FIRST_RETRY, _LONGEST_RETRY = 0.2, 5.0
_BODY_LIMIT = 32 << 20


class ProfileEdition(msgspec.Struct, frozen=True):
    """All profiles at one version, as the processor answers them."""

    version: int
    profiles: list[IvrProfile]


class ProfileBook:
    """The profiles in force. A running call keeps the profile that it began with."""

    def __init__(self) -> None:
        self.version = -1
        self._profiles: tuple[IvrProfile, ...] = ()
        self._followers: list[Callable[[], None]] = []

    @property
    def loaded(self) -> bool:
        """Whether any edition has arrived yet, from the processor or from the sealed copy."""
        return self.version >= 0

    def update(self, edition: ProfileEdition) -> None:
        """Put `edition` in force, and name each certificate that cannot be read."""
        self.version = edition.version
        self._profiles = tuple(edition.profiles)
        for profile in self._profiles:
            for fault in unreadable_certificates(profile):
                _log.warning("A profile's certificate was unreadable", fault=fault)
        for follower in self._followers:
            follower()

    def follow(self, follower: Callable[[], None]) -> None:
        """Let `follower` be called after each edition that is put in force."""
        self._followers.append(follower)

    def choose(
        self, *, dbid: int | None, geo_location: str | None, tenant_dbid: int | None = None
    ) -> IvrProfile | None:
        """Return the profile for a call, as Resource Manager chooses; None when there is none."""
        return choose_profile(
            self._profiles, dbid=dbid, geo_location=geo_location, tenant_dbid=tenant_dbid
        )

    def by_dbid(self, dbid: int) -> IvrProfile | None:
        """Return the profile in force with this DBID, or None."""
        return next((p for p in self._profiles if p.dbid == dbid), None)

    @property
    def profiles(self) -> tuple[IvrProfile, ...]:
        """All profiles in force."""
        return self._profiles


def unreadable_certificates(profile: IvrProfile) -> list[str]:
    """Return one sentence per certificate text of `profile` that is not a certificate."""
    faults = []
    for name, text in profile.certificates:
        try:
            RecordingCertificate.load(text, name=f"profile {profile.name!r}, {name}")
        except CertificateError as error:
            faults.append(str(error))
    return faults


class ProfileFeed:
    """Keeps a `ProfileBook` new.

    `authorization` is the header's value; `copy` is the sealed file.
    """

    def __init__(
        self,
        book: ProfileBook,
        *,
        url: str,
        authorization: str,
        http: aiohttp.ClientSession,
        keyring: SpoolKeyring,
        copy: Path,
    ) -> None:
        self._book = book
        self._url = f"{url.rstrip('/')}/lab/profiles"
        self._headers = {"Authorization": authorization}
        self._http = http
        self._keyring = keyring
        self._copy = copy
        self.reachable = False

    def load_copy(self) -> None:
        """Put the sealed copy in force when there is one that opens."""
        try:
            box = msgspec.msgpack.decode(self._copy.read_bytes(), type=SealedBox)
            text = self._keyring.open(box, purpose=_PURPOSE)
            self._book.update(msgspec.json.decode(text, type=ProfileEdition))
        except FileNotFoundError:
            return
        except (OSError, KeyringError, ValueError) as error:
            fault = type(error).__name__
            _log.warning("The copy of the profiles was unusable", file=str(self._copy), fault=fault)

    async def run(self) -> None:
        """Follow the processor's profiles until cancelled."""
        retry = _FIRST_RETRY
        while True:
            try:
                await self._poll()
                retry = _FIRST_RETRY
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if self.reachable or retry == _FIRST_RETRY:
                    _log.warning("Profiles were not loaded", url=self._url, fault=_brief(error))
                self.reachable = False
                await asyncio.sleep(retry)
                retry = min(retry * 2, _LONGEST_RETRY)

    async def _poll(self) -> None:
        # The first question waits for nothing, and its answer counts whatever its version is: the
        # processor may have begun anew.
        following = self.reachable
        parameters = {"after": str(self._book.version), "wait": str(_WAIT_SECONDS)}
        timeout = aiohttp.ClientTimeout(total=_WAIT_SECONDS + 10, connect=5)
        async with self._http.get(
            self._url,
            params=parameters if following else {},
            headers=self._headers,
            timeout=timeout,
        ) as answer:
            if answer.status == 304:
                return
            answer.raise_for_status()
            body = await _bounded(answer)
        edition = msgspec.json.decode(body, type=ProfileEdition)
        self.reachable = True
        if following and edition.version == self._book.version:
            return
        self._book.update(edition)
        _log.info("Profiles were loaded", version=edition.version, count=len(edition.profiles))
        await asyncio.to_thread(self._save, edition)

    def _save(self, edition: ProfileEdition) -> None:
        """Without a copy the profiles are in force all the same."""
        box = self._keyring.seal(msgspec.json.encode(edition), purpose=_PURPOSE)
        try:
            write_file(self._copy, msgspec.msgpack.encode(box))
        except OSError as error:
            _log.error("The profiles were not kept", file=str(self._copy), fault=error.strerror)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in answer.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise ValueError("the profiles are too large")
    return body


def _brief(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the processor answered {error.status}"
    return tls_fault(error) or str(error) or type(error).__name__
