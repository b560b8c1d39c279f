"""Recording certificates: X.509 with an RSA key, one to a PEM text, and their aliases.

Loading says by name what is wrong with a text. Whether a certificate may be used at a moment is
`trust`'s to say.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from . import der, pem
from .distinguished_name import readable_name
from .errors import CertificateError, CertificateNotRsa, CertificateUnreadable

#: Longest text that is looked at, in characters.
MAX_CERTIFICATE_TEXT = 256 * 1024
LABELS = ("CERTIFICATE", "X509 CERTIFICATE")
_SESSION_KEY_BYTES = 32
_KEY_KINDS = {
    PublicKeyAlgorithmOID.EC_PUBLIC_KEY: "EC",
    PublicKeyAlgorithmOID.DSA: "DSA",
    PublicKeyAlgorithmOID.RSASSA_PSS: "RSASSA-PSS",
    PublicKeyAlgorithmOID.ED25519: "Ed25519",
    PublicKeyAlgorithmOID.ED448: "Ed448",
    PublicKeyAlgorithmOID.X25519: "X25519",
    PublicKeyAlgorithmOID.X448: "X448",
}


@dataclass(frozen=True, slots=True)
class RecordingCertificate:
    """One RSA certificate. Two are equal when their DER is, whatever they are called.

    `name` is where it came from, for messages (an option, a file). `subject` and `issuer` are
    readable, in the certificate's own order; `issuer_der` is the Name as its bytes stand there.
    Dates are aware, UTC.
    """

    der: bytes
    name: str = field(compare=False)
    subject: str = field(compare=False)
    issuer: str = field(compare=False)
    issuer_der: bytes = field(compare=False, repr=False)
    serial: int = field(compare=False)
    not_before: datetime = field(compare=False)
    not_after: datetime = field(compare=False)
    public_key: rsa.RSAPublicKey = field(compare=False, repr=False)

    @classmethod
    def load(cls, text: str, *, name: str) -> RecordingCertificate:
        """Read the one certificate of a PEM text; other text around it is passed over.

        `CertificateUnreadable` or `CertificateNotRsa`, both naming `name`.
        """
        return cls.from_der(_only_certificate(text, name), name=name)

    @classmethod
    def from_der(cls, data: bytes, *, name: str) -> RecordingCertificate:
        """Read a certificate from DER; errors as `load`."""
        certificate = read_x509(data, name)
        try:
            serial, issuer, subject, _ = certificate_identity(certificate)
            who = _described(readable_name(subject), serial, name)
            not_after = certificate.not_valid_after_utc
            return cls(
                der=data,
                name=name,
                subject=readable_name(subject),
                issuer=readable_name(issuer),
                issuer_der=issuer,
                serial=serial,
                not_before=certificate.not_valid_before_utc,
                not_after=not_after,
                public_key=_rsa_key(certificate, f"{who}, valid until {readable_date(not_after)},"),
            )
        except ValueError as error:
            raise CertificateUnreadable(f"{name} is not a whole certificate: {error}") from error

    @property
    def key_bits(self) -> int:
        """Bits of the RSA modulus."""
        return self.public_key.key_size

    @property
    def pem(self) -> str:
        """The certificate as PEM with lines of 64 characters and LF."""
        return pem.encode("CERTIFICATE", self.der)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER in lower-case hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def described(self) -> str:
        """How messages call it: subject, serial and where it came from."""
        return _described(self.subject, self.serial, self.name)

    def __repr__(self) -> str:
        return f"<RecordingCertificate {self.subject} serial {self.serial}>"


def certificate_alias(certificate: RecordingCertificate, tenant_name: str, tenant_dbid: int) -> str:
    """Return ``rcs_<tenant name>:<tenant DBID>:<issuer DN>:<serial in decimal>``."""
    return f"rcs_{tenant_name}:{tenant_dbid}:{certificate.issuer}:{certificate.serial}"


def distinct_certificates(
    certificates: Iterable[RecordingCertificate],
) -> tuple[RecordingCertificate, ...]:
    """Return the certificates in order, each once.

    `CertificateError` when two different ones have the same issuer and serial: an envelope could
    not tell them apart.
    """
    known: dict[tuple[bytes, int], RecordingCertificate] = {}
    for certificate in certificates:
        other = known.setdefault((certificate.issuer_der, certificate.serial), certificate)
        if other != certificate:
            raise CertificateError(
                f"{certificate.name} and {other.name} are different certificates of the same"
                f" issuer {certificate.issuer} and serial {certificate.serial}"
            )
    return tuple(known.values())


def read_x509(data: bytes, name: str) -> x509.Certificate:
    """Read any X.509 certificate from DER; `CertificateUnreadable` naming `name`."""
    with warnings.catch_warnings():
        # Serials of zero, as old tools made them, identify a certificate as well as any other.
        warnings.simplefilter("ignore")
        try:
            return x509.load_der_x509_certificate(data)
        except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise CertificateUnreadable(
                f"{name} is not an X.509 certificate, or its text is ruined"
            ) from error


def read_certificate_block(text: str, block: pem.Block, name: str) -> bytes:
    """Return the DER of a certificate's block; `CertificateUnreadable` when the text is ruined."""
    if not pem.has_line_ends(text, block):
        raise CertificateUnreadable(
            f"{name} is ruined: the line ends of its PEM text are lost"
            " (as when an options editor saves it again)"
        )
    try:
        return pem.decode(block)
    except ValueError as error:
        raise CertificateUnreadable(f"{name} is ruined: {error}") from error


def _only_certificate(text: str, name: str) -> bytes:
    if len(text) > MAX_CERTIFICATE_TEXT:
        raise CertificateUnreadable(
            f"{name} has {len(text)} characters, more than a certificate may have"
        )
    try:
        blocks = pem.find_blocks(text)
    except ValueError as error:
        raise CertificateUnreadable(f"{name} is ruined: {error}") from error
    found = [block for block in blocks if block.label in LABELS]
    if len(found) == 1:
        return read_certificate_block(text, found[0], name)
    if found:
        raise CertificateUnreadable(
            f"{name} holds {len(found)} certificates instead of one;"
            " those of its issuers belong into the CA file"
        )
    if blocks:
        raise CertificateUnreadable(f"{name} holds a {blocks[0].label}, not a certificate")
    raise CertificateUnreadable(f"{name} holds no certificate in PEM")


class Identity(NamedTuple):
    """What identifies a certificate: its serial, issuer and subject as DER Names, and its key.

    `key` is the SubjectPublicKeyInfo.
    """

    serial: int
    issuer: bytes
    subject: bytes
    key: bytes

    @property
    def described(self) -> str:
        """How messages call it: subject and serial."""
        return (
            f"{readable_name(self.subject) or 'a certificate without name'} (serial {self.serial})"
        )


def certificate_identity(certificate: x509.Certificate) -> Identity:
    """Return the identity, byte for byte as the certificate has it (RFC 5280 §4.1).

    `ValueError` when the fields are not where they belong.
    """
    tbs = certificate.tbs_certificate_bytes
    fields = der.members(tbs, der.read_header(tbs, 0))
    if fields and fields[0].tag == der.CONTEXT_0_CONSTRUCTED:
        fields = fields[1:]  # the version, absent in v1
    if len(fields) < 6 or fields[0].tag != der.INTEGER:
        raise ValueError("its fields are not those of RFC 5280")
    serial, algorithm, issuer, validity, subject, key = fields[:6]
    return Identity(
        int.from_bytes(tbs[serial.start : serial.end], "big", signed=True),
        tbs[algorithm.end : issuer.end],
        tbs[validity.end : subject.end],
        tbs[subject.end : key.end],
    )


def readable_date(moment: datetime) -> str:
    """Return an aware moment as messages write it, in UTC to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _described(subject: str, serial: int, name: str) -> str:
    return f"the certificate {subject or 'without a subject'} (serial {serial}, {name})"


def _check_encrypts(key: rsa.RSAPublicKey, who: str) -> None:
    """Refuse numbers that are no RSA key: a call would only find out when it begins."""
    try:
        key.encrypt(bytes(_SESSION_KEY_BYTES), padding.PKCS1v15())
    except (ValueError, InternalError) as error:
        raise CertificateNotRsa(
            f"{who} has an RSA key of {key.key_size} bits that cannot encrypt a session key"
        ) from error


def _rsa_key(certificate: x509.Certificate, who: str) -> rsa.RSAPublicKey:
    algorithm = certificate.public_key_algorithm_oid
    if algorithm == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
        try:
            key = certificate.public_key()
        except UnsupportedAlgorithm as error:
            raise CertificateNotRsa(f"{who} has an RSA key that cannot be used: {error}") from error
        if isinstance(key, rsa.RSAPublicKey):
            _check_encrypts(key, who)
            return key
    kind = _KEY_KINDS.get(algorithm) or algorithm.dotted_string
    raise CertificateNotRsa(f"{who} has a key of the kind {kind}, not an RSA key that encrypts")
