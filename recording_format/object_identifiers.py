"""A bound on OBJECT IDENTIFIERs: reading one costs time that grows with the square of its length.

Looked at in one pass, before whole structures are read by asn1crypto, which has no bound.
"""

from __future__ import annotations

from . import der

#: Those that are in use have up to some 30 bytes.
_LONGEST = 64
_INDEFINITE = 0x80
_CONSTRUCTED = 0x20


def check_object_identifiers(data: bytes) -> None:
    """Raise `ValueError` for DER or BER with an identifier that is longer than any in use.

    What is broken otherwise is left to the reader.
    """
    at = 0
    while at + 2 <= len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if tag & 0x1F == 0x1F:
            raise ValueError("the tag is not one of CMS")
        if length > _INDEFINITE:
            octets = data[at : at + length - _INDEFINITE]
            at += len(octets)
            length = int.from_bytes(octets, "big")
        elif length == _INDEFINITE:
            length = 0
        if tag == der.OBJECT_IDENTIFIER and length > _LONGEST:
            raise ValueError(f"an object identifier has {length} bytes")
        if not tag & _CONSTRUCTED:
            at += length
