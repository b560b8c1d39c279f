"""PKCS#12 files of others, with any number of keys: what keytool, OpenSSL and the like write.

`cryptography` checks the MAC, decrypts the certificates and one key; the structure (RFC 7292) is
walked here for the other keys and for the aliases. How long a password may be derived is bounded
before anything is derived.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Final

from asn1crypto import cms, pkcs12
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.hazmat.primitives.serialization import pkcs12 as whole

from crypto_server.errors import KeystoreError
from crypto_server.keystore.key_entry import password_bytes
from recording_format.object_identifiers import check_object_identifiers

_MOST_ROUNDS: Final = 20_000_000
_MOST_BAGS: Final = 10_000
_MAC_DIGESTS: Final = ("sha1", "sha224", "sha256", "sha384", "sha512")
_KEY_BAGS: Final = ("key_bag", "pkcs8_shrouded_key_bag")
#: What asn1crypto raises for bytes that are not what they should be.
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True)
class NamedCertificate:
    """A certificate in DER and the alias that it has in the file, if any."""

    alias: str
    der: bytes


@dataclass(frozen=True)
class NamedKey:
    """A private key of any kind, and its alias."""

    alias: str
    key: object = field(repr=False)


@dataclass(frozen=True)
class Pkcs12Content:
    """Everything of a PKCS#12 file."""

    keys: tuple[NamedKey, ...]
    certificates: tuple[NamedCertificate, ...]


def read_pkcs12(data: bytes, password: str, *, name: str) -> Pkcs12Content:
    """Read a PKCS#12 file whose MAC `password` proves; `name` is for error texts.

    Raises `KeystoreError`: broken, without MAC, another password, or encrypted in a way that is not
    read here.
    """
    bags = _checked_bags(data, name)
    secret = password_bytes(password)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # serials of zero and the like disturb nobody here
            content = whole.load_pkcs12(data, secret)
    except (ValueError, TypeError, InternalError, UnsupportedAlgorithm):
        raise KeystoreError(
            f"{name} does not open: its password is another one, it is cut or changed, or it is"
            f" encrypted in a way that is not read; `keytool -importkeystore -srckeystore {name}"
            " -destkeystore new.p12 -deststoretype PKCS12` makes one that is"
        ) from None
    certificates = ([content.cert] if content.cert else []) + content.additional_certs
    keys = [_open_key(bag, password, name) for bag in bags if bag["bag_id"].native in _KEY_BAGS]
    if not keys and content.key is not None:
        keys = [NamedKey(_friendly(content.cert), content.key)]
    return Pkcs12Content(
        tuple(keys),
        tuple(
            NamedCertificate(_friendly(one), one.certificate.public_bytes(Encoding.DER))
            for one in certificates
        ),
    )


def _checked_bags(data: bytes, name: str) -> list[Any]:
    """Return the bags that are not encrypted as a whole, after the bounds have been checked."""
    try:
        check_object_identifiers(data)
        pfx = pkcs12.Pfx.load(data, strict=True)
        if not isinstance(pfx["mac_data"], pkcs12.MacData):
            raise KeystoreError(f"{name} has no integrity check (MAC), so it is not believed")
        if pfx["mac_data"]["mac"]["digest_algorithm"]["algorithm"].native not in _MAC_DIGESTS:
            # PBMAC1 (RFC 9579) among others: it says its rounds in a place of its own.
            raise KeystoreError(f"{name} has an integrity check (MAC) of a kind that is not read")
        check_object_identifiers(pfx["auth_safe"]["content"].native)
        rounds = [pfx["mac_data"]["iterations"].native]
        bags: list[Any] = []
        for info in pfx.authenticated_safe:
            if isinstance(info["content"], cms.EncryptedData):
                encrypted = info["content"]["encrypted_content_info"]
                rounds.append(_rounds(encrypted["content_encryption_algorithm"], name))
            else:
                contents = info["content"].native
                check_object_identifiers(contents)
                bags += list(pkcs12.SafeContents.load(contents))
        for bag in bags:
            if bag["bag_id"].native == "safe_contents":  # its keys would be left out, and its work
                raise KeystoreError(f"{name} has entries inside entries, which are not read")
            if bag["bag_id"].native == "pkcs8_shrouded_key_bag":
                rounds.append(_rounds(bag["bag_value"]["encryption_algorithm"], name))
    except _BROKEN:
        raise KeystoreError(f"{name} is not a PKCS#12 file that can be read") from None
    if len(bags) > _MOST_BAGS or sum(rounds) > _MOST_ROUNDS:
        raise KeystoreError(f"{name} asks for more work than a keystore may")
    return bags


def _rounds(algorithm: Any, name: str) -> int:
    """Return how often a key is derived for an encryption; other ways than these are not read."""
    if algorithm.kdf not in ("pbkdf2", "pkcs12_kdf"):
        raise KeystoreError(f"{name} derives its keys in a way that is not read")
    return int(algorithm.kdf_iterations)


def _open_key(bag: Any, password: str, name: str) -> NamedKey:
    alias = _alias(bag)
    encrypted = bag["bag_id"].native == "pkcs8_shrouded_key_bag"
    secret = password.encode() if encrypted else None
    try:
        key = load_der_private_key(bag["bag_value"].untag().dump(), secret)
    except (*_BROKEN, InternalError, UnsupportedAlgorithm):
        raise KeystoreError(
            f"the key of the entry {alias!r} of {name} does not open with the password of the file"
        ) from None
    return NamedKey(alias, key)


def _alias(bag: Any) -> str:
    try:
        for attribute in bag["bag_attributes"] or ():
            if attribute["type"].native == "friendly_name":
                return str(attribute["values"][0].native)
    except _BROKEN:
        return ""
    return ""


def _friendly(certificate: whole.PKCS12Certificate | None) -> str:
    named = certificate.friendly_name if certificate else None
    return named.decode(errors="replace") if named else ""
