"""A writer of Java keystores (JKS), for tests: what keytool writes, with any contents."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

from asn1crypto import core
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_SUN_PROTECTION = "1.3.6.1.4.1.42.2.17.1.1"


class _Algorithm(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    _fields = [("algorithm", core.ObjectIdentifier), ("parameters", core.Null)]  # noqa: RUF012 - its way


class _Protected(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    _fields = [("algorithm", _Algorithm), ("data", core.OctetString)]  # noqa: RUF012 - its way


def key_entry(
    alias: str, key: PrivateKeyTypes, chain: Sequence[bytes], password: str, *, version: int = 2
) -> bytes:
    """Return a private key entry; `chain` is DER, leaf first."""
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    protected = _Protected(
        {
            "algorithm": {"algorithm": _SUN_PROTECTION, "parameters": core.Null()},
            "data": _protect(plain, password.encode("utf-16-be")),
        }
    ).dump()
    certificates = b"".join(_certificate(der, version) for der in chain)
    start = struct.pack(">I", 1) + _text(alias) + bytes(8)
    return start + _sized(protected) + struct.pack(">I", len(chain)) + certificates


def trusted_entry(alias: str, der: bytes, *, version: int = 2) -> bytes:
    """Return an entry of a trusted certificate."""
    return struct.pack(">I", 2) + _text(alias) + bytes(8) + _certificate(der, version)


def jks(entries: Sequence[bytes], password: str, *, version: int = 2) -> bytes:
    """Return the keystore file."""
    body = struct.pack(">III", 0xFEEDFEED, version, len(entries)) + b"".join(entries)
    return signed(body, password)


def signed(body: bytes, password: str) -> bytes:
    """Return `body` with the digest that proves the password."""
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def _protect(plain: bytes, secret: bytes) -> bytes:
    salt = block = b"twenty bytes of salt"
    stream = b""
    while len(stream) < len(plain):
        block = hashlib.sha1(secret + block).digest()
        stream += block
    encrypted = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    return salt + encrypted + hashlib.sha1(secret + plain).digest()


def _certificate(der: bytes, version: int) -> bytes:
    return (_text("X.509") if version == 2 else b"") + _sized(der)


def _text(text: str) -> bytes:
    data = text.encode("utf-16", "surrogatepass").decode("utf-16").encode()
    return struct.pack(">H", len(data)) + data


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
