"""DER: writing tag, length and value with definite lengths, and reading one header (X.690 §8.1).

Only what a stream needs: a header can be written before its contents exist, and read before they
have arrived. Whole structures are read by asn1crypto.
"""

from __future__ import annotations

from typing import NamedTuple

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = b"\x05\x00"
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
SET = 0x31
CONTEXT_0 = 0x80
CONTEXT_0_CONSTRUCTED = 0xA0


class Header(NamedTuple):
    """A value's tag byte, where its contents begin and how many bytes they have."""

    tag: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """Where the value ends."""
        return self.start + self.length


def header(tag: int, length: int) -> bytes:
    """Return the tag and the shortest definite length."""
    if length < 0x80:
        return bytes([tag, length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets


def value(tag: int, *contents: bytes) -> bytes:
    """Return one value around its contents."""
    body = b"".join(contents)
    return header(tag, len(body)) + body


def integer(number: int) -> bytes:
    """Return an INTEGER in its shortest form."""
    magnitude = number if number >= 0 else ~number
    return value(INTEGER, number.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def set_of(members: list[bytes]) -> bytes:
    """Return a SET OF in DER's order (X.690 §11.6)."""
    return value(SET, *sorted(members))


def read_header(data: bytes, offset: int) -> Header:
    """Read the header at `offset`; its contents need not be there.

    `ValueError` when it is cut, of indefinite length, or not of the kind that CMS uses.
    """
    if len(data) < offset + 2:
        raise ValueError("the header is cut")
    tag, first = data[offset], data[offset + 1]
    if tag & 0x1F == 0x1F:
        raise ValueError("the tag is not one of CMS")
    if first < 0x80:
        return Header(tag, offset + 2, first)
    count = first & 0x7F
    if not 1 <= count <= 8:
        raise ValueError("the length is indefinite" if count == 0 else "the length is absurd")
    start = offset + 2 + count
    if len(data) < start:
        raise ValueError("the header is cut")
    return Header(tag, start, int.from_bytes(data[offset + 2 : start], "big"))


def members(data: bytes, outer: Header) -> list[Header]:
    """Return the headers of the values that fill `outer`; `ValueError` when they do not fill it."""
    found = []
    at = outer.start
    while at < outer.end:
        inner = read_header(data, at)
        found.append(inner)
        at = inner.end
    if at != outer.end or at > len(data):
        raise ValueError("a value reaches beyond the one around it")
    return found
