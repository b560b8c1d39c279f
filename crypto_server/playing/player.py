"""From a play path to a playback: ask the processor, check the tenant, find the key, plan the part.

What belongs to a tenant that the account may not reach is answered like what does not exist, before
anything of it is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from crypto_server.audit import PlaybackRecord
from crypto_server.errors import (
    KeyMissing,
    KeystoreError,
    NotModified,
    OtherVersion,
    ProcessorSlow,
    RangeUnsatisfiable,
)
from crypto_server.keystore import Keystore
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing.byte_range import ByteRange, Span
from crypto_server.playing.content import MediaContent, open_content, read_envelope
from crypto_server.playing.ends import End, Ends
from crypto_server.playing.media_file import (
    MediaName,
    StoredMediaFile,
    find_media_file,
)
from crypto_server.playing.play_request import PlayRequest
from crypto_server.playing.playback import Playback
from crypto_server.playing.section import Section
from crypto_server.processor import ProcessorClient
from recording_format.distinguished_name import readable_name
from recording_format.envelope import Envelope

#: What a HEAD has fetched and checked: the first chunk, for the first byte.
_FIRST = Span(0, 1)
# Of the sentence about a missing key: recipients, and characters of an issuer.
_MOST_NAMED, _LONGEST_ISSUER = 5, 200
_log = structlog.get_logger()


class Player:
    """Opens playbacks."""

    def __init__(
        self, processor: ProcessorClient, keystore: Keystore, *, first_byte_seconds: float
    ) -> None:
        self._processor = processor
        self._keystore = keystore
        self._first_byte_seconds = first_byte_seconds

    @asynccontextmanager
    async def open(self, request: PlayRequest, record: PlaybackRecord) -> AsyncIterator[Playback]:
        """Begin a playback; `record` learns tenant and key as they become known.

        Raises a `PlaybackRefused` within the time allowed for the first byte.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._first_byte_seconds):
                    playback = await self._begin(request, record, stack)
            except TimeoutError:
                raise ProcessorSlow("the recording could not be read in time") from None
            yield playback

    async def _begin(
        self, request: PlayRequest, record: PlaybackRecord, stack: AsyncExitStack
    ) -> Playback:
        content = await self._content(request, record)
        etag = content.etag
        if request.wish.forbids(etag):
            raise OtherVersion(f"media file {request.name} is not the version that was asked for")
        if request.wish.knows(etag):
            raise NotModified("nothing has changed", {"ETag": etag} if etag else None)
        part = request.wish.part_of(etag)
        span = None if part is None else await self._span(request, content, part)
        if request.probe:
            await self._look_at_ends(request, content)
        section = Section(content, _FIRST if request.probe and content.plaintext_size else span)
        fetch = None if section.fetch is None else ByteRange.of(*section.fetch)
        stored = await stack.enter_async_context(
            self._processor.stored(request.address, request.name, fetch)
        )
        content.check_length(stored.total)
        playback = Playback(content, section, stored, span)
        stack.push_async_callback(playback.close)
        await playback.begin()
        return playback

    async def _content(self, request: PlayRequest, record: PlaybackRecord) -> MediaContent:
        answer = await self._processor.recording(request.address, request.name)
        found = await asyncio.to_thread(find_media_file, answer, request.name)
        record.tenant = found.tenant
        found.check_tenant(request.account.may_reach)
        file = await asyncio.to_thread(found.read)
        entry = await asyncio.to_thread(self._find_key, file, request.name) if file.pkcs7 else None
        record.key_alias = entry.alias if entry else None
        return await asyncio.to_thread(open_content, file, request.name, entry)

    async def _span(self, request: PlayRequest, content: MediaContent, part: ByteRange) -> Span:
        """Return which bytes are to be played; looks at the file's ends where that is needed."""
        await self._look_at_ends(request, content)
        whole = content.plaintext_size
        assert whole is not None
        span = part.within(whole)
        if span is None:
            raise RangeUnsatisfiable(
                f"media file {request.name} has {whole} bytes, and none of those asked for",
                {"Content-Range": f"bytes */{whole}"},
            )
        return span

    async def _look_at_ends(self, request: PlayRequest, content: MediaContent) -> None:
        ends = Ends(content)
        if not ends.needed:
            return
        head = await self._end(request, ends.head)
        tail = await self._end(request, ends.tail)
        await asyncio.to_thread(ends.look, head, tail)

    async def _end(self, request: PlayRequest, part: ByteRange | None) -> End | None:
        if part is None:
            return None
        return End(*await self._processor.part(request.address, request.name, part))

    def _find_key(self, file: StoredMediaFile, name: MediaName) -> KeyEntry:
        """Return the first key of the tenant that is a recipient's; any of them will do."""
        envelope = read_envelope(file, name)
        try:
            entry = self._keystore.find(file.tenant, envelope)
        except KeystoreError as error:
            _log.error("The keystore could not be searched", reason=str(error))
            entry = None
        if entry is None:
            message = f"tenant {file.tenant!r} has no key in the keystore that opens {name}"
            raise KeyMissing("".join((message, *_recipients(envelope))))
        return entry


def _recipients(envelope: Envelope) -> Iterator[str]:
    """Yield whose keys would open an envelope, and which recipients are of no use here."""
    for info in envelope.recipients[:_MOST_NAMED]:
        issuer = readable_name(info.issuer)[:_LONGEST_ISSUER]
        yield f"; it is for the certificate with serial {info.serial} of {issuer}"
    for fault in sorted({other.fault for other in envelope.foreign if other.fault}):
        yield f"; a recipient of it {fault}"
