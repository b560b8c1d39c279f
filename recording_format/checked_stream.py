"""A stored object on its way somewhere else, proven against its metadata as it passes.

What comes out has been proven already where the metadata has digests of chunks, so a broken object
is noticed before its broken part is passed on. Holds one chunk of 1 MiB at most.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from .digests import CHUNK_SIZE, chunk_count
from .errors import IntegrityError
from .lab import Lab


class CheckedStream:
    """Takes the bytes of one object: `take` … `finish`, each yields what may be passed on.

    `size` is the stored object's length in bytes; without `lab` only that is checked. Errors are
    `IntegrityError`.
    """

    def __init__(self, size: int, lab: Lab | None) -> None:
        self._size = size
        self._lab = lab
        self._pending = bytearray()
        self._whole = hashlib.sha256()
        self._seen = 0
        self._number = 0
        if lab is not None and lab.size != size:
            raise IntegrityError(f"the stored object has {size} bytes instead of {lab.size}")
        in_chunks = lab is not None and len(lab.chunks) == chunk_count(lab.size)
        self._chunks = lab.chunks if lab is not None and in_chunks else None

    @property
    def sha256(self) -> str:
        """The digest of what was taken, lower-case hex."""
        return self._whole.hexdigest()

    def take(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes."""
        self._seen += len(data)
        if self._seen > self._size:
            raise IntegrityError(f"the stored object has more than its {self._size} bytes")
        self._whole.update(data)
        self._pending += data
        # The last chunk waits for `finish`, which also knows the digest of the whole.
        while len(self._pending) > CHUNK_SIZE:
            chunk = bytes(memoryview(self._pending)[:CHUNK_SIZE])
            del self._pending[:CHUNK_SIZE]
            yield self._proven(chunk)

    def finish(self) -> Iterator[bytes]:
        """Yield the rest when the whole is right; to be called once."""
        if self._seen != self._size:
            raise IntegrityError(
                f"the stored object ends after {self._seen} of its {self._size} bytes"
            )
        last = self._proven(bytes(self._pending)) if self._pending else b""
        self._pending.clear()
        if self._lab is not None and self.sha256 != self._lab.sha256.lower():
            raise IntegrityError("the stored object differs from the digest of its metadata")
        if last:
            yield last

    def _proven(self, chunk: bytes) -> bytes:
        number, self._number = self._number, self._number + 1
        if self._chunks is not None:
            found = hashlib.sha256(chunk).hexdigest()
            if found != self._chunks[number].lower():
                raise IntegrityError(
                    f"the stored object differs from its metadata in bytes {number * CHUNK_SIZE} "
                    f"to {number * CHUNK_SIZE + len(chunk) - 1}"
                )
        return chunk
