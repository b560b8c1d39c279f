"""From stored chunks to a part of the plaintext: checked first, then decrypted, then trimmed.

No byte leaves that depends on one that was not checked; `plan` says which those are. Where a
recording has no digests, the end's padding and the sizes are all that can be checked, and the look
of the beginning. Pure: no clock, sockets or disk.
"""

from __future__ import annotations

from crypto_server.playing.byte_range import Span
from crypto_server.playing.content import MediaContent
from crypto_server.playing.plan import Plan, Sizes, plan_encrypted, plan_plain
from recording_format.cipher import BLOCK_SIZE, MediaDecryptor
from recording_format.errors import CiphertextError, IntegrityError
from recording_format.integrity import check_chunk
from recording_format.media_look import media_kind

# Small enough to stay in the processor's cache between decryption and copy.
_STEP = 128 * 1024


class Section:
    """The bytes `span` of a media file's plaintext (None: all of it).

    They are made of the stored bytes `fetch` (None: all). Those come to `open_chunk` in order, in
    pieces of `CHUNK_SIZE`, of which only the last may be shorter.
    """

    def __init__(self, content: MediaContent, span: Span | None = None) -> None:
        """For a `span` both sizes of the content must be known."""
        self.span = span
        self._content = content
        self._plan = Plan() if span is None else planned(content, span)
        self.fetch = self._plan.fetch
        self._stored = content.stored_size if self.fetch is None else self.fetch.size
        self._chunk = self._plan.first_chunk
        self._drop = self._plan.drop
        self._taken = 0
        self._given = 0
        self._behind_drop = 0
        self._decryptor: MediaDecryptor | None = None

    def open_chunk(self, chunk: memoryview, *, last: bool) -> list[bytes]:
        """Check the next stored chunk and return its plaintext; CPU work of a millisecond.

        Raises `RecordingDamaged` when chunk, padding or length are not what was recorded.
        """
        begins = self._taken == 0
        self._check_stored(chunk, last=last)
        if self._content.key is None:
            pieces = [bytes(part) for part in _steps(chunk)]
        else:
            pieces = self._decrypted(chunk, begins=begins, last=last)
        if begins and self.fetch is None and not self._content.authenticated:
            check_beginning(self._content, b"".join(pieces))
        return self._trimmed(pieces, last=last)

    def _check_stored(self, chunk: memoryview, *, last: bool) -> None:
        content = self._content
        self._taken += len(chunk)
        if content.digests is not None:
            try:
                check_chunk(content.digests, self._chunk, chunk)
            except IntegrityError:
                raise content.other_bytes() from None
            self._chunk += 1
        size = self._stored
        if size is not None and (self._taken > size or (last and self._taken != size)):
            raise content.other_bytes()

    def _decrypted(self, chunk: memoryview, *, begins: bool, last: bool) -> list[bytes]:
        try:
            if begins:
                chunk = self._begin(chunk)
            decryptor = self._decryptor
            assert decryptor is not None
            pieces = [decryptor.update(part) for part in _steps(chunk)]
            if last:
                pieces.append(decryptor.finalize() if self._plan.to_end else decryptor.leave())
        except CiphertextError:
            raise self._content.undecryptable() from None
        return pieces

    def _begin(self, chunk: memoryview) -> memoryview:
        """Start decryption; return what is to be decrypted of the first chunk."""
        key, before = self._content.key, self._content.iv
        assert key is not None
        assert before is not None
        chunk = chunk[self._plan.lead :]
        if self._plan.chained:
            before, chunk = bytes(chunk[:BLOCK_SIZE]), chunk[BLOCK_SIZE:]
        self._decryptor = MediaDecryptor.at(key, before)
        return chunk

    def _trimmed(self, pieces: list[bytes], *, last: bool) -> list[bytes]:
        """Cut off what is not part of the section, and see that nothing lacks."""
        kept = []
        for piece in pieces:
            rest = piece[self._drop :] if self._drop else piece
            self._drop -= len(piece) - len(rest)
            self._behind_drop += len(rest)
            if self.span is not None:
                rest = rest[: self.span.size - self._given]
            self._given += len(rest)
            if rest:
                kept.append(rest)
        self._check_end(last=last)
        return kept

    def _check_end(self, *, last: bool) -> None:
        """Where the file's end was decrypted, it must lie where the metadata says."""
        size = self._content.plaintext_size
        if not self._plan.to_end or size is None:
            return
        expected = size if self.span is None else size - self.span.start
        if self._behind_drop > expected or (last and self._behind_drop != expected):
            raise self._content.other_size()


def check_beginning(content: MediaContent, plaintext: bytes) -> None:
    """Without a mac, only the look of the first bytes tells a wrong key from a right one."""
    if media_kind(plaintext) != content.name.extension:
        raise content.undecryptable() if content.key is not None else content.other_bytes()


def planned(content: MediaContent, span: Span) -> Plan:
    """Return which stored bytes make `span` of the plaintext."""
    assert content.stored_size is not None
    assert content.plaintext_size is not None
    plan = plan_plain if content.key is None else plan_encrypted
    sizes = Sizes(content.stored_size, content.plaintext_size)
    return plan(span, sizes, by_chunks=content.verified)


def _steps(chunk: memoryview) -> list[memoryview]:
    return [chunk[at : at + _STEP] for at in range(0, len(chunk), _STEP)]
