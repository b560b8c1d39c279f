"""Certificate authorities, recording certificates, self-signed ones, and requests for them.

They look like what an administrator makes with plain OpenSSL: RSA, no subjectAltName, no extended
key usage. Private keys are written with mode 0600.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from reclab.files import write_private

KEY_BITS = 2048
CA_DAYS, CERTIFICATE_DAYS = 3650, 730


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
        return key_pem(self.key)

    def __repr__(self) -> str:
        return f"Pair({self.certificate.subject.rfc4514_string()!r})"


def new_key(bits: int = KEY_BITS) -> rsa.RSAPrivateKey:
    """Return a fresh RSA key."""
    return rsa.generate_private_key(65537, bits)


def key_pem(key: rsa.RSAPrivateKey, password: str = "") -> bytes:
    """Return a private key as PKCS#8 PEM, encrypted where there is a password."""
    encryption: KeySerializationEncryption = NoEncryption()
    if password:
        encryption = BestAvailableEncryption(password.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def new_authority(
    common_name: str, now: datetime, *, bits: int = KEY_BITS, days: int = CA_DAYS
) -> Pair:
    """Return a self-signed root, valid from an hour before `now`."""
    key = new_key(bits)
    name = lab_name(common_name)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        certificate_builder(name, name, key.public_key(), now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return Pair(builder.sign(key, SHA256()), key)


def new_recording_certificate(common_name: str, authority: Pair, now: datetime) -> Pair:
    """Return a recording certificate of the lab, signed by `authority`."""
    key = new_key()
    return Pair(issue(lab_name(common_name), key.public_key(), authority, now), key)


def issue(
    subject: x509.Name,
    key: rsa.RSAPublicKey,
    authority: Pair,
    now: datetime,
    *,
    days: int = CERTIFICATE_DAYS,
) -> x509.Certificate:
    """Return a recording certificate for `key`, signed by `authority`."""
    builder = certificate_builder(subject, authority.certificate.subject, key, now, days)
    return builder.sign(authority.key, SHA256())


def self_signed(
    subject: x509.Name, key: rsa.RSAPrivateKey, now: datetime, *, days: int = CERTIFICATE_DAYS
) -> Pair:
    """Return a recording certificate that is its own issuer."""
    return Pair(
        certificate_builder(subject, subject, key.public_key(), now, days).sign(key, SHA256()), key
    )


def signing_request(subject: x509.Name, key: rsa.RSAPrivateKey) -> str:
    """Return the request (PKCS#10, PEM) that a certificate authority signs."""
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM).decode("ascii")


def write_pair(pair: Pair, certificate: Path, key: Path) -> None:
    """Write both as PEM files; the key is for its owner only."""
    write_private(key, pair.key_pem)
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.write_text(pair.certificate_pem, encoding="ascii")


def utc_now() -> datetime:
    """Return the time in UTC, to the second, as certificates hold it."""
    return datetime.now(UTC).replace(microsecond=0)


def lab_name(common_name: str) -> x509.Name:
    """Return the name that the lab gives where a person says no more than a common name."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Recording Lab"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    """Begin a certificate for `key`, valid from an hour ago for `days`, with a random serial."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(secrets.randbits(63) | 1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )
