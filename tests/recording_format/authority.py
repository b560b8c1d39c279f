"""Certificates made for tests: roots, intermediates and recording certificates of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from recording_format.certificates import RecordingCertificate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the test run's RSA key of that number; keys are slow to make, so they are shared."""
    assert number >= 0
    return rsa.generate_private_key(65537, bits)


def key_pem(
    key: rsa.RSAPrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    password: str | None = None,
) -> bytes:
    """Return a private key as PEM."""
    encryption: KeySerializationEncryption = NoEncryption()
    if password is not None:
        encryption = BestAvailableEncryption(password.encode())
    return key.private_bytes(Encoding.PEM, form, encryption)


def name(common_name: str) -> x509.Name:
    """Return C=US,ST=CA,L=Example,O=Example,CN=…, in this order."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Example"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def recording(self, called: str = "certificates-1") -> RecordingCertificate:
        """The certificate as the package reads it."""
        return RecordingCertificate.load(self.pem, name=called)


def issue(
    subject: str | x509.Name,
    key: rsa.RSAPrivateKey,
    *,
    issuer: Issued | None = None,
    serial: int = 10,
    authority: bool = False,
    not_before: datetime = NOW - YEAR,
    not_after: datetime = NOW + YEAR,
    signing_key: rsa.RSAPrivateKey | None = None,
    path_length: int | None = None,
    key_ids: bool = False,
) -> Issued:
    """Make a certificate: self-signed without an `issuer`, a CA where `authority` says so.

    `signing_key` other than the issuer's makes a signature that is wrong. `key_ids` adds the key
    identifiers of the subject and the issuer.
    """
    own_name = subject if isinstance(subject, x509.Name) else name(subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own_name)
        .issuer_name(issuer.certificate.subject if issuer else own_name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    if authority:
        constraints = x509.BasicConstraints(ca=True, path_length=path_length)
        builder = builder.add_extension(constraints, critical=True)
    signer = signing_key or (issuer.key if issuer else key)
    if key_ids:
        for identifier in (
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
        ):
            builder = builder.add_extension(identifier, critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


@cache
def root() -> Issued:
    """The CA of most tests."""
    return issue("example_ca", rsa_key(0), serial=1, authority=True)


@cache
def recorder(number: int = 1) -> Issued:
    """A recording certificate under `root`, its serial is 9 + `number`."""
    return issue(f"recorder {number}", rsa_key(number), issuer=root(), serial=9 + number)
