"""The PKCS#7 envelope: the session key for each recipient, and the IV, without the ciphertext.

Written in the one form that every reader opens: EnvelopedData version 0, one RecipientInfo version
0 per certificate (issuer and serial, rsaEncryption with PKCS#1 v1.5), detached, DER (RFC 5652 §6,
RFC 3370 §4.2.1). Read: any PEM line width and line end, DER and BER, recipients of other kinds
beside ours, which stay as they are when recipients are added and removed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import rsa

from . import der, pem
from .certificates import RecordingCertificate
from .cipher import BLOCK_SIZE
from .errors import EnvelopeError
from .object_identifiers import check_object_identifiers
from .private_keys import key_matches
from .recipients import (
    MAX_RECIPIENTS,
    UNREADABLE,
    ForeignRecipient,
    RecipientInfo,
    RecipientName,
    WrappedKey,
    decode_recipients,
    encode_recipients,
    read_recipients,
    wrap_session_key,
)
from .session_key import KEY_SIZES, SessionKey

__all__ = [
    "MAX_ENVELOPE_SIZE",
    "MAX_RECIPIENTS",
    "PEM_LABEL",
    "Envelope",
    "ForeignRecipient",
    "RecipientInfo",
    "RecipientName",
    "decode_recipients",
    "encode_recipients",
    "wrap_session_key",
]

#: Largest envelope that is read, in bytes or characters.
MAX_ENVELOPE_SIZE = 1024 * 1024
PEM_LABEL = "PKCS7"
_LABELS = ("PKCS7", "CMS")

_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_DATA = bytes.fromhex("06092a864886f70d010701")
_CIPHERS = {
    "aes-128-cbc": bytes.fromhex("0609608648016503040102"),
    "aes-256-cbc": bytes.fromhex("060960864801650304012a"),
}
_CIPHER_NAMES = {
    "2.16.840.1.101.3.4.1.2": "aes-128-cbc",
    "2.16.840.1.101.3.4.1.42": "aes-256-cbc",
}
_SUBSTITUTE = b"reclab substitute of a session key 1"


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
            check_object_identifiers(data)
            return _read_envelope(data)
        except UNREADABLE as error:
            raise EnvelopeError("the envelope is not PKCS#7 enveloped data, or broken") from error

    def has_recipient(self, certificate: RecordingCertificate) -> bool:
        """Return whether the certificate's key opens this envelope."""
        return bool(self._wrapped_keys(certificate))

    def with_recipients(
        self, certificates: Sequence[RecordingCertificate], session_key: SessionKey
    ) -> Envelope:
        """Return the envelope for these certificates too; one that is a recipient stays as it is.

        `session_key` is this envelope's, as `unwrap` gave it and a mac or a look at the plaintext
        proved it. Cipher, IV and recipients stay byte for byte. (Attributes and the originator's
        certificates, which CMS allows and no recording has, do not outlive any re-writing.)

        `EnvelopeError` when the key is not of this cipher or there would be too many recipients.
        """
        if session_key.algorithm != self.algorithm:
            raise EnvelopeError(
                f"the session key is for {session_key.algorithm}, the envelope has {self.algorithm}"
            )
        new = [one for one in certificates if not self.has_recipient(one)]
        if not new:
            return self
        recipients = (*self.recipients, *wrap_session_key(session_key, new))
        if len(recipients) + len(self.foreign) > MAX_RECIPIENTS:
            raise EnvelopeError(f"the envelope would have more than {MAX_RECIPIENTS} recipients")
        return replace(self, recipients=recipients)

    def without_recipient(self, recipient: RecordingCertificate | RecipientName) -> Envelope:
        """Return the envelope without the recipient of this certificate, or issuer and serial.

        `EnvelopeError` when it is not one, or when nobody that is opened here would be left.
        """
        removed = [one for one in self._members() if _is_meant(one, recipient)]
        if not removed:
            raise EnvelopeError(f"the envelope is not for {_described(recipient)}")
        recipients = tuple(one for one in self.recipients if one not in removed)
        foreign = tuple(one for one in self.foreign if one not in removed)
        if not recipients and not any(one.wrapped for one in foreign):
            raise EnvelopeError(
                f"{_described(recipient)} is the envelope's last recipient: nobody could open it"
            )
        version = self.version if foreign else 0
        return replace(self, recipients=recipients, foreign=foreign, version=version)

    def unwrap(
        self, certificate: RecordingCertificate, private_key: rsa.RSAPrivateKey
    ) -> SessionKey:
        """Return the session key, by the recipient of this issuer and serial and never by trial.

        Whatever goes wrong with the wrapped key has one and the same `EnvelopeError`. A changed
        key can come out as another key (OpenSSL's implicit rejection): the mac tells.

        For whoever holds the private key. Where strangers can send envelopes and see what becomes
        of them, `unwrap_blindly` tells them nothing.
        """
        secret = self._wrapped_for(certificate, private_key).open(private_key)
        if len(secret) != KEY_SIZES[self.algorithm]:
            raise EnvelopeError(f"the session key does not open with {certificate.described}")
        return SessionKey(secret)

    def unwrap_blindly(
        self, certificate: RecordingCertificate, private_key: rsa.RSAPrivateKey
    ) -> SessionKey:
        """Return the session key, or in its place a substitute that nobody can tell from one.

        A wrapped key with wrong padding or of wrong length gives a key too (RFC 3218 §2.3.2): the
        first bytes of an HMAC of the wrapped key under a key that is made of the private key, so
        that asking again gives no other. The work is the same in each case: one HMAC, one RSA
        operation. What is decided with the key later (mac, padding, look of the plaintext) must
        have one answer.

        `EnvelopeError` only for what anybody sees in envelope and certificate: no recipient of
        this name, or two, one of a kind that is not opened, or the private key of another
        certificate.
        """
        wrapped = self._wrapped_for(certificate, private_key)
        size = KEY_SIZES[self.algorithm]
        substitute = _substitute(private_key, wrapped.encrypted_key)[:size]
        secret = wrapped.open(private_key)
        return SessionKey(secret if len(secret) == size else substitute)

    def unwrap_any(self, private_key: rsa.RSAPrivateKey) -> list[SessionKey]:
        """Return what comes out for a private key whose certificate is not at hand.

        All recipients whose wrapped key is as long as the modulus are opened; a session key of
        another length is left out. Wrong keys may be among them (implicit rejection): the mac, or
        the look of the plaintext, must tell. For whoever holds the private key, not for servers.
        """
        length = (private_key.key_size + 7) // 8
        found: list[SessionKey] = []
        for one in self._members():
            if one.wrapped is None or len(one.wrapped.encrypted_key) != length:
                continue
            secret = one.wrapped.open(private_key)
            if len(secret) == KEY_SIZES[self.algorithm] and SessionKey(secret) not in found:
                found.append(SessionKey(secret))
        return found

    def _wrapped_for(
        self, certificate: RecordingCertificate, private_key: rsa.RSAPrivateKey
    ) -> WrappedKey:
        if not key_matches(certificate, private_key):
            raise EnvelopeError(f"the private key is not the one of {certificate.described}")
        mine = self._wrapped_keys(certificate)
        if len(mine) > 1:
            raise EnvelopeError(f"the envelope names {certificate.described} more than once")
        if mine:
            return mine[0]
        for other in self.foreign:
            if other.is_for(certificate):
                raise EnvelopeError(
                    f"the envelope's recipient {certificate.described} {other.fault}"
                )
        faults = [other.fault for other in self.foreign if other.fault]
        beside = f"; a recipient of it {faults[0]}" if faults else ""
        raise EnvelopeError(f"the envelope is not for {certificate.described}{beside}")

    def _wrapped_keys(self, certificate: RecordingCertificate) -> list[WrappedKey]:
        return [
            one.wrapped
            for one in self._members()
            if one.wrapped is not None and one.is_for(certificate)
        ]

    def _members(self) -> tuple[RecipientInfo | ForeignRecipient, ...]:
        return (*self.recipients, *self.foreign)


def _is_meant(
    one: RecipientInfo | ForeignRecipient, recipient: RecordingCertificate | RecipientName
) -> bool:
    if isinstance(recipient, RecipientName):
        return one.is_named(recipient)
    return one.is_for(recipient)


def _described(recipient: RecordingCertificate | RecipientName) -> str:
    if isinstance(recipient, RecipientName):
        return f"the recipient of serial {recipient.serial}"
    return recipient.described


def _substitute(private_key: rsa.RSAPrivateKey, encrypted_key: bytes) -> bytes:
    """Return 32 bytes that only holders of the private key can foresee."""
    exponent = private_key.private_numbers().d
    length = (private_key.key_size + 7) // 8
    secret = hashlib.sha256(_SUBSTITUTE + exponent.to_bytes(length, "big")).digest()
    return hmac.digest(secret, encrypted_key, "sha256")


def _read_envelope(data: bytes) -> Envelope:
    info = cms.ContentInfo.load(data, strict=True)
    kind = cast("str", info["content_type"].native)
    if kind != "enveloped_data":
        raise EnvelopeError(f"the envelope is PKCS#7 {kind}, not enveloped data")
    enveloped = info["content"]
    content = enveloped["encrypted_content_info"]
    if content["encrypted_content"].native:
        raise EnvelopeError("the envelope has its ciphertext inside, as an archive file has")
    recipients, foreign = read_recipients(enveloped["recipient_infos"].dump())
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
