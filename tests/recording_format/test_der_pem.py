"""The two text and byte layers under certificates and envelopes."""

from __future__ import annotations

import base64

import pytest
from asn1crypto import core
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recording_format import der, pem


@given(st.integers(-(2**200), 2**200))
@example(0)
@example(127)
@example(128)
@example(-128)
@example(-129)
@settings(deadline=None)
def test_integers_are_those_of_asn1crypto(number: int) -> None:
    """An INTEGER has its shortest form, as another implementation writes it."""
    assert der.integer(number) == core.Integer(number).dump()


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536, 2**24, 2**32, 2**40])
def test_headers_come_back(length: int) -> None:
    """A header of any length is read as it was written, before its contents exist."""
    encoded = der.header(der.CONTEXT_0, length)
    assert der.read_header(b"xy" + encoded, 2) == (der.CONTEXT_0, 2 + len(encoded), length)
    for end in range(len(encoded)):
        with pytest.raises(ValueError, match="cut"):
            der.read_header(encoded[:end], 0)


def test_lengths_are_shortest() -> None:
    """Lengths are DER: short form below 128, no leading zeros above."""
    assert der.header(0x30, 127) == b"\x30\x7f"
    assert der.header(0x30, 128) == b"\x30\x81\x80"
    assert der.header(0x30, 256) == b"\x30\x82\x01\x00"


@pytest.mark.parametrize(
    ("data", "fault"),
    [(b"\x30\x80", "indefinite"), (b"\x30\x89" + bytes(9), "absurd"), (b"\x1f\x81\x00", "tag")],
)
def test_strange_headers_are_refused(data: bytes, fault: str) -> None:
    """Indefinite and absurd lengths and long tags are said to be that."""
    with pytest.raises(ValueError, match=fault):
        der.read_header(data, 0)


def test_members_must_fill_their_value() -> None:
    """A member that reaches beyond the value around it is an error."""
    good = der.value(der.SEQUENCE, der.NULL, der.integer(5))
    assert [found.tag for found in der.members(good, der.read_header(good, 0))] == [5, 2]
    for bad in (b"\x30\x03\x02\x05\x01", b"\x30\x04\x05\x00\x05", b"\x30\x02\x02\x05"):
        with pytest.raises(ValueError, match=r"beyond|cut"):
            der.members(bad, der.read_header(bad, 0))


def test_set_of_is_sorted() -> None:
    """A SET OF has DER's order, whatever order it was given."""
    members = [der.integer(300), der.integer(1), der.NULL]
    assert der.set_of(members) == der.set_of(members[::-1])
    assert der.set_of(members) == der.value(der.SET, der.integer(1), der.integer(300), der.NULL)


@given(
    data=st.binary(min_size=1, max_size=300),
    width=st.integers(1, 90),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=50, deadline=None)
def test_pem_of_any_width_is_read(data: bytes, width: int, end: str) -> None:
    """Base64 in lines of any width, ended by LF or CRLF, with text around it, is the same bytes."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    block = ["subject=CN", "-----BEGIN X-----", *lines, "-----END X-----", "more"]
    found = pem.find_blocks(end.join(block))
    assert [pem.decode(one) for one in found] == [data]
    assert pem.has_line_ends(end.join(block), found[0])
    written = pem.encode("X", data)
    assert pem.decode(pem.find_blocks(written)[0]) == data
    assert max(map(len, written.split("\n"))) <= 64


@pytest.mark.parametrize("glue", ["", " ", "\\n"])
def test_lost_line_ends_are_seen(glue: str) -> None:
    """A block whose boundaries share a line with anything else has lost its line ends."""
    text = pem.encode("X", b"some bytes").replace("\n", glue)
    assert not pem.has_line_ends(text, pem.find_blocks(text)[0])


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN X-----\nAAAA\n",
        "-----BEGIN X-----\nAAAA\n-----END Y-----\n",
        "-----BEGIN X-----\nAAAA\n-----BEGIN X-----\nAAAA\n-----END X-----\n",
    ],
)
def test_blocks_must_end(text: str) -> None:
    """A block without an end of its own is an error."""
    with pytest.raises(ValueError, match="has no END X"):
        pem.find_blocks(text)


@pytest.mark.parametrize("body", ["", "\n", "A", "AAA", "AAAAA===", "AA=A", "AAAA!", "Ä"])
def test_what_is_not_base64_is_refused(body: str) -> None:
    """Empty, cut or foreign characters are no base64."""
    with pytest.raises(ValueError, match="base64"):
        pem.decode(pem.Block("X", body, 0, 0))


def test_many_blocks_are_read_in_linear_time() -> None:
    """A bundle of tens of thousands of blocks is no denial of service."""
    text = pem.encode("X", b"a") * 30_000
    blocks = pem.find_blocks(text)
    assert len(blocks) == 30_000
    assert all(pem.has_line_ends(text, block) for block in blocks)
