"""The cipher of a media file: AES in CBC mode with PKCS#7 padding, as a stream.

Each encryptor draws its own random IV; there is no way to give it one, so no IV is ever used twice
under a key. CBC does not notice changed bytes: `integrity` does, and runs before decryption.
"""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from .digests import CHUNK_SIZE, CiphertextDigests, CiphertextHasher
from .errors import CiphertextError
from .session_key import SessionKey

__all__ = [
    "BLOCK_SIZE",
    "CHUNK_SIZE",
    "MediaDecryptor",
    "MediaEncryptor",
    "ciphertext_size",
    "decrypt_part",
]

#: Bytes of an AES block, and of an IV.
BLOCK_SIZE = 16


def ciphertext_size(plaintext_size: int) -> int:
    """Return the ciphertext's length: the next multiple of 16 above `plaintext_size`."""
    return plaintext_size - plaintext_size % BLOCK_SIZE + BLOCK_SIZE


class MediaEncryptor:
    """Encrypts one media file under a new random IV: `update` … `finalize`, then `digests`."""

    def __init__(self, key: SessionKey) -> None:
        self._iv = secrets.token_bytes(BLOCK_SIZE)
        self._context: CipherContext = Cipher(
            algorithms.AES(key.secret), modes.CBC(self._iv)
        ).encryptor()
        self._hasher = CiphertextHasher()
        self._plaintext_size = 0
        self._digests: CiphertextDigests | None = None

    @property
    def iv(self) -> bytes:
        """The 16 bytes that this encryptor drew; they go into the envelope."""
        return self._iv

    @property
    def plaintext_size(self) -> int:
        """How many bytes were taken so far."""
        return self._plaintext_size

    @property
    def digests(self) -> CiphertextDigests:
        """Digests of the whole ciphertext; before `finalize` this is a `RuntimeError`."""
        if self._digests is None:
            raise RuntimeError("the ciphertext has no digests before finalize()")
        return self._digests

    def update(self, data: bytes) -> bytes:
        """Take plaintext of any length; return the ciphertext that is ready."""
        self._plaintext_size += len(data)
        out = self._context.update(data)
        self._hasher.update(out)
        return out

    def finalize(self) -> bytes:
        """Return the last block, with its padding (RFC 5652 §6.3)."""
        fill = BLOCK_SIZE - self._plaintext_size % BLOCK_SIZE
        out = self._context.update(bytes([fill]) * fill) + self._context.finalize()
        self._hasher.update(out)
        self._digests = self._hasher.finish()
        return out


class MediaDecryptor:
    """Decrypts one media file: `update` … `finalize`. The last block is held back until then.

    A part of the file that begins at a block is decrypted by `at` … `update` … `leave`; when it
    reaches the file's end, `finalize` stands in place of `leave`.
    """

    def __init__(self, key: SessionKey, iv: bytes) -> None:
        if len(iv) != BLOCK_SIZE:
            raise CiphertextError(f"an IV has {BLOCK_SIZE} bytes, not {len(iv)}")
        self._context: CipherContext = Cipher(algorithms.AES(key.secret), modes.CBC(iv)).decryptor()
        self._size = 0
        self._held = b""

    @classmethod
    def at(cls, key: SessionKey, previous_block: bytes) -> MediaDecryptor:
        """Return a decryptor for what follows `previous_block`.

        That are the 16 bytes of ciphertext before the part, so for chunk i the last ones of chunk
        i-1 (NIST SP 800-38A §6.2); for the file's beginning it is the IV.
        """
        return cls(key, previous_block)

    def update(self, data: bytes | memoryview) -> bytes:
        """Take ciphertext of any length; return the plaintext that is ready."""
        self._size += len(data)
        out = self._held + self._context.update(data)
        split = max(len(out) - BLOCK_SIZE, 0)
        self._held = out[split:]
        return out[:split]

    def leave(self) -> bytes:
        """Return the last block of a part before the file's end: there is no padding in it.

        `CiphertextError` when the part is not whole blocks.
        """
        self._check_blocks()
        self._context.finalize()
        return self._held

    def finalize(self) -> bytes:
        """Return the rest of the plaintext at the file's end, its padding removed.

        `CiphertextError` when the end is not as it was.
        """
        self._check_blocks()
        self._context.finalize()
        unpadder = padding.PKCS7(8 * BLOCK_SIZE).unpadder()
        try:
            return unpadder.update(self._held) + unpadder.finalize()
        except ValueError:
            raise CiphertextError("the ciphertext does not decrypt under this key") from None

    def _check_blocks(self) -> None:
        if self._size == 0 or self._size % BLOCK_SIZE:
            raise CiphertextError(
                f"the ciphertext is cut: {self._size} bytes are not whole blocks of {BLOCK_SIZE}"
            )


def decrypt_part(key: SessionKey, previous_block: bytes, part: bytes, *, last: bool) -> bytes:
    """Return the plaintext of one part, whole blocks, that follows `previous_block`.

    `last`: the part ends where the file ends, so that padding is removed. `CiphertextError` as
    `MediaDecryptor`.
    """
    decryptor = MediaDecryptor.at(key, previous_block)
    return decryptor.update(part) + (decryptor.finalize() if last else decryptor.leave())
