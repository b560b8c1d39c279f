"""Entries for tests of the keystore, and what a keystore holds, to be compared."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from crypto_server.keystore import KeyEntry, Keystore
from recording_format.certificates import RecordingCertificate, certificate_alias
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.session_key import SessionKey
from tests.crypto_server.keys import TENANT, KeyPair, key_pair

PASSWORD = "a keystore password with ü"
UNUSABLE = "A keystore file could not be used"
UNSAFE = "Something in the keystore is not safe"


def add(keystore: Keystore, pair: KeyPair, tenant: str = TENANT) -> Path:
    """Add `pair` under its own alias."""
    return keystore.add(tenant, pair.alias, pair.certificate, pair.private_key)


def envelope_for(*pairs: KeyPair) -> Envelope:
    """Return an envelope whose recipients are `pairs`."""
    infos = wrap_session_key(SessionKey.generate(), [pair.certificate for pair in pairs])
    return Envelope(recipients=infos, algorithm="aes-256-cbc", iv=bytes(16))


def entry(common_name: str, tenant: str = "Environment", dbid: int = 1) -> KeyEntry:
    """Return the entry of the certificate ``CN=<common_name>`` for a tenant."""
    pair = key_pair(common_name)
    alias = certificate_alias(pair.certificate, tenant, dbid)
    return KeyEntry(alias, pair.certificate, pair.private_key)


@functools.cache
def small_entry(common_name: str, tenant: str = "Environment") -> KeyEntry:
    """Return an entry with a key of 1024 bits, for tests that open it thousands of times."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(Encoding.DER)
    certificate = RecordingCertificate.from_der(der, name=common_name)
    return KeyEntry(certificate_alias(certificate, tenant, 1), certificate, key)


def fill(keystore: Keystore, *found: tuple[str, KeyEntry]) -> None:
    """Add entries, each to its tenant."""
    for tenant, one in found:
        keystore.add(tenant, one.alias, one.certificate, one.private_key)


def content(keystore: Keystore) -> dict[str, dict[str, int]]:
    """Return what is in `keystore`: tenant to alias to the key's modulus."""
    return {
        tenant: {
            one.alias: one.private_key.public_key().public_numbers().n
            for one in keystore.entries(tenant)
        }
        for tenant in keystore.tenants()
        if keystore.entries(tenant)
    }
