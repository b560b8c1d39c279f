"""Proof that a stored ciphertext is the one that was recorded.

`media_mac` binds a file's name, cipher, IV, length and chunk digests under a key that only holders
of the session key have. A reader checks the mac before the first byte, which also proves the
session key, and then each chunk before anything of it is served. Who receives the envelope is not
part of it, so recipients can be added and removed.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .digests import CHUNK_SIZE, CiphertextDigests, CiphertextHasher, chunk_count
from .errors import IntegrityError
from .lab import Lab
from .session_key import SessionKey

__all__ = [
    "ChunkVerifier",
    "CiphertextDigests",
    "CiphertextHasher",
    "check_chunk",
    "check_digests",
    "check_mac",
    "media_mac",
]

_PURPOSE = b"reclab media mac 1"
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")


def media_mac(key: SessionKey, *, media_id: str, iv: bytes, digests: CiphertextDigests) -> str:
    """Return the mac in hex: HMAC-SHA256 under HKDF-SHA256 (RFC 5869) of the session key.

    Each field goes in with its length before it, so no two inputs share an encoding. `digests`
    must be consistent (`IntegrityError`); its `sha256` is not part of the mac, its chunks are.
    """
    check_digests(digests)
    derived = HKDF(hashes.SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.secret)
    mac = hmac.new(derived, _PURPOSE, hashlib.sha256)
    fields = [
        media_id.encode("utf-8", "surrogatepass"),
        key.algorithm.encode("ascii"),
        iv,
        digests.size.to_bytes(8, "big"),
        CHUNK_SIZE.to_bytes(8, "big"),
        *(bytes.fromhex(chunk) for chunk in digests.chunks),
    ]
    mac.update(len(fields).to_bytes(8, "big"))
    for field in fields:
        mac.update(len(field).to_bytes(8, "big"))
        mac.update(field)
    return mac.hexdigest()


def check_mac(key: SessionKey, *, media_id: str, iv: bytes, lab: Lab) -> None:
    """Raise `IntegrityError` unless `lab` was made under this key for this name and IV."""
    if not lab.mac:
        raise IntegrityError(f"the recording {media_id} has digests, but no mac that proves them")
    expected = media_mac(key, media_id=media_id, iv=iv, digests=lab.digests)
    if not hmac.compare_digest(expected.encode(), lab.mac.encode("utf-8", "surrogatepass")):
        raise IntegrityError(f"the mac of the recording {media_id} is wrong")


def check_digests(digests: CiphertextDigests) -> None:
    """Raise `IntegrityError` unless size and chunks agree and every digest is one."""
    if not 0 <= digests.size < 1 << 63:
        raise IntegrityError(f"a ciphertext cannot have {digests.size} bytes")
    expected = chunk_count(digests.size)
    if len(digests.chunks) != expected:
        raise IntegrityError(
            f"{digests.size} bytes have {expected} chunk digests, not {len(digests.chunks)}"
        )
    for digest in (digests.sha256, *digests.chunks):
        if not _SHA256_HEX.fullmatch(digest):
            raise IntegrityError("a SHA-256 digest of the ciphertext is not 64 hex digits")


def check_chunk(digests: CiphertextDigests, index: int, data: bytes | memoryview) -> None:
    """Raise `IntegrityError` unless `data` is the whole chunk number `index` (from 0)."""
    if not 0 <= index < len(digests.chunks):
        raise IntegrityError(f"the ciphertext has no chunk {index}")
    if hashlib.sha256(data).hexdigest() != digests.chunks[index]:
        raise IntegrityError(f"chunk {index} of the ciphertext is not the one that was recorded")


class ChunkVerifier:
    """Lets a ciphertext through chunk by chunk: what comes out has been checked.

    `feed` takes pieces of any length. It holds less than one chunk, and raises `IntegrityError` at
    the first chunk that differs and at the first byte too many; `finish` raises it when bytes lack.
    """

    def __init__(self, digests: CiphertextDigests) -> None:
        check_digests(digests)
        self._digests = digests
        self._index = 0
        self._waiting = bytearray()
        self._taken = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the chunks that became complete and are right."""
        self._taken += len(data)
        if self._taken > self._digests.size:
            raise IntegrityError(f"the ciphertext is longer than its {self._digests.size} bytes")
        if data and not self._waiting and len(data) == self._chunk_size:
            return [self._checked(data)]  # as a file is read: nothing is copied
        self._waiting += data
        ready = []
        while self._index < len(self._digests.chunks):
            size = self._chunk_size
            if len(self._waiting) < size:
                break
            ready.append(self._checked(bytes(self._waiting[:size])))
            del self._waiting[:size]
        return ready

    @property
    def _chunk_size(self) -> int:
        """How long the next chunk is; nothing is left of it behind the last."""
        return min(CHUNK_SIZE, self._digests.size - self._index * CHUNK_SIZE)

    def _checked(self, chunk: bytes) -> bytes:
        check_chunk(self._digests, self._index, chunk)
        self._index += 1
        return chunk

    def finish(self) -> None:
        """Raise `IntegrityError` unless every byte came."""
        if self._taken < self._digests.size:
            raise IntegrityError(
                f"the ciphertext ends after {self._taken} of its {self._digests.size} bytes"
            )
