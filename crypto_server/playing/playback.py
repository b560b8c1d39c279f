"""One playback: a media file's plaintext, or a part of it, piece by piece.

The first piece is checked and decrypted before the playback begins: until then every failure can
still be answered. Later, one chunk is sent while the next one is checked and decrypted (outside the
event loop) and the one after that comes from the store; memory does not grow with the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from crypto_server.playing.ahead import Ahead
from crypto_server.playing.byte_range import Span
from crypto_server.playing.content import MediaContent
from crypto_server.playing.section import Section
from crypto_server.playing.stored_bytes import StoredBytes


class _Opened(NamedTuple):
    """The plaintext of one stored chunk; none where only what follows needs that chunk."""

    pieces: list[bytes]
    last: bool


class Playback:
    """A media file that is being played."""

    def __init__(
        self, content: MediaContent, section: Section, stored: StoredBytes, part: Span | None
    ) -> None:
        """Play `section` of the content, from the stored bytes that it wants.

        `part` is what the answer tells of, None for the whole file. It is the section's span, but
        for a HEAD.
        """
        self._part = part
        self._content = content
        self._section = section
        self._chunks = Ahead(stored.read_chunk)
        self._opened = Ahead(self._open)
        self._first = _Opened([], last=False)

    async def begin(self) -> None:
        """Open what the first piece is made of; raises whatever keeps it from being played."""
        while not self._first.pieces and not self._first.last:
            self._first = await self._opened.next()

    async def close(self) -> None:
        """Stop reading ahead."""
        await self._opened.close()
        await self._chunks.close()

    @property
    def verified(self) -> bool:
        """Whether the recording came with digests, so that each byte served was checked."""
        return self._content.verified

    @property
    def etag(self) -> str | None:
        """The entity tag of the whole media file, None where there is none."""
        return self._content.etag

    @property
    def length(self) -> int | None:
        """How many bytes `pieces` gives in all; None when only the end will tell."""
        if self._part is not None:
            return self._part.size
        if self._content.plaintext_size is not None or not self._first.last:
            return self._content.plaintext_size
        return sum(len(piece) for piece in self._first.pieces)

    @property
    def content_range(self) -> str | None:
        """The ``Content-Range`` of a part, None for a whole file."""
        part, whole = self._part, self._content.plaintext_size
        return None if part is None or whole is None else part.content_range(whole)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the plaintext in order; an error means that no more may be served."""
        opened, self._first = self._first, _Opened([], last=True)
        while True:
            for piece in opened.pieces:
                yield piece
            if opened.last:
                return
            opened = await self._opened.next()

    async def _open(self) -> _Opened:
        data, last = await self._chunks.next()
        pieces = await asyncio.to_thread(self._section.open_chunk, data, last=last)
        return _Opened(pieces, last)
