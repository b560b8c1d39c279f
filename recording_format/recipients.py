"""The recipients of an envelope: a session key wrapped for a certificate, in our form and others.

Our form is RecipientInfo version 0, by issuer and serial, PKCS#1 v1.5. Whatever else stands in an
envelope is kept byte for byte; key transport by OAEP or to a key identifier is opened too
(RFC 5652 §6.2.1, RFC 3560), other kinds say by name what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from asn1crypto import cms, core
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from . import der
from .certificates import RecordingCertificate, distinct_certificates, read_x509
from .errors import CertificateError, EnvelopeError
from .object_identifiers import check_object_identifiers
from .session_key import SessionKey

#: The most recipients of one envelope.
MAX_RECIPIENTS = 2000

_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_PKCS1_OID = "1.2.840.113549.1.1.1"
_OAEP_OID = "1.2.840.113549.1.1.7"
_PADDINGS_SPOKEN = "PKCS#1 v1.5 or OAEP"
_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_KINDS = {
    "kari": "key agreement",
    "kekri": "a shared key",
    "pwri": "a password",
    "ori": "a kind of its own",
}
#: What asn1crypto raises for bytes that are not what they should be.
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError)


class RecipientName(NamedTuple):
    """What names a certificate in an envelope: issuer (DER Name) and serial."""

    issuer: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class Oaep:
    """Parameters of RSAES-OAEP (RFC 8017 §A.2.1): names of digests, and the label."""

    digest: str
    mask_digest: str
    label: bytes


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A session key under RSA: PKCS#1 v1.5, or OAEP where `oaep` says how."""

    encrypted_key: bytes
    oaep: Oaep | None = None

    def open(self, private_key: rsa.RSAPrivateKey) -> bytes:
        """Return what comes out, nothing when the padding is wrong: it may be any bytes.

        A wrapped key as long as the modulus costs one RSA operation whatever is in it.
        """
        try:
            return private_key.decrypt(self.encrypted_key, self._padding())
        except (ValueError, UnsupportedAlgorithm):
            return b""

    def _padding(self) -> padding.AsymmetricPadding:
        if self.oaep is None:
            return padding.PKCS1v15()
        mask = padding.MGF1(_DIGESTS[self.oaep.mask_digest]())
        return padding.OAEP(mask, _DIGESTS[self.oaep.digest](), self.oaep.label or None)


@dataclass(frozen=True, slots=True)
class RecipientInfo:
    """A session key wrapped for one certificate, named by issuer (DER Name) and serial."""

    issuer: bytes
    serial: int
    encrypted_key: bytes

    @property
    def wrapped(self) -> WrappedKey:
        """The session key as it is wrapped here: by PKCS#1 v1.5."""
        return WrappedKey(self.encrypted_key)

    def to_der(self) -> bytes:
        """Return KeyTransRecipientInfo version 0 (RFC 5652 §6.2.1)."""
        return der.value(
            der.SEQUENCE,
            der.integer(0),
            der.value(der.SEQUENCE, self.issuer, der.integer(self.serial)),
            der.value(der.SEQUENCE, _RSA_ENCRYPTION, der.NULL),
            der.value(der.OCTET_STRING, self.encrypted_key),
        )

    def is_for(self, certificate: RecordingCertificate) -> bool:
        """Return whether issuer and serial are the certificate's."""
        return self.is_named(RecipientName(certificate.issuer_der, certificate.serial))

    def is_named(self, name: RecipientName) -> bool:
        """Return whether the recipient is called so."""
        return (self.issuer, self.serial) == name


@dataclass(frozen=True, slots=True)
class ForeignRecipient:
    """A recipient in another form than ours; kept as it stands in `der`.

    `fault` says why it is not opened here; where it is empty, `wrapped` is the session key.
    `issuer` and `serial`, or `key_identifier`, are there where the recipient says them.
    """

    der: bytes
    fault: str = ""
    issuer: bytes | None = None
    serial: int | None = None
    key_identifier: bytes | None = None
    wrapped: WrappedKey | None = None

    def is_for(self, certificate: RecordingCertificate) -> bool:
        """Return whether it names the certificate, by its issuer and serial or its key identifier.

        A key identifier is the one that the certificate itself states (RFC 5280 §4.2.1.2).
        """
        if self.key_identifier is not None:
            return self.key_identifier == _key_identifier(certificate)
        return self.is_named(RecipientName(certificate.issuer_der, certificate.serial))

    def is_named(self, name: RecipientName) -> bool:
        """Return whether the recipient is called so."""
        return (self.issuer, self.serial) == name


def wrap_session_key(
    key: SessionKey, certificates: Sequence[RecordingCertificate]
) -> tuple[RecipientInfo, ...]:
    """Wrap `key` for each certificate, in order; one that is named twice is taken once.

    `CertificateError` when two certificates could not be told apart, `EnvelopeError` for none.
    """
    distinct = distinct_certificates(certificates)
    if not distinct:
        raise EnvelopeError("an envelope needs at least one recording certificate")
    return tuple(
        RecipientInfo(
            certificate.issuer_der,
            certificate.serial,
            certificate.public_key.encrypt(key.secret, padding.PKCS1v15()),
        )
        for certificate in distinct
    )


def encode_recipients(infos: Sequence[RecipientInfo]) -> bytes:
    """Return the recipients as a DER SET OF RecipientInfo, which sorts them."""
    return der.set_of([info.to_der() for info in infos])


def decode_recipients(data: bytes) -> tuple[RecipientInfo, ...]:
    """Read what `encode_recipients` wrote; `EnvelopeError` for anything else."""
    try:
        check_object_identifiers(data)
    except ValueError as error:
        raise EnvelopeError("the envelope's recipients are broken") from error
    recipients, foreign = read_recipients(data)
    if foreign:
        raise EnvelopeError(f"a recipient {foreign[0].fault or 'is not in the form of ours'}")
    return recipients


def read_recipients(
    data: bytes,
) -> tuple[tuple[RecipientInfo, ...], tuple[ForeignRecipient, ...]]:
    """Read a SET OF RecipientInfo from DER or BER: those of our form, and the others."""
    recipients: list[RecipientInfo] = []
    foreign: list[ForeignRecipient] = []
    try:
        for number, choice in enumerate(cms.RecipientInfos.load(data, strict=True)):
            if number == MAX_RECIPIENTS:
                raise EnvelopeError(f"the envelope has more than {MAX_RECIPIENTS} recipients")
            recipient = _read_recipient(choice)
            if isinstance(recipient, RecipientInfo):
                recipients.append(recipient)
            else:
                foreign.append(recipient)
    except UNREADABLE as error:
        raise EnvelopeError("the envelope's recipients are broken") from error
    return tuple(recipients), tuple(foreign)


def _read_recipient(choice: cms.RecipientInfo) -> RecipientInfo | ForeignRecipient:
    raw = cast("bytes", choice.dump())
    if choice.name != "ktri":
        kind = _KINDS.get(choice.name, choice.name)
        return ForeignRecipient(raw, f"has its key by {kind}, not by an RSA certificate")
    info = choice.chosen
    issuer, serial, key_identifier = _read_name(info["rid"])
    encrypted_key = cast("bytes", info["encrypted_key"].native)
    algorithm = info["key_encryption_algorithm"]
    dotted = cast("str", algorithm["algorithm"].dotted)
    wrapped, fault = None, ""
    if dotted == _PKCS1_OID:
        wrapped = WrappedKey(encrypted_key)
        if issuer is not None and serial is not None:
            ours = RecipientInfo(issuer, serial, encrypted_key)
            if ours.to_der() == raw:
                return ours
    elif dotted == _OAEP_OID:
        wrapped, fault = _read_oaep(algorithm["parameters"], encrypted_key)
    else:
        fault = f"has its key wrapped by {algorithm['algorithm'].native}, not by {_PADDINGS_SPOKEN}"
    return ForeignRecipient(raw, fault, issuer, serial, key_identifier, wrapped)


def _read_name(rid: cms.RecipientIdentifier) -> tuple[bytes | None, int | None, bytes | None]:
    """Return issuer and serial, or the key identifier."""
    if rid.name != "issuer_and_serial_number":
        return None, None, cast("bytes", rid.chosen.native)
    issuer = cast("bytes", rid.chosen["issuer"].dump())
    return issuer, cast("int", rid.chosen["serial_number"].native), None


def _read_oaep(parameters: core.Asn1Value, encrypted_key: bytes) -> tuple[WrappedKey | None, str]:
    """Return the wrapped key, or None and why it cannot be opened (RFC 4055 §4.1)."""
    if parameters.native is None:  # all of them are the defaults
        return WrappedKey(encrypted_key, Oaep("sha1", "sha1", b"")), ""
    read = cast("dict[str, dict[str, object]]", parameters.native)
    digest = str(read["hash_algorithm"]["algorithm"])
    mask = read["mask_gen_algorithm"]
    inner = mask["parameters"]
    mask_digest = str(inner["algorithm"]) if isinstance(inner, dict) else "sha1"
    label = read["p_source_algorithm"]["parameters"]
    if mask["algorithm"] != "mgf1" or not {digest, mask_digest} <= _DIGESTS.keys():
        return None, f"has its key wrapped by OAEP with {digest} and {mask_digest}, not with SHA"
    if not isinstance(label, bytes):
        label = b""
    return WrappedKey(encrypted_key, Oaep(digest, mask_digest, label)), ""


def _key_identifier(certificate: RecordingCertificate) -> bytes | None:
    try:
        extensions = read_x509(certificate.der, certificate.name).extensions
        return extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, CertificateError):
        return None
