"""Private keys of recording certificates: RSA, in the three PEM forms that administrators have.

``BEGIN RSA PRIVATE KEY``, ``BEGIN PRIVATE KEY`` and ``BEGIN ENCRYPTED PRIVATE KEY``. Errors name
the key and what is wrong, never its contents or its password.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from . import pem
from .certificates import RecordingCertificate
from .errors import PrivateKeyError

MAX_KEY_TEXT = 256 * 1024
LABELS = ("RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")


def load_private_key(text: bytes, password: str | None = None, *, name: str) -> rsa.RSAPrivateKey:
    """Read the one private key of a PEM text. An empty password is none.

    `PrivateKeyError`, naming `name`: ruined, not RSA, password missing, wrong or not needed.
    """
    block = _only_key(text, name)
    encrypted = block.label == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in block.body[:200]
    if encrypted and not password:
        raise PrivateKeyError(f"the private key {name} is encrypted, and its password is missing")
    if password and not encrypted:
        raise PrivateKeyError(f"the private key {name} is not encrypted, but has a password given")
    key = _load(block, password.encode("utf-8", "surrogateescape") if password else None, name)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PrivateKeyError(f"the private key {name} is not an RSA key")
    return key


def key_matches(certificate: RecordingCertificate, key: rsa.RSAPrivateKey) -> bool:
    """Return whether `key` is the private half of the certificate's key."""
    return key.public_key().public_numbers() == certificate.public_key.public_numbers()


def _only_key(text: bytes, name: str) -> pem.Block:
    if len(text) > MAX_KEY_TEXT:
        raise PrivateKeyError(f"the private key {name} has {len(text)} bytes, too many for a key")
    try:
        readable = text.decode("latin-1")
        blocks = pem.find_blocks(readable)
    except ValueError:
        raise PrivateKeyError(f"the private key {name} is ruined: a block does not end") from None
    found = [block for block in blocks if block.label.endswith("PRIVATE KEY")]
    if len(found) != 1:
        raise PrivateKeyError(f"{name} holds {len(found)} private keys in PEM instead of one")
    if found[0].label not in LABELS:
        raise PrivateKeyError(
            f"the private key {name} is a {found[0].label}, but the forms that are read are "
            + ", ".join(LABELS)
        )
    if not pem.has_line_ends(readable, found[0]):
        raise PrivateKeyError(
            f"the private key {name} is ruined: the line ends of its PEM text are lost"
        )
    return found[0]


def _load(block: pem.Block, password: bytes | None, name: str) -> PrivateKeyTypes:
    text = f"-----BEGIN {block.label}-----{block.body}-----END {block.label}-----\n"
    try:
        return load_pem_private_key(text.encode("latin-1"), password)
    except UnsupportedAlgorithm:
        raise PrivateKeyError(
            f"the private key {name} is of a kind, or encrypted by a cipher, that is not supported"
        ) from None
    except (ValueError, TypeError):
        fault = "it is ruined"
        if password:
            fault = "its password is wrong, it is ruined, or its cipher is not supported"
        raise PrivateKeyError(f"the private key {name} cannot be read: {fault}") from None
