"""The PKCS#7 envelope: the session key for each recipient, and the IV, without the ciphertext.

Written in the one form that every reader opens: EnvelopedData version 0, one RecipientInfo version
0 per certificate (issuer and serial, rsaEncryption with PKCS#1 v1.5), detached, DER (RFC 5652 §6,
RFC 3370 §4.2.1). Read: any PEM line width and line end, DER and BER, recipients of other kinds
beside ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from . import der, pem
from .certificates import RecordingCertificate, distinct_certificates
from .cipher import BLOCK_SIZE
from .errors import EnvelopeError
from .private_keys import key_matches
from .session_key import KEY_SIZES, SessionKey

#: Largest envelope that is read, in bytes or characters, and the most recipients of one.
MAX_ENVELOPE_SIZE = 1024 * 1024
MAX_RECIPIENTS = 2000
PEM_LABEL = "PKCS7"
_LABELS = ("PKCS7", "CMS")

_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_DATA = bytes.fromhex("06092a864886f70d010701")
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_CIPHERS = {
    "aes-128-cbc": bytes.fromhex("0609608648016503040102"),
    "aes-256-cbc": bytes.fromhex("060960864801650304012a"),
}
_CIPHER_NAMES = {
    "2.16.840.1.101.3.4.1.2": "aes-128-cbc",
    "2.16.840.1.101.3.4.1.42": "aes-256-cbc",
}
# What asn1crypto raises for bytes that are not what they should be.
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class RecipientInfo:
    """A session key wrapped for one certificate, named by issuer (DER Name) and serial."""

    issuer: bytes
    serial: int
    encrypted_key: bytes

    def to_der(self) -> bytes:
        """Return KeyTransRecipientInfo version 0 (RFC 5652 §6.2.1)."""
        return der.value(
            der.SEQUENCE,
            der.integer(0),
            der.value(der.SEQUENCE, self.issuer, der.integer(self.serial)),
            der.value(der.SEQUENCE, _RSA_ENCRYPTION, der.NULL),
            der.value(der.OCTET_STRING, self.encrypted_key),
        )


@dataclass(frozen=True, slots=True)
class ForeignRecipient:
    """A recipient of a kind that is not opened here; kept as it stands. `fault` says why.

    `issuer` and `serial` are known where the recipient says them.
    """

    der: bytes
    fault: str
    issuer: bytes | None = None
    serial: int | None = None


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
    recipients, foreign = _read_recipients(data)
    if foreign:
        raise EnvelopeError(f"a recipient {foreign[0].fault}")
    return recipients


@dataclass(frozen=True, slots=True)
class Envelope:
    """One media file's envelope. `algorithm` is ``aes-256-cbc`` or ``aes-128-cbc``.

    The order of `recipients` has no meaning: DER sorts them. `version` is 0 unless `foreign`
    recipients ask for another.
    """

    recipients: tuple[RecipientInfo, ...]
    algorithm: str
    iv: bytes
    foreign: tuple[ForeignRecipient, ...] = ()
    version: int = 0

    def __post_init__(self) -> None:
        if self.algorithm not in _CIPHERS:
            raise EnvelopeError(f"the cipher {self.algorithm} is not AES-256-CBC or AES-128-CBC")
        if len(self.iv) != BLOCK_SIZE:
            raise EnvelopeError(f"the envelope's IV has {len(self.iv)} bytes instead of 16")
        if not self.recipients and not self.foreign:
            raise EnvelopeError("the envelope has no recipients")

    def encode(self, ciphertext_size: int | None = None) -> bytes:
        """Return the DER ContentInfo, up to where a ciphertext of that size would follow.

        Without a size it is the whole detached envelope.
        """
        content = der.value(
            der.SEQUENCE, _CIPHERS[self.algorithm], der.value(der.OCTET_STRING, self.iv)
        )
        head = _DATA + content
        if ciphertext_size is not None:
            head += der.header(der.CONTEXT_0, ciphertext_size)
        members = [info.to_der() for info in self.recipients]
        members += [recipient.der for recipient in self.foreign]
        following = ciphertext_size or 0
        head = der.header(der.SEQUENCE, len(head) + following) + head
        head = der.integer(self.version) + der.set_of(members) + head
        head = der.header(der.SEQUENCE, len(head) + following) + head
        head = _ENVELOPED_DATA + der.header(der.CONTEXT_0_CONSTRUCTED, len(head) + following) + head
        return der.header(der.SEQUENCE, len(head) + following) + head

    def to_der(self) -> bytes:
        """Return the detached envelope as DER."""
        return self.encode()

    def to_pem(self) -> str:
        """Return the envelope as PEM: ``BEGIN PKCS7``, lines of 64 characters, LF."""
        return pem.encode(PEM_LABEL, self.to_der())

    @classmethod
    def from_pem(cls, text: str) -> Envelope:
        """Read a PEM envelope with lines of any width, ended by LF, CRLF or nothing."""
        if len(text) > MAX_ENVELOPE_SIZE:
            raise EnvelopeError(f"the envelope has {len(text)} characters, too many for one")
        try:
            blocks = [block for block in pem.find_blocks(text) if block.label in _LABELS]
            if len(blocks) != 1:
                raise EnvelopeError(f"the text holds {len(blocks)} PKCS#7 envelopes instead of one")
            return cls.from_der(pem.decode(blocks[0]))
        except ValueError as error:
            raise EnvelopeError(f"the envelope is not PEM: {error}") from error

    @classmethod
    def from_der(cls, data: bytes) -> Envelope:
        """Read a detached envelope from DER or BER; `EnvelopeError` says what is wrong."""
        if len(data) > MAX_ENVELOPE_SIZE:
            raise EnvelopeError(f"the envelope has {len(data)} bytes, too many for one")
        try:
            return _read_envelope(data)
        except _UNREADABLE as error:
            raise EnvelopeError("the envelope is not PKCS#7 enveloped data, or broken") from error

    def has_recipient(self, certificate: RecordingCertificate) -> bool:
        """Return whether the certificate's key opens this envelope."""
        return any(_is_for(info, certificate) for info in self.recipients)

    def unwrap(
        self, certificate: RecordingCertificate, private_key: rsa.RSAPrivateKey
    ) -> SessionKey:
        """Return the session key, by the recipient of this issuer and serial and never by trial.

        Whatever goes wrong with the wrapped key has one and the same `EnvelopeError`. A changed
        key can come out as another key (RFC 8017 §7.2.2, implicit rejection): the mac tells.
        """
        if not key_matches(certificate, private_key):
            raise EnvelopeError(f"the private key is not the one of {certificate.described}")
        wrapped = self._wrapped_for(certificate)
        refused = EnvelopeError(f"the session key does not open with {certificate.described}")
        if len(wrapped) != (certificate.key_bits + 7) // 8:
            raise refused
        try:
            secret = private_key.decrypt(wrapped, padding.PKCS1v15())
        except ValueError:
            raise refused from None
        if len(secret) != KEY_SIZES[self.algorithm]:
            raise refused
        return SessionKey(secret)

    def _wrapped_for(self, certificate: RecordingCertificate) -> bytes:
        mine = [info for info in self.recipients if _is_for(info, certificate)]
        if len(mine) > 1:
            raise EnvelopeError(f"the envelope names {certificate.described} more than once")
        if mine:
            return mine[0].encrypted_key
        for other in self.foreign:
            if other.serial == certificate.serial and other.issuer == certificate.issuer_der:
                raise EnvelopeError(
                    f"the envelope's recipient {certificate.described} {other.fault}"
                )
        beside = f"; a recipient of it {self.foreign[0].fault}" if self.foreign else ""
        raise EnvelopeError(f"the envelope is not for {certificate.described}{beside}")


def _is_for(info: RecipientInfo, certificate: RecordingCertificate) -> bool:
    return info.serial == certificate.serial and info.issuer == certificate.issuer_der


def _read_envelope(data: bytes) -> Envelope:
    info = cms.ContentInfo.load(data, strict=True)
    kind = cast("str", info["content_type"].native)
    if kind != "enveloped_data":
        raise EnvelopeError(f"the envelope is PKCS#7 {kind}, not enveloped data")
    enveloped = info["content"]
    content = enveloped["encrypted_content_info"]
    if content["encrypted_content"].native:
        raise EnvelopeError("the envelope has its ciphertext inside, as an archive file has")
    recipients, foreign = _read_recipients(enveloped["recipient_infos"].dump())
    return Envelope(
        recipients=recipients,
        algorithm=_read_cipher(content["content_encryption_algorithm"]),
        iv=_read_iv(content["content_encryption_algorithm"]),
        foreign=foreign,
        version=int(enveloped["version"]) if foreign else 0,
    )


def _read_cipher(algorithm: cms.EncryptionAlgorithm) -> str:
    dotted = cast("str", algorithm["algorithm"].dotted)
    if dotted not in _CIPHER_NAMES:
        name = cast("str", algorithm["algorithm"].native)
        raise EnvelopeError(f"the cipher {name} is not AES-256-CBC or AES-128-CBC")
    return _CIPHER_NAMES[dotted]


def _read_iv(algorithm: cms.EncryptionAlgorithm) -> bytes:
    iv = algorithm["parameters"].native
    if not isinstance(iv, bytes):
        raise EnvelopeError("the envelope has no IV")
    return iv


def _read_recipients(
    data: bytes,
) -> tuple[tuple[RecipientInfo, ...], tuple[ForeignRecipient, ...]]:
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
    except _UNREADABLE as error:
        raise EnvelopeError("the envelope's recipients are broken") from error
    return tuple(recipients), tuple(foreign)


def _read_recipient(choice: cms.RecipientInfo) -> RecipientInfo | ForeignRecipient:
    raw = cast("bytes", choice.dump())
    if choice.name != "ktri":
        return ForeignRecipient(raw, f"has no key transport but {choice.name}")
    info = choice.chosen
    if info["rid"].name != "issuer_and_serial_number":
        return ForeignRecipient(raw, "is named by a key identifier, not by issuer and serial")
    issuer = cast("bytes", info["rid"].chosen["issuer"].dump())
    serial = cast("int", info["rid"].chosen["serial_number"].native)
    algorithm = info["key_encryption_algorithm"]["algorithm"]
    if algorithm.dotted != "1.2.840.113549.1.1.1":
        fault = f"has its key wrapped by {algorithm.native}, not by PKCS#1 v1.5"
        return ForeignRecipient(raw, fault, issuer, serial)
    return RecipientInfo(issuer, serial, cast("bytes", info["encrypted_key"].native))
