"""Java's own keystore format (JKS), read only: private keys with their chains, and trusted roots.

The layout is that of sun.security.provider.JavaKeyStore: big-endian fields, then SHA-1 over the
password and everything before it. That digest is checked before anything is read. Nothing here is
strong; it is read so that keys can leave it.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from typing import Final

from asn1crypto import keys as asn1_keys

from crypto_server.errors import KeystoreError

JKS_MAGIC: Final = b"\xfe\xed\xfe\xed"
JCEKS_MAGIC: Final = b"\xce\xce\xce\xce"
_DIGEST = 20
_MIGHTY = b"Mighty Aphrodite"
_PROTECTION = "1.3.6.1.4.1.42.2.17.1.1"
_KEY, _TRUSTED = 1, 2
_MOST_ENTRIES = 10_000


@dataclass(frozen=True)
class ProtectedKey:
    """A private key entry: its chain in DER, leaf first, and the key as it is encrypted."""

    alias: str
    chain: tuple[bytes, ...]
    encrypted: bytes = field(repr=False)

    def open(self, password: str) -> bytes | None:
        """Return the key in PKCS#8 DER, or None when `password` is not the key's."""
        try:
            info = asn1_keys.EncryptedPrivateKeyInfo.load(self.encrypted, strict=True)
            algorithm = info["encryption_algorithm"]["algorithm"].dotted
            data: bytes = info["encrypted_data"].native
        except (ValueError, TypeError, KeyError):
            return None
        if algorithm != _PROTECTION or len(data) < 2 * _DIGEST:
            return None
        return _unprotected(data, password.encode("utf-16-be"))


@dataclass(frozen=True)
class JavaKeystore:
    """What a JKS file holds."""

    keys: tuple[ProtectedKey, ...]
    trusted: tuple[bytes, ...]


def read_jks(data: bytes, password: str, *, name: str) -> JavaKeystore:
    """Read a JKS file of version 1 or 2; `name` is for error texts.

    Raises `KeystoreError` when it is cut, changed, or `password` is another one.
    """
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    secret = password.encode("utf-16-be", "surrogatepass")
    found = hashlib.sha1(secret + _MIGHTY + body).digest()  # noqa: S324 - the format's own
    if not hmac.compare_digest(digest, found):
        message = f"{name} does not open: its password is another one, or it is cut or changed"
        raise KeystoreError(message)
    try:
        return _entries(_Fields(body))
    except (ValueError, struct.error):
        raise KeystoreError(f"{name} is not a Java keystore that can be read") from None


def _entries(fields: _Fields) -> JavaKeystore:
    magic, version, count = fields.take(4), fields.number(), fields.number()
    if magic != JKS_MAGIC or version not in (1, 2) or count > _MOST_ENTRIES:
        raise ValueError("not a JKS file of a known version")
    found: list[ProtectedKey] = []
    trusted: list[bytes] = []
    for _ in range(count):
        kind, alias = fields.number(), fields.text()
        fields.take(8)  # when it was made
        if kind == _KEY:
            encrypted = fields.take(fields.number())
            chain = tuple(fields.certificate(version) for _ in range(fields.number()))
            found.append(ProtectedKey(alias, chain, encrypted))
        elif kind == _TRUSTED:
            trusted.append(fields.certificate(version))
        else:
            raise ValueError("an entry of an unknown kind")
    if not fields.at_end:
        raise ValueError("something follows the last entry")
    return JavaKeystore(tuple(found), tuple(trusted))


class _Fields:
    """The fields of a JKS file, one after the other; `ValueError` at its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError("cut")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        (value,) = struct.unpack(">I", self.take(4))
        return int(value)

    def text(self) -> str:
        """Java's modified UTF-8: characters outside the BMP as surrogates, zero as two bytes."""
        (size,) = struct.unpack(">H", self.take(2))
        raw = self.take(size).replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        return raw.encode("utf-16", "surrogatepass").decode("utf-16")

    def certificate(self, version: int) -> bytes:
        if version == 2 and self.text() not in ("X.509", "X509"):
            raise ValueError("a certificate of another kind")
        return self.take(self.number())


def _unprotected(data: bytes, secret: bytes) -> bytes | None:
    """Undo sun.security.provider.KeyProtector: a SHA-1 key stream, and a SHA-1 to check by."""
    block, stream = data[:_DIGEST], bytearray()
    encrypted, check = data[_DIGEST:-_DIGEST], data[-_DIGEST:]
    while len(stream) < len(encrypted):
        block = hashlib.sha1(secret + block).digest()  # noqa: S324 - the format's own
        stream += block
    plain = bytes(a ^ b for a, b in zip(encrypted, stream, strict=False))
    found = hashlib.sha1(secret + plain).digest()  # noqa: S324 - the format's own
    return plain if hmac.compare_digest(check, found) else None
