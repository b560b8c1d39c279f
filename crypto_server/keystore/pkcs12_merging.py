"""Several entries in one PKCS#12 file, as a Java keystore has them.

Each entry is written as always; their parts are put together under one new MAC (RFC 7292 §5).
Java compares aliases without regard to case: those that it could not tell apart get a suffix.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from typing import Any, Final

from asn1crypto import cms, core, pkcs12

from crypto_server.keystore.key_entry import KeyEntry

_ROUNDS: Final = 10_000
_SALT: Final = 20
_MAC_KEY: Final = 3  # the purpose "MAC" of RFC 7292 appendix B.3
_BLOCK = 64  # of SHA-256
_SUFFIX_DIGITS = 8


def merged_pkcs12(entries: Iterable[KeyEntry], password: str) -> bytes:
    """Return one PKCS#12 file with all `entries`, keys and file under `password`."""
    parts: list[Any] = []
    for entry in with_java_aliases(entries):
        one = pkcs12.Pfx.load(entry.to_pkcs12(password))
        parts += list(one.authenticated_safe)
    safe = pkcs12.AuthenticatedSafe(parts).dump()
    salt = os.urandom(_SALT)
    key = derive(password, salt, _ROUNDS, purpose=_MAC_KEY, size=hashlib.sha256().digest_size)
    mac = hmac.new(key, safe, hashlib.sha256).digest()
    file = pkcs12.Pfx(
        {
            "version": "v3",
            "auth_safe": cms.ContentInfo(
                {"content_type": "data", "content": core.OctetString(safe)}
            ),
            "mac_data": {
                "mac": {"digest_algorithm": {"algorithm": "sha256"}, "digest": mac},
                "mac_salt": salt,
                "iterations": _ROUNDS,
            },
        }
    )
    return bytes(file.dump())


def with_java_aliases(entries: Iterable[KeyEntry]) -> list[KeyEntry]:
    """Return the entries, those with an alias that Java takes for another's with a suffix."""
    taken: set[str] = set()
    named = []
    for entry in entries:
        alias = entry.alias
        if alias.lower() in taken:
            alias = f"{alias} #{entry.certificate.fingerprint[:_SUFFIX_DIGITS]}"
        taken.add(alias.lower())
        named.append(KeyEntry(alias, entry.certificate, entry.private_key))
    return named


def derive(password: str, salt: bytes, rounds: int, *, purpose: int, size: int) -> bytes:
    """Derive `size` bytes by RFC 7292 appendix B.2 with SHA-256."""
    secret = password.encode("utf-16-be") + b"\0\0"
    block = _filled(salt) + _filled(secret)
    derived = b""
    while len(derived) < size:
        digest = hashlib.sha256(bytes([purpose]) * _BLOCK + block).digest()
        for _ in range(rounds - 1):
            digest = hashlib.sha256(digest).digest()
        derived += digest
        added = int.from_bytes(_filled(digest)[:_BLOCK], "big") + 1
        block = b"".join(
            ((int.from_bytes(block[at : at + _BLOCK], "big") + added) % (1 << 8 * _BLOCK)).to_bytes(
                _BLOCK, "big"
            )
            for at in range(0, len(block), _BLOCK)
        )
    return derived[:size]


def _filled(data: bytes) -> bytes:
    """Repeat `data` until it fills whole blocks."""
    size = -(-len(data) // _BLOCK) * _BLOCK
    return (data * (size // max(1, len(data)) + 1))[:size]
