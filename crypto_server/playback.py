"""One playback, from a play path to pieces of audio.

The first piece is checked and decrypted before `Player.open` returns: until then every failure can
still be answered. Later pieces come one stored chunk at a time, so that memory does not grow with
the file. Hashing and decryption run outside the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import structlog

from crypto_server.audit import PlaybackRecord
from crypto_server.content import MediaContent, open_content, read_envelope
from crypto_server.errors import KeyMissing, KeystoreError, ProcessorSlow
from crypto_server.key_entry import KeyEntry
from crypto_server.keystore import Keystore
from crypto_server.media_file import (
    MediaName,
    RecordingAddress,
    StoredMediaFile,
    find_media_file,
)
from crypto_server.processor import ProcessorClient, StoredBytes

_log = structlog.get_logger()


class Playback:
    """A media file that is being played: its first piece is ready."""

    def __init__(self, content: MediaContent, stored: StoredBytes) -> None:
        self._content = content
        self._stored = stored
        self._first = b""
        self._following = b""

    @classmethod
    async def begin(cls, content: MediaContent, stored: StoredBytes) -> Self:
        """Read and open the first chunk; raises whatever keeps the file from being played."""
        playback = cls(content, stored)
        chunk = await stored.read_chunk()
        playback._first = await playback._open(chunk)
        return playback

    @property
    def verified(self) -> bool:
        """Whether the recording came with digests, so that each byte served was checked."""
        return self._content.verified

    @property
    def length(self) -> int | None:
        """How many bytes `pieces` gives in all; None when only the end will tell."""
        if self._content.plaintext_size is not None or self._following:
            return self._content.plaintext_size
        return len(self._first)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the plaintext in order; an error means that no more may be served."""
        piece, self._first = self._first, b""
        while True:
            yield piece
            if not self._following:
                return
            piece = await self._open(self._following)

    async def _open(self, chunk: bytes) -> bytes:
        """Open `chunk`, knowing whether another one follows."""
        self._following = await self._stored.read_chunk()
        last = not self._following
        return await asyncio.to_thread(self._content.open_chunk, chunk, last=last)


class Player:
    """Opens playbacks: asks the processor, finds the key, checks the papers."""

    def __init__(
        self, processor: ProcessorClient, keystore: Keystore, *, first_byte_seconds: float
    ) -> None:
        self._processor = processor
        self._keystore = keystore
        self._first_byte_seconds = first_byte_seconds

    @asynccontextmanager
    async def open(
        self, address: RecordingAddress, name: MediaName, record: PlaybackRecord
    ) -> AsyncIterator[Playback]:
        """Begin a playback; `record` learns tenant and key as they become known.

        Raises a `PlaybackRefused` within the time allowed for the first byte.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._first_byte_seconds):
                    content = await self._content(address, name, record)
                    stored = await stack.enter_async_context(self._processor.stored(address, name))
                    content.check_length(stored.length)
                    playback = await Playback.begin(content, stored)
            except TimeoutError:
                raise ProcessorSlow("the recording could not be read in time") from None
            yield playback

    async def _content(
        self, address: RecordingAddress, name: MediaName, record: PlaybackRecord
    ) -> MediaContent:
        answer = await self._processor.recording(address)
        file = await asyncio.to_thread(find_media_file, answer, name)
        record.tenant = file.tenant
        entry = await asyncio.to_thread(self._find_key, file, name) if file.pkcs7 else None
        record.key_alias = entry.alias if entry else None
        return await asyncio.to_thread(open_content, file, name, entry)

    def _find_key(self, file: StoredMediaFile, name: MediaName) -> KeyEntry:
        envelope = read_envelope(file, name)
        try:
            entry = self._keystore.find(file.tenant, envelope)
        except KeystoreError as error:
            _log.error("The keystore could not be searched", reason=str(error))
            entry = None
        if entry is None:
            message = f"tenant {file.tenant!r} has no key in the keystore that opens {name}"
            raise KeyMissing(message)
        return entry
