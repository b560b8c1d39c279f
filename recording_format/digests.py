"""Digests of a stored ciphertext: SHA-256 of the whole and of each chunk of 1 MiB.

With a digest per chunk, a reader can check what it serves before it serves it, wherever it begins.
"""

from __future__ import annotations

import hashlib

import msgspec

#: Bytes per chunk; the last chunk of a file may be shorter.
CHUNK_SIZE = 1 << 20


class CiphertextDigests(msgspec.Struct, frozen=True):
    """`size` in bytes; `sha256` and each of `chunks` in lower-case hex."""

    size: int
    sha256: str
    chunks: tuple[str, ...]


def chunk_count(size: int) -> int:
    """Return how many chunks `size` bytes make; nothing makes none."""
    return -(-size // CHUNK_SIZE)


class CiphertextHasher:
    """Takes a file in pieces of any length: `update` … `finish`."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._chunk = hashlib.sha256()
        self._in_chunk = 0
        self._size = 0
        self._chunks: list[str] = []

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._whole.update(data)
        self._size += len(data)
        rest = memoryview(data)
        while len(rest) >= CHUNK_SIZE - self._in_chunk:
            room = CHUNK_SIZE - self._in_chunk
            self._chunk.update(rest[:room])
            rest = rest[room:]
            self._close_chunk()
        self._chunk.update(rest)
        self._in_chunk += len(rest)

    def finish(self) -> CiphertextDigests:
        """Return the digests of all that was taken; to be called once."""
        if self._in_chunk:
            self._close_chunk()
        return CiphertextDigests(self._size, self._whole.hexdigest(), tuple(self._chunks))

    def _close_chunk(self) -> None:
        self._chunks.append(self._chunk.hexdigest())
        self._chunk = hashlib.sha256()
        self._in_chunk = 0
