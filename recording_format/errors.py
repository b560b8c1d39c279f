"""What can be wrong with a recording, its keys and its papers.

Every message is one plain sentence that names the thing, and never holds a secret::

    RecordingFormatError
    ├── CertificateError            a certificate, a CA file or their text
    │   ├── CertificateUnreadable   not one X.509 certificate in PEM
    │   └── CertificateRefused      readable, but it may not be used to record
    │       ├── CertificateNotRsa
    │       ├── CertificateKeyTooSmall
    │       ├── CertificateExpired
    │       ├── CertificateNotYetValid
    │       ├── CertificateAlgorithmForbidden
    │       ├── CertificateSignatureWrong
    │       ├── CertificateIssuerNotCa
    │       ├── CertificatePathTooLong
    │       └── CertificateUntrusted
    ├── PrivateKeyError             a private key's text or its password
    ├── EnvelopeError               a PKCS#7 envelope, or no recipient of it
    ├── ArchiveError                an archive file's beginning
    ├── CiphertextError             a ciphertext that is cut or does not decrypt
    ├── IntegrityError              bytes that are not the ones that were recorded
    ├── FileNameError               a file name's template, serial or extension
    └── MetadataError               metadata that is missing or not as it should be

None of them is helped by trying again with the same input; only `CertificateNotYetValid` ends by
itself.
"""

from __future__ import annotations

from typing import ClassVar


class RecordingFormatError(Exception):
    """The base of all errors of this package; its text is one sentence for people."""


class CertificateError(RecordingFormatError):
    """A certificate that cannot be used. `reason` is a short word for counters and answers."""

    reason: ClassVar[str] = "unusable"


class CertificateUnreadable(CertificateError):
    """The text is not one X.509 certificate in PEM."""

    reason = "unreadable"


class CertificateRefused(CertificateError):
    """The certificate can be read, but it may not be used to record."""

    reason = "refused"


class CertificateNotRsa(CertificateRefused):
    """The key is not an RSA key that may encrypt."""

    reason = "not-rsa"


class CertificateKeyTooSmall(CertificateRefused):
    """The RSA modulus has fewer bits than the floor."""

    reason = "key-too-small"


class CertificateExpired(CertificateRefused):
    """The certificate, or one above it in its chain, is no longer valid."""

    reason = "expired"


class CertificateNotYetValid(CertificateRefused):
    """The certificate, or one above it in its chain, is not valid yet."""

    reason = "not-yet-valid"


class CertificateAlgorithmForbidden(CertificateRefused):
    """A signature of the chain uses a digest that is forged too easily: MD5, or SHA-1."""

    reason = "algorithm"


class CertificateSignatureWrong(CertificateRefused):
    """A signature of the chain is not by the key of the CA that it names."""

    reason = "signature"


class CertificateIssuerNotCa(CertificateRefused):
    """A certificate of the chain is signed by one that is no CA, or may not sign certificates."""

    reason = "issuer-not-ca"


class CertificatePathTooLong(CertificateRefused):
    """A CA of the chain allows fewer CAs below it."""

    reason = "path-length"


class CertificateUntrusted(CertificateRefused):
    """No chain leads to a root of the CA file, or one breaks a rule that has no other error."""

    reason = "untrusted"


_CERTIFICATE_FAULTS: tuple[type[CertificateError], ...] = (
    CertificateUnreadable,
    *CertificateRefused.__subclasses__(),
)
#: The words for counters of everything that can be wrong with a certificate.
CERTIFICATE_REASONS = tuple(kind.reason for kind in _CERTIFICATE_FAULTS)


class PrivateKeyError(RecordingFormatError):
    """A private key that cannot be read with what was given."""


class EnvelopeError(RecordingFormatError):
    """An envelope that cannot be read or opened."""


class ArchiveError(RecordingFormatError):
    """The beginning of an archive file cannot be read."""


class CiphertextError(RecordingFormatError):
    """A ciphertext that is cut, or does not decrypt under this key."""


class IntegrityError(RecordingFormatError):
    """The bytes are not those that were recorded, or nobody can tell."""


class FileNameError(RecordingFormatError):
    """A file name cannot be made from this template, serial or extension."""


class MetadataError(RecordingFormatError):
    """Metadata that is missing or wrong; `path` says where, for example ``mediaFiles[0].size``."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(f"{path} {fault}")
        self.path = path
        self.fault = fault
