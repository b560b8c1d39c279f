"""The two ends of a stored file, looked at before a part from its middle is played.

Needed where the metadata does not tell the plaintext's size: the padding does. And where nobody
can verify the recording: a wrong key would make noise of its middle, and nothing there would show
it; the look of the beginning and the padding at the end do. Pure: no clock, sockets or disk.
"""

from __future__ import annotations

from typing import NamedTuple

from crypto_server.errors import RecordingDamaged
from crypto_server.playing.byte_range import ByteRange, Span
from crypto_server.playing.content import MediaContent
from crypto_server.playing.plan import whole_chunks
from crypto_server.playing.section import check_beginning
from recording_format.cipher import BLOCK_SIZE, decrypt_part
from recording_format.digests import CHUNK_SIZE
from recording_format.errors import CiphertextError, IntegrityError
from recording_format.integrity import check_chunk
from recording_format.media_look import ENOUGH
from recording_format.session_key import SessionKey

_TAIL = 2 * BLOCK_SIZE


class End(NamedTuple):
    """Bytes from one end of a stored file of `stored_size` bytes."""

    data: bytes
    stored_size: int


class Ends:
    """What is to be fetched of a file's ends, in `head` and `tail` (None: not needed)."""

    def __init__(self, content: MediaContent) -> None:
        self._content = content
        self.head = None if content.verified else ByteRange.of(0, ENOUGH)
        self.tail = None if content.key is None else ByteRange.tail(_TAIL)
        self._first_chunk = 0
        if content.digests is not None and content.key is not None:
            size = content.digests.size
            last_blocks = Span(max(size - _TAIL, 0), size)
            chunks = whole_chunks(last_blocks, size)
            self._first_chunk = chunks.start // CHUNK_SIZE
            self.tail = ByteRange.of(*chunks)

    @property
    def needed(self) -> bool:
        """Whether a part can be played only after a look at them."""
        return not self._content.verified or self._content.plaintext_size is None

    def look(self, head: End | None, tail: End | None) -> None:
        """Check the ends that were asked for, and tell the content its sizes.

        Raises `RecordingDamaged` when they are not those of such a file. Which of them was wrong
        cannot be told from the answer where a key is at stake.
        """
        size = self._stored_size(head, tail)
        if head is not None:
            plain = self._content.key is None
            check_beginning(self._content, head.data if plain else self._decrypted(head))
        if tail is None:
            self._content.learn_sizes(size, size)
        else:
            self._check_digests(tail.data)
            self._content.learn_sizes(size, size - BLOCK_SIZE + self._last_block(tail))

    def _stored_size(self, *ends: End | None) -> int:
        content = self._content
        told = {end.stored_size for end in ends if end is not None}
        size = told.pop()
        if told:  # another file between the two
            raise content.other_bytes()
        content.check_length(size)
        if content.key is not None and (size == 0 or size % BLOCK_SIZE):
            raise RecordingDamaged(
                f"the stored file of {content.name} was cut: {size} bytes are not whole blocks "
                f"of {BLOCK_SIZE}"
            )
        return size

    def _check_digests(self, tail: bytes) -> None:
        digests = self._content.digests
        if digests is None:
            return
        try:
            for number, at in enumerate(range(0, len(tail), CHUNK_SIZE)):
                check_chunk(digests, self._first_chunk + number, tail[at : at + CHUNK_SIZE])
        except IntegrityError:
            raise self._content.other_bytes() from None

    def _decrypted(self, head: End) -> bytes:
        key, iv = self._papers()
        try:
            return decrypt_part(key, iv, head.data, last=False)
        except CiphertextError:
            raise self._content.undecryptable() from None

    def _last_block(self, tail: End) -> int:
        """Return how many bytes of plaintext the last block holds: 0 to 15."""
        key, before = self._papers()
        if tail.stored_size > BLOCK_SIZE:
            before = tail.data[-_TAIL:-BLOCK_SIZE]
        try:
            return len(decrypt_part(key, before, tail.data[-BLOCK_SIZE:], last=True))
        except CiphertextError:
            raise self._content.undecryptable() from None

    def _papers(self) -> tuple[SessionKey, bytes]:
        assert self._content.key is not None
        assert self._content.iv is not None
        return self._content.key, self._content.iv
