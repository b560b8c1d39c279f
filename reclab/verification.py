"""Proof of a stored recording: fetched as an operator would, opened with its key, listened to.

Each recording ends in a verdict; nothing that is wrong with one stops the others. Passwords go only
to the service they belong to.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp
import msgspec

from mcp_sim.load.check import check
from mcp_sim.load.comparison import compare_metadata, expect, long_enough
from mcp_sim.load.decode import MediaError, decode_media
from mcp_sim.load.finding import Finding, LegFinding, Tolerances
from mcp_sim.load.report import CallReport
from reclab.https import trusting, unanswered
from reclab.key_ring import KeyRing
from reclab.lab import Lab
from reclab.lab_client import JsonDict, LabClient, LabError, lab_client
from recording_format.cipher import MediaDecryptor
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError, IntegrityError, RecordingFormatError
from recording_format.integrity import ChunkVerifier, check_mac
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_media_file
from recording_format.session_key import SessionKey
from service_shell.accounts import basic_header

_LARGEST_MEDIA: Final = 2 << 30
_AT_ONCE: Final = 4
_LISTENING: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)
NO_SIGNATURE: Final = "no signature: not a call of `reclab load`, or nothing of it is left"


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
    """What counts as verified. `through_crypto`: the crypto server must play the same bytes.

    `keys` are PEM files of private keys beside the lab's own.
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    allow_foreign: bool = False
    through_crypto: bool = False
    keys: tuple[Path, ...] = ()


class Verifier:
    """Reads one lab; enter it to open its connections."""

    def __init__(self, lab: Lab, options: Options | None = None) -> None:
        self._lab, self._options = lab, options or Options()
        own = {alias: Path(path) for alias, path in lab.keys.items()}
        self._keys = KeyRing(own, self._options.keys)
        self._working = asyncio.Semaphore(_AT_ONCE)
        self._stack = AsyncExitStack()
        self._client: LabClient | None = None

    async def __aenter__(self) -> Self:
        self._client = await self._stack.enter_async_context(lab_client(self._lab))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def client(self) -> LabClient:
        """The connection to the lab's services, as an operator."""
        assert self._client is not None, "the verifier is entered"
        return self._client

    async def verify(self, recording: JsonDict, call: CallReport | None = None) -> Verdict:
        """Return the verdict on a recording as the processor answers it.

        `call` is the report of the call, if there is one: then every packet of it counts.
        """
        documents = sorted(recording["mediaFiles"], key=lambda document: document["startTime"])
        media: list[MediaVerdict] = []
        first: MediaFile | None = None
        for document in documents:
            async with self._working:
                try:
                    file = decode_media_file(document)
                except RecordingFormatError as error:
                    media.append(_refuse(str(document.get("mediaId")), error))
                    continue
                first = first or file
                later_by_ms = (file.started - first.started).total_seconds() * 1000
                # Which of its files should hold which packet of a call, nobody can say.
                exact = call if len(documents) == 1 else None
                media.append(await self._verify_media(file, document, exact, later_by_ms))
        verdict = _sum_up(recording, media)
        if call is None or verdict.signed or not verdict.verified or not long_enough(call):
            return verdict
        return msgspec.structs.replace(verdict, verified=False, problems=(NO_SIGNATURE,))

    async def _verify_media(
        self, media: MediaFile, document: JsonDict, call: CallReport | None, later_by_ms: float
    ) -> MediaVerdict:
        try:
            stored = await self._fetch(media, document)
            plaintext = await asyncio.to_thread(open_media, media, stored, self._keys)
            problems = [*compare_metadata(media, call, plaintext_size=len(plaintext))]
            if self._options.through_crypto and await self._play(document) != plaintext:
                problems.append("the crypto server plays other bytes")
            finding = await asyncio.to_thread(self._listen, media, plaintext, call, later_by_ms)
        except (RecordingFormatError, MediaError, LabError) as error:
            return _refuse(media.media_id, error)
        if finding.signed or (call is not None and not long_enough(call)):
            problems += finding.problems
        elif not self._options.allow_foreign and (call is None or long_enough(call)):
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

    async def _fetch(self, media: MediaFile, document: JsonDict) -> bytes:
        url = media.media_descriptor.path
        if not url.startswith(f"{self._lab.store}/"):
            raise LabError(f"the stored object {url} lies outside of the lab's store")
        return await _join(self.client.stored(document), url)

    async def _play(self, document: JsonDict) -> bytes:
        """Play through the crypto server, as a listener does."""
        listener = self._lab.users["listener"]
        headers = {"Authorization": basic_header(listener.name, listener.password)}
        url = f"{self._lab.crypto}/rcs{document['mediaPath']}"
        try:
            async with (
                aiohttp.ClientSession(
                    headers=headers,
                    timeout=_LISTENING,
                    connector=trusting(self._lab.services_ca),
                ) as http,
                http.get(url) as answer,
            ):
                if answer.status != 200:
                    raise LabError(f"{url} answered {answer.status}")
                return await _join(answer.content.iter_chunked(1 << 20), url)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LabError(unanswered(error, url, done="read")) from None


def open_media(media: MediaFile, stored: bytes, keys: KeyRing) -> bytes:
    """Prove a stored object against its metadata, and decrypt it.

    Raises `RecordingFormatError`: other bytes than recorded, no key, a broken envelope.
    """
    if media.lab is not None:
        verifier = ChunkVerifier(media.lab.digests)
        verifier.feed(stored)
        verifier.finish()
        if hashlib.sha256(stored).hexdigest() != media.lab.sha256:
            raise IntegrityError("the stored object's SHA-256 is not the one in the metadata")
    if media.pkcs7 is None:
        return stored
    envelope = Envelope.from_pem(media.pkcs7)
    decryptor = MediaDecryptor(_session_key(media, envelope, keys), envelope.iv)
    return decryptor.update(stored) + decryptor.finalize()


def _session_key(media: MediaFile, envelope: Envelope, keys: KeyRing) -> SessionKey:
    """Return the key that the mac proves; without one, the likeliest."""
    failed: IntegrityError | None = None
    for key in keys.unwrap(envelope):
        try:
            if media.lab is not None:
                check_mac(key, media_id=media.media_id, iv=envelope.iv, lab=media.lab)
            return key
        except IntegrityError as error:
            failed = failed or error
    raise failed or EnvelopeError("no recipient of the envelope could be opened")


async def _join(blocks: AsyncIterator[bytes], url: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for block in blocks:
        size += len(block)
        if size > _LARGEST_MEDIA:
            raise LabError(f"{url} is larger than {_LARGEST_MEDIA >> 30} GiB")
        parts.append(block)
    return b"".join(parts)


def _refuse(media_id: str, error: Exception) -> MediaVerdict:
    return MediaVerdict(media_id=media_id, verified=False, problems=(str(error),))


def _sum_up(recording: JsonDict, media: Sequence[MediaVerdict]) -> Verdict:
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
        id=str(recording["id"]),
        verified=bool(media) and all(file.verified for file in media),
        problems=problems if media else ("the recording has no media files",),
        signed=any(file.signed for file in media),
        caller=str(recording.get("callerPhoneNumber", "")),
        dialed=str(recording.get("dialedPhoneNumber", "")),
        started=str(recording.get("startTime", "")),
        duration_ms=sum(file.duration_ms for file in media),
        aliases=tuple(dict.fromkeys(alias for file in media for alias in file.aliases)),
        legs=tuple(leg for found in findings for leg in found.legs),
        offset_ms=max(offsets, key=abs, default=None),
        swap=any(found.swap for found in findings),
        duration_error_ms=max(errors, key=abs, default=None),
        media=tuple(media),
    )
