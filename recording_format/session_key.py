"""The session key: one random AES key for one recording.

It hides itself from repr and logs. It leaves the process only wrapped for the certificates of the
profile, or sealed under the spool keyring.
"""

from __future__ import annotations

import hmac
import secrets

#: Names of the ciphers, and the length of their keys in bytes.
KEY_SIZES = {"aes-256-cbc": 32, "aes-128-cbc": 16}
_ALGORITHMS = {size: name for name, size in KEY_SIZES.items()}


class SessionKey:
    """An AES key of 16 or 32 bytes. Another length is a `ValueError`, which does not quote it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) not in _ALGORITHMS:
            raise ValueError(f"a session key has 16 or 32 bytes, not {len(secret)}")
        self._secret = bytes(secret)

    @classmethod
    def generate(cls, bits: int = 256) -> SessionKey:
        """Return a new random key of 256 or 128 bits."""
        if bits not in (128, 256):
            raise ValueError(f"a session key has 128 or 256 bits, not {bits}")
        return cls(secrets.token_bytes(bits // 8))

    @property
    def secret(self) -> bytes:
        """The key itself: only for ciphers, wrapping and sealing."""
        return self._secret

    @property
    def algorithm(self) -> str:
        """``aes-256-cbc`` or ``aes-128-cbc``."""
        return _ALGORITHMS[len(self._secret)]

    def __repr__(self) -> str:
        return f"<SessionKey {self.algorithm}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SessionKey):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key
