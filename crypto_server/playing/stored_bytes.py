"""The stored bytes of a media file on their way from the processor: a part of them, or all.

An answer that is not the part that was asked for is refused, never played. A processor, or a store
behind it, that ignores ``Range`` and sends the whole file is borne: what comes before is skipped.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Self

import aiohttp

from crypto_server.errors import ProcessorFailed, ProcessorSlow, RecordingDamaged
from crypto_server.playing.byte_range import ByteRange, Span, read_content_range
from recording_format.cipher import CHUNK_SIZE


class Chunk(NamedTuple):
    """Some stored bytes. `data` stays as it is until the chunk after the next one is read."""

    data: memoryview
    last: bool


class StoredBytes:
    """Stored bytes, read chunk by chunk as they are needed.

    `total` is how long the whole stored file is, None when the processor did not say.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, total: int | None, size: int | None
    ) -> None:
        """Take the next `size` bytes of the response, None: all that come."""
        self.total = total
        self._content = response.content
        self._left = size
        self._length = CHUNK_SIZE if size is None else min(CHUNK_SIZE, size)
        # Two at most, by turns: one chunk is checked and decrypted while the next one comes.
        self._buffers: deque[bytearray] = deque()
        self._rest = memoryview(b"")

    @classmethod
    async def begin(
        cls, response: aiohttp.ClientResponse, part: ByteRange | None, what: str
    ) -> Self:
        """Check that the response is `part` (None: all) of the stored file, and go to its start.

        Raises `ProcessorFailed` when it is another part, `RecordingDamaged` when the file has none
        of these bytes.
        """
        if part is None:
            if response.status != 200:
                raise _other_part()
            return cls(response, response.content_length, response.content_length)
        if response.status == 416:
            raise _too_short(what)
        if response.status == 206:
            span, total = _answered_part(response, part)
            return cls(response, total, span.size)
        total = _told_length(response)
        asked = part.within(total)
        if asked is None:
            raise _too_short(what)
        stored = cls(response, total, asked.size)
        await stored._skip(asked.start)
        return stored

    async def read_chunk(self) -> Chunk:
        """Return the next `CHUNK_SIZE` bytes, fewer at the end; not to be called after the last.

        Raises `ProcessorSlow` when nothing comes for too long, `ProcessorFailed` when the transfer
        breaks off: whether the stored file is shorter, its length has told before.
        """
        buffer = self._buffers.popleft() if len(self._buffers) == 2 else bytearray(self._length)
        self._buffers.append(buffer)
        wanted = len(buffer) if self._left is None else min(len(buffer), self._left)
        filled = 0
        while filled < wanted:
            piece = self._rest or await self._piece()
            if not piece:
                break
            taken = piece[: wanted - filled]
            buffer[filled : filled + len(taken)] = taken
            filled += len(taken)
            self._rest = piece[len(taken) :]
        chunk = memoryview(buffer)[:filled]
        if self._left is not None:
            self._left -= filled
            if filled < wanted:
                raise _broken_off()
            return Chunk(chunk, last=self._left == 0)
        # Nobody has told the length: only what follows tells whether anything does.
        self._rest = self._rest or await self._piece()
        return Chunk(chunk, last=not self._rest)

    async def read_all(self) -> bytes:
        """Return all that is left; for a part of a few chunks."""
        gathered = bytearray()
        last = False
        while not last:
            data, last = await self.read_chunk()
            gathered += data
        return bytes(gathered)

    async def _skip(self, size: int) -> None:
        while size > 0:
            piece = await self._piece()
            if not piece:
                raise _broken_off()
            self._rest = piece[size:]
            size -= len(piece)

    async def _piece(self) -> memoryview:
        """Return the bytes that came next, none at the end."""
        try:
            while not self._content.at_eof():
                piece, _ = await self._content.readchunk()
                if piece:
                    return memoryview(piece)
        except TimeoutError:
            raise ProcessorSlow("the stored media file stopped coming") from None
        except (aiohttp.ClientError, OSError):
            raise _broken_off() from None
        return memoryview(b"")


def _answered_part(response: aiohttp.ClientResponse, part: ByteRange) -> tuple[Span, int]:
    answered = read_content_range(response.headers.get("Content-Range", ""))
    if answered is None:
        raise _other_part()
    span, total = answered
    if part.within(total) != span or response.content_length not in (None, span.size):
        raise _other_part()
    return span, total


def _told_length(response: aiohttp.ClientResponse) -> int:
    if response.content_length is None:
        raise ProcessorFailed("the recording processor does not say how long the stored file is")
    return response.content_length


def _other_part() -> ProcessorFailed:
    return ProcessorFailed(
        "the recording processor answered another part of the stored file than was asked for"
    )


def _too_short(what: str) -> RecordingDamaged:
    return RecordingDamaged(f"{what} is shorter than its metadata says")


def _broken_off() -> ProcessorFailed:
    return ProcessorFailed("the stored media file broke off in the middle")
