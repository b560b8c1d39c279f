"""Recording certificates with their keys, made once per test run."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from recording_format.certificates import RecordingCertificate, certificate_alias

TENANT = "Environment"


@dataclass(frozen=True)
class KeyPair:
    """A self-signed recording certificate and what belongs to it."""

    certificate: RecordingCertificate
    private_key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def alias(self) -> str:
        """The alias that a media server writes for the tenant of these tests."""
        return certificate_alias(self.certificate, TENANT, 1)


@functools.cache
def private_key(_label: str) -> rsa.RSAPrivateKey:
    """Return the RSA key of a label; another label, another key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def key_pair(common_name: str, serial: int = 1, *, key_label: str = "") -> KeyPair:
    """Return a certificate ``CN=<common_name>``; `key_label` names its key if not the CN."""
    key = private_key(key_label or common_name)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return KeyPair(RecordingCertificate.load(pem, name=common_name), key)
