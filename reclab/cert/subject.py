"""A subject as people type it for OpenSSL: ``/CN=Genesys Recording/C=US/ST=California/O=Genesys``.

The order is kept. A backslash takes the next character as it is, ``+`` joins the attributes of one
RDN. An attribute that nobody knows is left out with a warning, as OpenSSL does it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from service_shell.settings import SettingsError

_KINDS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "SN": NameOID.SURNAME,
    "GN": NameOID.GIVEN_NAME,
    "title": NameOID.TITLE,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
}
_BY_LOWER = {name.lower(): kind for name, kind in _KINDS.items()} | {
    "e": NameOID.EMAIL_ADDRESS,
    "email": NameOID.EMAIL_ADDRESS,
    "s": NameOID.STATE_OR_PROVINCE_NAME,
}
_PIECE = re.compile(r"(?:\\.|[^\\/+])*", re.DOTALL)


class Subject(NamedTuple):
    """A name, and sentences about what was left out."""

    name: x509.Name
    warnings: tuple[str, ...]


def parse_subject(text: str) -> Subject:
    """Read a subject. Raises `SettingsError` for what is none."""
    if not text.startswith("/"):
        raise SettingsError(f"the subject {text!r} does not begin with a slash, as /CN=Name does")
    rdns: list[list[x509.NameAttribute[str]]] = []
    warnings: list[str] = []
    at = 0
    while at < len(text):
        begins, at = text[at], at + 1
        piece = _PIECE.match(text, at)
        assert piece is not None
        at = piece.end()
        if at < len(text) and text[at] == "\\":
            raise SettingsError(f"the subject {text!r} ends with a backslash")
        attribute = _attribute(piece[0], warnings)
        if attribute is not None and begins == "+" and rdns:
            rdns[-1].append(attribute)
        elif attribute is not None:
            rdns.append([attribute])
    if not rdns:
        raise SettingsError(f"the subject {text!r} has no attribute such as CN=Name")
    return Subject(
        x509.Name([x509.RelativeDistinguishedName(rdn) for rdn in rdns]), tuple(warnings)
    )


def _attribute(piece: str, warnings: list[str]) -> x509.NameAttribute[str] | None:
    kind_text, equals, value = piece.partition("=")
    value = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    if not equals or not kind_text:
        raise SettingsError(f"{piece!r} in the subject is not an attribute such as CN=Name")
    kind = _BY_LOWER.get(kind_text.strip().lower())
    if kind is None:
        meant = " (the letter O is meant?)" if kind_text == "0" else ""
        warnings.append(f"the subject's attribute {kind_text!r} is not known and left out{meant}")
        return None
    if not value:
        warnings.append(f"the subject's attribute {kind_text!r} has no value and is left out")
        return None
    try:
        return x509.NameAttribute(kind, value)
    except ValueError as error:
        raise SettingsError(f"{piece!r} in the subject cannot be: {_lower(error)}") from None


def _lower(error: ValueError) -> str:
    sentence = str(error)
    return sentence[:1].lower() + sentence[1:]
