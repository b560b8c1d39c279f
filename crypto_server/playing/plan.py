"""Which stored bytes a part of the plaintext is made of.

In CBC a block of plaintext is the decrypted block XOR the block of *ciphertext before it*: whoever
could change that one would change chosen bits of the sound, and the digest of the chunk behind it
would not notice. So the block before a part is not just fetched as an IV: it lies in a chunk whose
digest is checked as a whole, like every stored byte that plaintext depends on. A part that begins
in the first block of a chunk therefore begins one chunk earlier; any other has its block before in
its own first chunk. However long the file is, nothing else is fetched.
"""

from __future__ import annotations

from typing import NamedTuple

from crypto_server.playing.byte_range import Span
from recording_format.cipher import BLOCK_SIZE
from recording_format.digests import CHUNK_SIZE


class Sizes(NamedTuple):
    """How long a file is, as it is stored and as it is played."""

    stored: int
    plaintext: int


class Plan(NamedTuple):
    """How to get plaintext from the stored bytes `fetch` (None: all of them).

    `lead` bytes of the first chunk come before what is decrypted; where `chained`, the next 16 are
    the block before. Of the plaintext that follows, `drop` bytes come before the part. `to_end`:
    what is fetched reaches the file's end.
    """

    fetch: Span | None = None
    lead: int = 0
    chained: bool = False
    drop: int = 0
    to_end: bool = True

    @property
    def first_chunk(self) -> int:
        """The number of the first chunk."""
        return 0 if self.fetch is None else self.fetch.start // CHUNK_SIZE


def plan_encrypted(span: Span, sizes: Sizes, *, by_chunks: bool) -> Plan:
    """Plan a part of a decrypted file; `by_chunks` where whole chunks are needed to check them.

    A part that touches the last block, or ends where the plaintext ends, is decrypted to the end:
    only the padding proves that the metadata's size is right and no padding passes for sound.
    """
    block = span.start - span.start % BLOCK_SIZE
    start = max(block - BLOCK_SIZE, 0)
    to_end = span.stop == sizes.plaintext or span.stop > sizes.stored - BLOCK_SIZE
    stop = sizes.stored if to_end else -(-span.stop // BLOCK_SIZE) * BLOCK_SIZE
    fetch = Span(start, stop)
    if by_chunks:
        fetch = whole_chunks(fetch, sizes.stored)
    return Plan(fetch, start - fetch.start, block > 0, span.start - block, to_end)


def plan_plain(span: Span, sizes: Sizes, *, by_chunks: bool) -> Plan:
    """Plan a part of a file that is stored as it is played."""
    fetch = whole_chunks(span, sizes.stored) if by_chunks else span
    return Plan(fetch, drop=span.start - fetch.start, to_end=fetch.stop == sizes.stored)


def whole_chunks(span: Span, stored_size: int) -> Span:
    """Return the chunks that the bytes lie in, whole."""
    stop = -(-span.stop // CHUNK_SIZE) * CHUNK_SIZE
    return Span(span.start - span.start % CHUNK_SIZE, min(stop, stored_size))
