"""One entry of the keystore: a recording certificate, its private key and its alias, as PKCS#12.

The form is what Java's keytool and OpenSSL read: PBES2 with AES-256-CBC and an HMAC-SHA-256 over
the whole, the alias as the friendly name. The file names tell nothing: a digest of the certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs12

from crypto_server.errors import KeystoreError
from recording_format.certificates import RecordingCertificate, read_x509
from recording_format.errors import CertificateError

# The MAC's own rounds are the library's 2048 and cannot be set: only a password of real entropy
# protects a stolen file, more rounds here would not.
_KDF_ROUNDS = 20_000


def password_bytes(password: str) -> bytes:
    """Return a PKCS#12 file's password as OpenSSL takes it, who stops at a zero character.

    What would be written under a password with one could never be read again.

    Raises `KeystoreError`.
    """
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        raise KeystoreError("the password is not made of whole characters") from None
    if b"\0" in secret:
        raise KeystoreError("a keystore password cannot have a zero character")
    return secret


@dataclass(frozen=True)
class KeyEntry:
    """A private key with the certificate that it opens envelopes for."""

    alias: str
    certificate: RecordingCertificate
    private_key: RSAPrivateKey = field(repr=False)

    @property
    def file_name(self) -> str:
        """The name of this entry's file: SHA-256 of the certificate's DER, in hex, and ``.p12``."""
        return f"{self.certificate.fingerprint}.p12"

    def to_pkcs12(self, password: str) -> bytes:
        """Return the entry as a PKCS#12 file (RFC 7292) encrypted with `password`.

        Raises `KeystoreError` for a password that PKCS#12 cannot have.
        """
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(_KDF_ROUNDS)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(password_bytes(password))
        )
        return pkcs12.serialize_key_and_certificates(
            self.alias.encode(),
            self.private_key,
            read_x509(self.certificate.der, self.alias),
            None,
            encryption,
        )

    @classmethod
    def from_pkcs12(cls, data: bytes, password: str, *, name: str) -> KeyEntry:
        """Read a PKCS#12 file with one RSA key and its certificate; `name` is for error texts.

        An entry without a friendly name gets its file name as alias.

        Raises `KeystoreError` when the password is wrong or the file holds something else.
        """
        secret = password_bytes(password)
        try:
            content = pkcs12.load_pkcs12(data, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            message = f"{name} is not a PKCS#12 file that the keystore password opens"
            raise KeystoreError(message) from None
        if content.cert is None or not isinstance(content.key, RSAPrivateKey):
            raise KeystoreError(f"{name} does not hold an RSA key with its certificate")
        der = content.cert.certificate.public_bytes(Encoding.DER)
        try:
            certificate = RecordingCertificate.from_der(der, name=name)
            alias = (content.cert.friendly_name or name.encode()).decode()
        except (CertificateError, UnicodeDecodeError):
            raise KeystoreError(f"{name} holds a certificate that cannot be used") from None
        return cls(alias, certificate, content.key)
