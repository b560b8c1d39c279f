"""Private keys of recording certificates: RSA, in the three PEM forms that administrators have.

``BEGIN RSA PRIVATE KEY``, ``BEGIN PRIVATE KEY`` and ``BEGIN ENCRYPTED PRIVATE KEY``. Errors name
the key and what is wrong, never its contents or its password.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import crypto

from . import pem
from .certificates import RecordingCertificate
from .errors import PrivateKeyError
from .key_encryption import KeyEncryption, key_encryption

MAX_KEY_TEXT = 256 * 1024
# A key of 16,384 bits, OpenSSL's largest; checking the numbers of larger ones takes many seconds.
_MAX_BLOCK = 16 * 1024
LABELS = ("RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
_OTHER_FORMS = {
    "EC PRIVATE KEY": "is an EC key, not an RSA key",
    "DSA PRIVATE KEY": "is a DSA key, not an RSA key",
    "OPENSSH PRIVATE KEY": "is in OpenSSH's form; `ssh-keygen -p -m PEM -f FILE` converts it",
}
_MAX_PASSWORD = 1024
# The last is for absurd numbers, such as a scrypt cost that is no power of two.
_UNUSABLE = (UnsupportedAlgorithm, ValueError, TypeError, InternalError)


def load_private_key(text: bytes, password: str | None = None, *, name: str) -> rsa.RSAPrivateKey:
    """Read the one private key of a PEM text. An empty password is none.

    `PrivateKeyError`, naming `name`: ruined, not RSA, password missing, wrong or not needed, or
    encrypted by a cipher that is named and not supported.
    """
    block = _only_key(text, name)
    who = f"the private key {name}"
    try:
        encryption = key_encryption(block)
    except ValueError as error:
        raise PrivateKeyError(f"{who} is ruined: {error}") from None
    if encryption is None:
        if password:
            raise PrivateKeyError(f"{who} is not encrypted, but has a password given")
        key = _plain(block, who)
    else:
        key = _opened(block, encryption, password or "", who)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PrivateKeyError(f"{who} is {_kind(key)}, not an RSA key")
    return key


def key_matches(certificate: RecordingCertificate, key: rsa.RSAPrivateKey) -> bool:
    """Return whether `key` is the private half of the certificate's key."""
    return key.public_key().public_numbers() == certificate.public_key.public_numbers()


def check_key_matches(
    certificate: RecordingCertificate, key: rsa.RSAPrivateKey, *, name: str
) -> None:
    """Raise a `PrivateKeyError`, naming the key by `name`, unless it is the certificate's."""
    if not key_matches(certificate, key):
        raise PrivateKeyError(f"the private key {name} does not belong to {certificate.described}")


def _only_key(text: bytes, name: str) -> pem.Block:
    if len(text) > MAX_KEY_TEXT:
        raise PrivateKeyError(f"the private key {name} has {len(text)} bytes, too many for a key")
    readable = pem.decoded_text(text)
    try:
        blocks = pem.find_blocks(readable)
    except ValueError:
        raise PrivateKeyError(f"the private key {name} is ruined: a block does not end") from None
    found = [block for block in blocks if block.label.endswith("PRIVATE KEY")]
    if len(found) > 1:
        raise PrivateKeyError(f"{name} holds {len(found)} private keys in PEM instead of one")
    if not found:
        held = f"a {blocks[0].label}, but no private key" if blocks else "no private key in PEM"
        raise PrivateKeyError(f"{name} holds {held}")
    if found[0].label not in LABELS:
        fault = _OTHER_FORMS.get(found[0].label)
        fault = fault or f"is a {found[0].label}, but the forms that are read are {_listed()}"
        raise PrivateKeyError(f"the private key {name} {fault}")
    if len(found[0].body) > _MAX_BLOCK:
        raise PrivateKeyError(f"the private key {name} is larger than one of 16,384 bits")
    if not pem.has_line_ends(readable, found[0]):
        raise PrivateKeyError(
            f"the private key {name} is ruined: the line ends of its PEM text are lost"
        )
    return found[0]


def _listed() -> str:
    return ", ".join(LABELS)


def _plain(block: pem.Block, who: str) -> object:
    try:
        return load_pem_private_key(_as_pem(block), None)
    except UnsupportedAlgorithm:
        raise PrivateKeyError(f"{who} is of a kind that is not supported, not an RSA key") from None
    except _UNUSABLE:
        raise PrivateKeyError(f"{who} cannot be read: it is ruined") from None


def _opened(block: pem.Block, encryption: KeyEncryption, password: str, who: str) -> object:
    """Decrypt a key; what `cryptography` does not know, OpenSSL may."""
    if not password:
        raise PrivateKeyError(
            f"{who} is encrypted, and its password is missing ({encryption.cipher})"
        )
    if encryption.too_costly:
        raise PrivateKeyError(f"{who} is not opened: deriving its key would take too long")
    secret = password.encode("utf-8", "surrogateescape")
    if len(secret) > _MAX_PASSWORD:
        raise PrivateKeyError(f"the password of {who} has over {_MAX_PASSWORD} bytes")
    try:
        return load_pem_private_key(_as_pem(block), secret)
    except _UNUSABLE:
        pass
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, _as_pem(block), secret)
        return key.to_cryptography_key()
    except (crypto.Error, *_UNUSABLE):
        fault = "its password is wrong, or it is ruined"
        if not encryption.usual:
            fault = f"its password is wrong, it is ruined, or {encryption.cipher} is not supported"
        raise PrivateKeyError(f"{who} cannot be opened: {fault}") from None


def _as_pem(block: pem.Block) -> bytes:
    text = f"-----BEGIN {block.label}-----{block.body}-----END {block.label}-----\n"
    return text.encode("latin-1", "replace")


def _kind(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "an EC key"
    if isinstance(key, dsa.DSAPrivateKey):
        return "a DSA key"
    return f"an {type(key).__name__.removesuffix('PrivateKey')} key"
