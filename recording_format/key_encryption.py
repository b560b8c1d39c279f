"""How a private key's PEM is encrypted: the cipher's name, and what deriving its key costs.

PKCS#8's EncryptedPrivateKeyInfo (RFC 5958 §3) says it in ASN.1, the older form in a header
(RFC 1421 §4.6.1.3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from asn1crypto import core, keys

from . import pem
from .object_identifiers import check_object_identifiers

# The whole process stands still meanwhile: a second or so, several times what is in use.
_MAX_ROUNDS = 2_000_000
_MAX_MEMORY = 128 * 1024 * 1024
_MAX_WORK = 256 * 1024 * 1024
_DEK_INFO = re.compile(r"^DEK-Info:[ \t]*([A-Za-z0-9-]{1,40})", re.MULTILINE)
_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_CIPHERS = {
    "1.2.840.113549.1.5.1": "DES with MD2",
    "1.2.840.113549.1.5.3": "DES with MD5",
    "1.2.840.113549.1.5.4": "RC2 with MD2",
    "1.2.840.113549.1.5.6": "RC2 with MD5",
    "1.2.840.113549.1.5.10": "DES with SHA-1",
    "1.2.840.113549.1.5.11": "RC2 with SHA-1",
    "1.2.840.113549.1.12.1.1": "128-bit RC4",
    "1.2.840.113549.1.12.1.2": "40-bit RC4",
    "1.2.840.113549.1.12.1.3": "triple DES",
    "1.2.840.113549.1.12.1.4": "two-key triple DES",
    "1.2.840.113549.1.12.1.5": "128-bit RC2",
    "1.2.840.113549.1.12.1.6": "40-bit RC2",
    "1.2.840.113549.3.2": "RC2-CBC",
    "1.2.840.113549.3.4": "RC4",
    "1.2.840.113549.3.7": "DES-EDE3-CBC",
    "1.2.840.113533.7.66.10": "CAST5-CBC",
    "1.3.6.1.4.1.3029.1.2": "BF-CBC",
    "1.3.14.3.2.7": "DES-CBC",
    "1.2.410.200004.1.4": "SEED-CBC",
    "1.2.156.10197.1.104.2": "SM4-CBC",
    "1.2.410.200046.1.1.2": "ARIA-128-CBC",
    "1.2.410.200046.1.1.7": "ARIA-192-CBC",
    "1.2.410.200046.1.1.12": "ARIA-256-CBC",
    "1.2.392.200011.61.1.1.1.2": "CAMELLIA-128-CBC",
    "1.2.392.200011.61.1.1.1.3": "CAMELLIA-192-CBC",
    "1.2.392.200011.61.1.1.1.4": "CAMELLIA-256-CBC",
} | {
    f"2.16.840.1.101.3.4.1.{first + offset}": f"AES-{bits}-{mode}"
    for bits, first in ((128, 1), (192, 21), (256, 41))
    for offset, mode in enumerate(("ECB", "CBC", "OFB", "CFB", "WRAP", "GCM"))
}  # fmt: skip

_USUAL = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "DES-EDE3-CBC", "triple DES"}


class _ScryptParameters(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    """RFC 7914 §7.1."""

    _fields = [  # noqa: RUF012  # asn1crypto's way
        ("salt", core.OctetString),
        ("cost", core.Integer),
        ("block_size", core.Integer),
        ("parallelization", core.Integer),
        ("key_length", core.Integer, {"optional": True}),
    ]


@dataclass(frozen=True, slots=True)
class KeyEncryption:
    """The cipher as messages name it, and whether deriving its key costs more than it may."""

    cipher: str
    too_costly: bool = False

    @property
    def usual(self) -> bool:
        """Whether every reader has the cipher, so that only the password can be wrong."""
        return self.cipher in _USUAL


def key_encryption(block: pem.Block) -> KeyEncryption | None:
    """Return how the key in `block` is encrypted, None when it is not.

    `ValueError` when it says that it is, and not how.
    """
    if block.label == "ENCRYPTED PRIVATE KEY":
        try:
            return _pkcs8(pem.decode(block))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError("what it says of its encryption cannot be read") from None
    if "ENCRYPTED" not in block.body[:200]:
        return None
    header = _DEK_INFO.search(block.body)
    if header is None:
        raise ValueError("it is encrypted, and does not say by which cipher")
    return KeyEncryption(header[1].upper())


def _pkcs8(data: bytes) -> KeyEncryption:
    check_object_identifiers(data)
    algorithm = keys.EncryptedPrivateKeyInfo.load(data)["encryption_algorithm"]
    kind = algorithm["algorithm"].dotted
    if kind != _PBES2:
        rounds = algorithm["parameters"]["iterations"].native if kind in _CIPHERS else 0
        return KeyEncryption(_CIPHERS.get(kind, kind), rounds > _MAX_ROUNDS)
    scheme = algorithm["parameters"]["encryption_scheme"]["algorithm"].dotted
    derivation = algorithm["parameters"]["key_derivation_func"]
    return KeyEncryption(_CIPHERS.get(scheme, scheme), _too_costly(derivation))


def _too_costly(derivation: keys.KdfAlgorithm) -> bool:
    kind, parameters = derivation["algorithm"].dotted, derivation["parameters"]
    if kind == _PBKDF2:
        return bool(parameters["iteration_count"].native > _MAX_ROUNDS)
    if kind == _SCRYPT:
        read = parameters.parse(_ScryptParameters)
        memory = 128 * read["cost"].native * read["block_size"].native
        work = memory * read["parallelization"].native
        return bool(memory > _MAX_MEMORY or work > _MAX_WORK)
    return False
