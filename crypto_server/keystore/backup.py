"""The whole keystore as one encrypted file, and back. The format is told in docs/keystore.md.

Everything is authenticated, the header too: a file that is cut, or changed in any bit, restores
nothing. A backup has its own password, so that it outlives the keystore's.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from crypto_server.errors import KeystoreError
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.keystore.keystore import Keystore
from recording_format.certificates import RecordingCertificate
from recording_format.errors import CertificateError

MAGIC: Final = b"RCSKEYS\n"
VERSION: Final = 1
MAX_BACKUP: Final = 64 << 20
_SALT, _NONCE, _TAG, _KEY = 16, 12, 16, 32
# magic, version, log2 of scrypt's cost, its block size and lanes, salt, nonce
_HEADER = struct.Struct(f">{len(MAGIC)}sBBBB{_SALT}s{_NONCE}s")
_LOG_COST, _BLOCK, _LANES = 16, 8, 1
_MOST_MEMORY = 256 << 20
_MOST_LANES = 4


class RestoreReport(NamedTuple):
    """How many entries a restore added, found there already, and put in the place of others."""

    added: int
    kept: int
    replaced: int
    tenants: int


class _Entry(msgspec.Struct, frozen=True):
    """One entry inside the encryption: certificate in DER, key in PKCS#8 DER."""

    alias: str
    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"_Entry({self.alias!r})"


class _Content(msgspec.Struct, frozen=True):
    tenants: dict[str, list[_Entry]]


def backup(keystore: Keystore, password: str) -> bytes:
    """Return all tenants and usable entries of `keystore`, encrypted with `password`.

    Raises `KeystoreError` when the password is empty or there are files that cannot be read: a
    backup that lacks keys in silence is none.
    """
    try:
        entries = keystore.everything()
    except KeystoreError as error:
        raise KeystoreError(f"a backup would lack keys: {error}") from None
    return seal(entries, password)


def restore(
    keystore: Keystore, data: bytes, password: str, *, replace: bool = False
) -> RestoreReport:
    """Add what a backup has and `keystore` lacks; all of it, or nothing.

    The same certificate is kept as it is. Another one under the same alias, or of the same issuer
    and serial, refuses everything unless `replace`.

    Raises `KeystoreError`: no backup, cut, changed, another password, a clash, or the disk.
    """
    entries = unseal(data, password)
    report = keystore.put(entries, replace=replace)
    return RestoreReport(*report, tenants=len(entries))


def seal(entries: Mapping[str, Sequence[KeyEntry]], password: str) -> bytes:
    """Return the entries of each tenant as a backup file. Takes some 200 ms."""
    if not password:
        raise KeystoreError("the password of the backup is empty")
    header = _HEADER.pack(
        MAGIC, VERSION, _LOG_COST, _BLOCK, _LANES, os.urandom(_SALT), os.urandom(_NONCE)
    )
    content = _Content({name: [_packed(entry) for entry in own] for name, own in entries.items()})
    plain = msgspec.json.encode(content)
    if _HEADER.size + len(plain) + _TAG > MAX_BACKUP:
        raise KeystoreError(f"the backup would have more than the {MAX_BACKUP} bytes of one")
    cipher, nonce = _cipher(header, password)
    return header + cipher.encrypt(nonce, plain, header)


def unseal(data: bytes, password: str) -> dict[str, list[KeyEntry]]:
    """Return the entries of each tenant in a backup file; `KeystoreError` in one sentence."""
    if not data.startswith(MAGIC):
        raise KeystoreError("the file is not a backup of a keystore")
    if len(data) > MAX_BACKUP:
        raise KeystoreError(f"the backup has {len(data)} bytes, more than {MAX_BACKUP}")
    if len(data) < _HEADER.size + _TAG:
        raise KeystoreError("the backup is cut")
    header = data[: _HEADER.size]
    cipher, nonce = _cipher(header, password)
    try:
        plain = cipher.decrypt(nonce, data[_HEADER.size :], header)
    except InvalidTag:
        message = "the backup does not open: its password is another one, or it is cut or changed"
        raise KeystoreError(message) from None
    try:
        content = msgspec.json.decode(plain, type=_Content)
        return {
            tenant: [_unpacked(entry) for entry in entries]
            for tenant, entries in content.tenants.items()
        }
    except (msgspec.MsgspecError, CertificateError, ValueError, UnsupportedAlgorithm):
        raise KeystoreError("the backup opens, but holds something else than keys") from None


def _cipher(header: bytes, password: str) -> tuple[AESGCM, bytes]:
    """Return the cipher of a header and its nonce. Bounded before anything is derived."""
    _, version, log_cost, block, lanes, salt, nonce = _HEADER.unpack(header)
    if version != VERSION:
        raise KeystoreError(f"the backup is of version {version}, but {VERSION} is what is read")
    memory = 128 * block * ((1 << log_cost) + lanes + 2) if log_cost < 32 else _MOST_MEMORY + 1
    if not (log_cost > 0 and block > 0 and 0 < lanes <= _MOST_LANES and memory <= _MOST_MEMORY):
        raise KeystoreError("the backup asks for more memory or time than a backup may")
    try:
        key = hashlib.scrypt(
            password.encode(),
            salt=salt,
            n=1 << log_cost,
            r=block,
            p=lanes,
            maxmem=memory + (1 << 20),
            dklen=_KEY,
        )
    except ValueError:
        raise KeystoreError("the backup's header is broken") from None
    return AESGCM(key), nonce


def _packed(entry: KeyEntry) -> _Entry:
    key = entry.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _Entry(entry.alias, entry.certificate.der, key)


def _unpacked(entry: _Entry) -> KeyEntry:
    key = load_der_private_key(entry.key, None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    certificate = RecordingCertificate.from_der(entry.certificate, name=entry.alias)
    return KeyEntry(entry.alias, certificate, key)
