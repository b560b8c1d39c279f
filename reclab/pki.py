"""A fresh certificate authority and recording certificates for one lab.

They look like what an administrator makes with plain OpenSSL: RSA, no subjectAltName, no extended
key usage. Private keys are written with mode 0600.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from reclab.files import write_private

_KEY_BITS = 2048
_CA_DAYS, _CERTIFICATE_DAYS = 3650, 730


class Pair(NamedTuple):
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def certificate_pem(self) -> str:
        """The certificate as PEM text."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_authority(common_name: str, now: datetime) -> Pair:
    """Return a self-signed root, valid from an hour before `now`."""
    key = rsa.generate_private_key(65537, _KEY_BITS)
    name = _name(common_name)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        _builder(name, name, key, now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return Pair(builder.sign(key, SHA256()), key)


def new_recording_certificate(common_name: str, authority: Pair, now: datetime) -> Pair:
    """Return a recording certificate signed by `authority`."""
    key = rsa.generate_private_key(65537, _KEY_BITS)
    issuer = authority.certificate.subject
    builder = _builder(_name(common_name), issuer, key, now, _CERTIFICATE_DAYS)
    return Pair(builder.sign(authority.key, SHA256()), key)


def write_pair(pair: Pair, certificate: Path, key: Path) -> None:
    """Write both as PEM files; the key is for its owner only."""
    write_private(key, pair.key_pem)
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.write_text(pair.certificate_pem, encoding="ascii")


def utc_now() -> datetime:
    """Return the time in UTC, to the second, as certificates hold it."""
    return datetime.now(UTC).replace(microsecond=0)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Recording Lab"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(63) | 1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )
