"""Entries of other keystores: which form a file has, and which certificate belongs to which key.

PKCS#12 with any number of entries, and JKS. The leaf of a chain counts; those above it belong into
the CA file. In the keystore every entry gets the alias that media servers write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import load_der_private_key

from crypto_server.errors import KeystoreError
from crypto_server.keystore.additions import PutReport
from crypto_server.keystore.java_keystore import JCEKS_MAGIC, JKS_MAGIC, ProtectedKey, read_jks
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.keystore.keystore import Keystore
from crypto_server.keystore.pkcs12_reading import (
    NamedCertificate,
    NamedKey,
    Pkcs12Content,
    read_pkcs12,
)
from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.errors import CertificateError
from recording_format.private_keys import key_matches

MAX_IMPORT = 16 << 20
_BKS_BEGINNINGS = (b"\0\0\0\1", b"\0\0\0\2")
_SEQUENCE = 0x30
_Key = TypeVar("_Key", NamedKey, ProtectedKey)


@dataclass(frozen=True)
class ImportedEntry:
    """A key of another keystore, under the alias that it had there."""

    old_alias: str
    certificate: RecordingCertificate
    private_key: RSAPrivateKey = field(repr=False)


@dataclass(frozen=True)
class _Candidate:
    """A key entry before it is known whether it can be one here."""

    alias: str
    key: object = field(repr=False)
    chain: tuple[bytes, ...] = ()


def import_entries(
    data: bytes, password: str, *, key_password: str = "", name: str, only: Sequence[str] = ()
) -> list[ImportedEntry]:
    """Read the private key entries of a PKCS#12 file or a JKS, in their order.

    `key_password` is that of a JKS's keys where it differs; `name` is for error texts; `only` names
    the aliases to take (as Java compares them: without regard to case), the default is all.

    Raises `KeystoreError` when the file, its password, or any entry that is to be taken is not
    usable: nothing is left out in silence.
    """
    check_form(data, name)
    if data.startswith(JKS_MAGIC):
        keys = read_jks(data, password, name=name).keys
        found = [
            _Candidate(key.alias, _jks_key(key, key_password or password, name), key.chain)
            for key in _chosen(keys, only, name)
        ]
    else:
        content = read_pkcs12(data, password, name=name)
        certificates = _by_public_key(content)
        found = [
            _Candidate(key.alias, key.key, _certificates_of(key, certificates))
            for key in _chosen(content.keys, only, name)
        ]
    if not found:
        raise KeystoreError(f"{name} holds no private key")
    return [_imported(candidate, name) for candidate in found]


def import_into(
    keystore: Keystore,
    tenant: str,
    tenant_dbid: int,
    entries: Iterable[ImportedEntry],
    *,
    replace: bool = False,
) -> PutReport:
    """Put `entries` into a tenant's folder under the alias of a recording; all of them, or none.

    Raises `KeystoreError` as `Keystore.put`.
    """
    named = [
        KeyEntry(
            certificate_alias(one.certificate, tenant, tenant_dbid),
            one.certificate,
            one.private_key,
        )
        for one in entries
    ]
    return keystore.put({tenant: named}, replace=replace)


def check_form(data: bytes, name: str) -> None:
    """Raise `KeystoreError` for a keystore of a kind that is not read, by its name."""
    if len(data) > MAX_IMPORT:
        raise KeystoreError(f"{name} has {len(data)} bytes, more than a keystore may")
    kind = _foreign_kind(data)
    if kind:
        raise KeystoreError(
            f"{name} is a {kind} keystore, which is not read: convert it by `keytool"
            f" -importkeystore -srckeystore {name} -srcstoretype {kind} -destkeystore new.p12"
            " -deststoretype PKCS12`"
        )
    if b"-----BEGIN " in data[:65536]:
        raise KeystoreError(f"{name} is PEM text, not a keystore: upload certificate and key")
    if not data.startswith((JKS_MAGIC, bytes([_SEQUENCE]))):
        raise KeystoreError(f"{name} is neither a PKCS#12 file nor a Java keystore (JKS)")


def _foreign_kind(data: bytes) -> str:
    if data.startswith(JCEKS_MAGIC):
        return "JCEKS"
    if data.startswith(_BKS_BEGINNINGS):
        return "BKS"
    # PKCS#12 begins with its version number, BCFKS with a sequence: what follows the length tells.
    if data[:1] == bytes([_SEQUENCE]) and len(data) > 1:
        length = data[1] & 0x7F if data[1] & 0x80 else 0
        if data[2 + length : 3 + length] == bytes([_SEQUENCE]):
            return "BCFKS"
    return ""


def _chosen(keys: Sequence[_Key], only: Sequence[str], name: str) -> Iterator[_Key]:
    wanted = {alias.lower() for alias in only}
    missing = wanted - {key.alias.lower() for key in keys}
    if missing:
        raise KeystoreError(f"{name} has no key under the alias {min(missing)!r}")
    return (key for key in keys if not wanted or key.alias.lower() in wanted)


def _jks_key(key: ProtectedKey, password: str, name: str) -> object:
    plain = key.open(password)
    if plain is None:
        raise KeystoreError(
            f"the key of the entry {key.alias!r} of {name} does not open: it has another password"
        )
    try:
        return load_der_private_key(plain, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _by_public_key(content: Pkcs12Content) -> dict[RSAPublicNumbers, list[NamedCertificate]]:
    """Return a PKCS#12 file's certificates by their keys: each is read once, however many keys."""
    found: dict[RSAPublicNumbers, list[NamedCertificate]] = {}
    for one in content.certificates:
        with contextlib.suppress(CertificateError):  # one above a leaf may have any key
            certificate = RecordingCertificate.from_der(one.der, name=one.alias)
            found.setdefault(certificate.public_key.public_numbers(), []).append(one)
    return found


def _certificates_of(
    key: NamedKey, certificates: Mapping[RSAPublicNumbers, Sequence[NamedCertificate]]
) -> tuple[bytes, ...]:
    """Return the certificates of a key, those of its own alias first."""
    if not isinstance(key.key, RSAPrivateKey):
        return ()
    found = certificates.get(key.key.public_key().public_numbers(), ())
    return tuple(one.der for one in sorted(found, key=lambda one: one.alias != key.alias))


def _imported(candidate: _Candidate, name: str) -> ImportedEntry:
    which = f"the entry {candidate.alias!r} of {name}"
    if not isinstance(candidate.key, RSAPrivateKey):
        raise KeystoreError(
            f"{which} has no RSA key, and recording keys are: name the entries to take"
        )
    for der in candidate.chain:
        try:
            certificate = RecordingCertificate.from_der(der, name=which)
        except CertificateError:
            continue  # one above the leaf may have any key; the leaf is told below
        if key_matches(certificate, candidate.key):
            return ImportedEntry(candidate.alias, certificate, candidate.key)
    raise KeystoreError(f"{which} has no certificate that belongs to its key")
