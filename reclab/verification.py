"""Proof of a stored recording: fetched as an operator would, opened with its key, listened to.

Each recording ends in a verdict; nothing that is wrong with one stops the others. Passwords go only
to the service they belong to.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mcp_sim.load.check import check
from mcp_sim.load.comparison import compare_metadata, expect
from mcp_sim.load.decode import MediaError, decode_media
from mcp_sim.load.finding import Finding, LegFinding, Tolerances
from mcp_sim.load.report import CallReport
from reclab.lab import Lab, User
from recording_format.cipher import MediaDecryptor
from recording_format.distinguished_name import readable_name
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError, MetadataError, RecordingFormatError
from recording_format.integrity import ChunkVerifier, check_mac
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_media_file
from recording_format.private_keys import load_private_key
from recording_format.session_key import SessionKey
from service_shell.settings import SettingsError

_PAGE: Final = 200
_LARGEST_MEDIA: Final = 2 << 30
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120, sock_connect=10)
NO_SIGNATURE: Final = "no signature: not a call of `reclab load`, or nothing of it is left"


class LabUnreachable(SettingsError):
    """A service of the lab does not answer, or does not let us in."""


class UnknownRecording(SettingsError):
    """The processor knows no recording of this id."""


class StoredRecording(msgspec.Struct, frozen=True):
    """A recording as the processor answers it; `media` are its files' metadata, undecoded."""

    id: str
    media: list[dict[str, object]]
    caller: str = ""
    dialed: str = ""
    started: str = ""


class MediaVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one media file; `finding` is None where it could not be heard."""

    media_id: str
    verified: bool
    problems: tuple[str, ...]
    signed: bool = False
    recovered: bool = False
    type: str = ""
    duration_ms: int = 0
    aliases: tuple[str, ...] = ()
    finding: Finding | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a recording: that on all of its media files."""

    id: str
    verified: bool
    problems: tuple[str, ...]
    signed: bool
    caller: str = ""
    dialed: str = ""
    started: str = ""
    duration_ms: int = 0
    aliases: tuple[str, ...] = ()
    legs: tuple[LegFinding, ...] = ()
    offset_ms: float | None = None
    swap: bool = False
    duration_error_ms: float | None = None
    media: tuple[MediaVerdict, ...] = ()


@dataclass(frozen=True)
class Options:
    """What counts as verified. `through_crypto`: the crypto server must play the same bytes."""

    tolerances: Tolerances = field(default_factory=Tolerances)
    allow_foreign: bool = False
    through_crypto: bool = False


class Verifier:
    """Reads one lab; enter it to open its connections."""

    def __init__(self, lab: Lab, options: Options | None = None) -> None:
        self._lab, self._options = lab, options or Options()
        self._keys = {alias: Path(path) for alias, path in lab.keys.items()}
        self._opened: dict[str, rsa.RSAPrivateKey] = {}
        self._http: aiohttp.ClientSession | None = None
        self._working = asyncio.Semaphore(4)

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._http is not None
        await self._http.close()

    async def recordings(self) -> AsyncIterator[StoredRecording]:
        """Yield every recording that the processor knows, newest first."""
        query = {"startTime": "1970-01-01T00:00:00.000Z", "limit": str(_PAGE)}
        while True:
            status, body = await self._get(
                f"{self._lab.processor}/api/v2/recordings", "operator", query
            )
            if status != 200:
                raise LabUnreachable(f"the processor answered the search with {status}")
            page = msgspec.json.decode(body)
            for answer in page["recordings"]:
                yield _stored(answer)
            if not page.get("next"):
                return
            query = {"next": str(page["next"]), "limit": str(_PAGE)}

    async def recording(self, recording_id: str) -> StoredRecording:
        """Return one recording. Raises `UnknownRecording`."""
        path = f"/api/v2/recordings/{quote(recording_id, safe='')}"
        status, body = await self._get(self._lab.processor + path, "operator")
        if status == 404:
            raise UnknownRecording(f"there is no recording {recording_id}")
        if status != 200:
            raise LabUnreachable(f"the processor answered {status} for the recording")
        return _stored(msgspec.json.decode(body)["recording"])

    async def verify(self, recording: StoredRecording, call: CallReport | None = None) -> Verdict:
        """Return the verdict on a recording; `call` is the report of the call, if there is one."""
        media: list[MediaVerdict] = []
        first: MediaFile | None = None
        for document in sorted(recording.media, key=lambda document: str(document["startTime"])):
            async with self._working:
                try:
                    file = decode_media_file(document)
                except MetadataError as error:
                    name = str(document.get("mediaId", "?"))
                    media.append(_refuse(name, f"the metadata cannot be read: {error}"))
                    continue
                first = first or file
                later_by_ms = (file.started - first.started).total_seconds() * 1000
                several = len(recording.media) > 1
                media.append(
                    await self._verify_media(file, document, None if several else call, later_by_ms)
                )
        return _sum_up(recording, media)

    async def _verify_media(
        self,
        media: MediaFile,
        document: Mapping[str, object],
        call: CallReport | None,
        later_by_ms: float,
    ) -> MediaVerdict:
        try:
            plaintext = await self._open(media)
            problems = [*compare_metadata(media, call, plaintext_size=len(plaintext))]
            if self._options.through_crypto:
                problems += await self._compare_played(document, plaintext)
            finding = await asyncio.to_thread(self._listen, media, plaintext, call, later_by_ms)
        except (RecordingFormatError, MediaError, StorageProblem, LabUnreachable) as error:
            return _refuse(media.media_id, str(error))
        if finding.signed:
            problems += finding.problems
        elif call is not None or not self._options.allow_foreign:
            problems.append(NO_SIGNATURE)
        return MediaVerdict(
            media_id=media.media_id,
            verified=not problems,
            problems=tuple(problems),
            signed=finding.signed,
            recovered=bool(media.lab and media.lab.recovered),
            type=media.type,
            duration_ms=media.duration_ms(),
            aliases=tuple(media.cert_alias),
            finding=finding,
        )

    def _listen(
        self, media: MediaFile, plaintext: bytes, call: CallReport | None, later_by_ms: float
    ) -> Finding:
        sound = decode_media(plaintext, media.type)
        expected = expect(media, sound, call, later_by_ms=later_by_ms)
        return check(sound, expected, self._options.tolerances)

    async def _open(self, media: MediaFile) -> bytes:
        """Fetch the stored object, prove it against the metadata, decrypt it."""
        url = media.media_descriptor.path
        if not url.startswith(f"{self._lab.store}/"):
            raise StorageProblem(f"the stored object {url} lies outside of the lab's store")
        status, stored = await self._get(url, "operator")
        if status != 200:
            raise StorageProblem(f"the store answered {status} for {url}")
        return await asyncio.to_thread(self._decrypt, media, stored)

    def _decrypt(self, media: MediaFile, stored: bytes) -> bytes:
        if media.lab is not None:
            verifier = ChunkVerifier(media.lab.digests)
            verifier.feed(stored)
            verifier.finish()
            if hashlib.sha256(stored).hexdigest() != media.lab.sha256:
                raise StorageProblem("the stored object's SHA-256 is not the one in the metadata")
        if media.pkcs7 is None:
            return stored
        envelope = Envelope.from_pem(media.pkcs7)
        key = self._unwrap(envelope)
        if media.lab is not None:
            check_mac(key, media_id=media.media_id, iv=envelope.iv, lab=media.lab)
        decryptor = MediaDecryptor(key, envelope.iv)
        return decryptor.update(stored) + decryptor.finalize()

    def _unwrap(self, envelope: Envelope) -> SessionKey:
        """Open the envelope with the lab's key for one of its recipients, named by its alias."""
        for recipient in envelope.recipients:
            ending = f":{readable_name(recipient.issuer)}:{recipient.serial}"
            for alias, path in self._keys.items():
                if alias.endswith(ending):
                    try:
                        secret = self._private_key(path).decrypt(
                            recipient.encrypted_key, padding.PKCS1v15()
                        )
                        return SessionKey(secret)
                    except ValueError:
                        raise EnvelopeError(
                            f"the session key does not open with the key of {alias}"
                        ) from None
        raise EnvelopeError("the lab has no private key for any recipient of the envelope")

    def _private_key(self, path: Path) -> rsa.RSAPrivateKey:
        key = self._opened.get(str(path))
        if key is None:
            try:
                text = path.read_bytes()
            except OSError as error:
                raise EnvelopeError(f"the key {path} cannot be read: {error.strerror}") from None
            key = self._opened[str(path)] = load_private_key(text, name=str(path))
        return key

    async def _compare_played(
        self, document: Mapping[str, object], plaintext: bytes
    ) -> Iterable[str]:
        """Play through the crypto server as a listener does; the bytes must be the same."""
        url = f"{self._lab.crypto}/rcs{document.get('mediaPath', '')}"
        status, played = await self._get(url, "listener")
        if status != 200:
            return [f"the crypto server answered {status} for {url}"]
        return [] if played == plaintext else ["the crypto server plays other bytes"]

    async def _get(
        self, url: str, role: str, query: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        assert self._http is not None
        user = self._lab.users.get(role)
        if user is None:
            raise LabUnreachable(f"the lab has no account for the role {role}")
        try:
            async with self._http.get(
                url, params=query, headers=_sign_in(user), allow_redirects=False
            ) as answer:
                if answer.status in (401, 403):
                    raise LabUnreachable(f"{_origin(url)} does not let {user.name} in")
                return answer.status, await _read(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or "it does not answer in time"
            raise LabUnreachable(f"{_origin(url)} cannot be read: {reason}") from None


class StorageProblem(Exception):
    """A stored object is not there, or not the one that was recorded."""


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(1 << 18):
        size += len(part)
        if size > _LARGEST_MEDIA:
            raise StorageProblem(f"{answer.url} is larger than {_LARGEST_MEDIA >> 30} GiB")
        parts.append(part)
    return b"".join(parts)


def _sign_in(user: User) -> dict[str, str]:
    pair = base64.b64encode(f"{user.name}:{user.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


def _stored(answer: Mapping[str, object]) -> StoredRecording:
    media = answer.get("mediaFiles")
    return StoredRecording(
        id=str(answer.get("id", "")),
        media=media if isinstance(media, list) else [],
        caller=str(answer.get("callerPhoneNumber", "")),
        dialed=str(answer.get("dialedPhoneNumber", "")),
        started=str(answer.get("startTime", "")),
    )


def _refuse(media_id: str, problem: str) -> MediaVerdict:
    return MediaVerdict(media_id=media_id, verified=False, problems=(problem,))


def _sum_up(recording: StoredRecording, media: Sequence[MediaVerdict]) -> Verdict:
    findings = [file.finding for file in media if file.finding is not None]
    offsets = [found.offset_ms for found in findings if found.offset_ms is not None]
    errors = [f.duration_error_ms for f in findings if f.duration_error_ms is not None]
    several = len(media) > 1
    problems = tuple(
        f"{file.media_id}: {problem}" if several else problem
        for file in media
        for problem in file.problems
    )
    return Verdict(
        id=recording.id,
        verified=bool(media) and all(file.verified for file in media),
        problems=problems if media else ("the recording has no media files",),
        signed=any(file.signed for file in media),
        caller=recording.caller,
        dialed=recording.dialed,
        started=recording.started,
        duration_ms=sum(file.duration_ms for file in media),
        aliases=tuple(dict.fromkeys(alias for file in media for alias in file.aliases)),
        legs=tuple(leg for found in findings for leg in found.legs),
        offset_ms=max(offsets, key=abs, default=None),
        swap=any(found.swap for found in findings),
        duration_error_ms=max(errors, key=abs, default=None),
        media=tuple(media),
    )
