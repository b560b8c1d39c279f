"""Distinguished names as people and certificate aliases write them.

The order is the certificate's own (RFC 4514 would turn it round), attributes are separated by a
comma without a space, the members of a multi-valued RDN by a plus sign. Special characters are
escaped as in RFC 4514 §2.4; an unknown attribute, or a value that is no text, is written in hex.
"""

from __future__ import annotations

import re
from typing import cast

from asn1crypto import core

from . import der

_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

#: How each ASN.1 string type writes its characters; T61String is what people put into it: Latin-1.
_CODECS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_SPECIAL = re.compile(r'[\\,+"<>;]|^[# ]| $')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def readable_name(name: bytes) -> str:
    """Return the text of a DER Name, for example ``C=US,ST=CA,O=Example,CN=example_ca``.

    `ValueError` when the bytes are not a Name.
    """
    sequence = der.read_header(name, 0)
    if sequence.tag != der.SEQUENCE or sequence.end != len(name):
        raise ValueError("the name is not a sequence")
    return ",".join(
        "+".join(_attribute(name, pair) for pair in der.members(name, rdn))
        for rdn in der.members(name, sequence)
    )


def comparable_name(name: bytes) -> str:
    """Return a text that is equal for two DER Names where a chain may take them as one.

    The kind of string, letter case and runs of spaces do not count (RFC 5280 §7.1). It may call
    equal what is not quite: a signature has to decide. `ValueError` when it is not a Name.
    """
    sequence = der.read_header(name, 0)
    if sequence.tag != der.SEQUENCE or sequence.end != len(name):
        raise ValueError("the name is not a sequence")
    rdns = (
        "+".join(sorted(_comparable(name, pair) for pair in der.members(name, rdn)))
        for rdn in der.members(name, sequence)
    )
    return ",".join(rdns)


def _comparable(name: bytes, pair: der.Header) -> str:
    parts = der.members(name, pair)
    if len(parts) != 2 or parts[0].tag != der.OBJECT_IDENTIFIER:
        raise ValueError("an attribute is not a type and a value")
    kind, text = parts
    value = _plain(text.tag, name[text.start : text.end])
    if value is None:
        value = "#" + name[kind.end : text.end].hex()
    return f"{name[kind.start : kind.end].hex()}={' '.join(value.lower().split())}"


def _attribute(name: bytes, pair: der.Header) -> str:
    parts = der.members(name, pair)
    if len(parts) != 2 or parts[0].tag != der.OBJECT_IDENTIFIER:
        raise ValueError("an attribute is not a type and a value")
    kind, text = parts
    oid = cast("str", core.ObjectIdentifier(contents=name[kind.start : kind.end]).dotted)
    shown = _text(text.tag, name[text.start : text.end]) if oid in _NAMES else None
    if shown is None:
        shown = "#" + name[kind.end : text.end].hex().upper()
    return f"{_NAMES.get(oid, oid)}={shown}"


def _plain(tag: int, contents: bytes) -> str | None:
    """Return the text of a string value; None when it is no text."""
    codec = _CODECS.get(tag)
    if codec is None:
        return None
    try:
        return contents.decode(codec)
    except UnicodeDecodeError:
        return None


def _text(tag: int, contents: bytes) -> str | None:
    """Return the escaped text of a string value; None when it is no text."""
    plain = _plain(tag, contents)
    if plain is None:
        return None
    escaped = _SPECIAL.sub(lambda found: "\\" + found[0], plain)
    return _CONTROL.sub(_hex_pairs, escaped)


def _hex_pairs(found: re.Match[str]) -> str:
    return "".join(f"\\{octet:02X}" for octet in found[0].encode("utf-8"))
