"""Header field values as text: cut apart and marked, never rewritten."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip import fields


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a, b", ["a", "b"]),
        ('"x, y" <sip:a,b@h>;p="1,2", <sip:c@h>', ['"x, y" <sip:a,b@h>;p="1,2"', "<sip:c@h>"]),
        ('"quote \\", still" <sip:a@h>, b', ['"quote \\", still" <sip:a@h>', "b"]),
        (" , ,a,", ["a"]),
        ("", []),
    ],
)
def test_lists_are_cut_at_their_top_level(value: str, parts: list[str]) -> None:
    """Commas within quotes and angle brackets do not cut a header value."""
    assert fields.split_list(value) == parts


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        ("<sip:a@h>;tag=1", "sip:a@h", "1"),
        ("sip:a@h;tag=1", "sip:a@h", "1"),
        ('"A <B>; tag=9" <sip:a@h;tag=8>;x=y ; TAG = 7', "sip:a@h;tag=8", "7"),
        ("<urn:service:sos>", "urn:service:sos", ""),
        ('"\\"" <tel:+1>;tagged=1', "tel:+1", ""),
        ("A B <sip:a@h>;tag=x.y-1~", "sip:a@h", "x.y-1~"),
    ],
)
def test_addresses_are_read_as_written(value: str, uri: str, tag: str) -> None:
    """The URI and the tag of an address come out as they stand, whatever its display name."""
    assert fields.addr_spec(value) == uri
    assert fields.tag(value) == tag


@pytest.mark.parametrize(
    "value", ['"open <sip:a@h>', "<sip:a@h", "<>", "", "sip:a>;tag=1", ";tag=1"]
)
def test_addresses_that_are_not_closed_are_refused(value: str) -> None:
    """An address with an open quote or bracket, or without a URI, raises ValueError."""
    with pytest.raises(ValueError, match="not"):
        fields.addr_spec(value)


@pytest.mark.parametrize(
    ("via", "marked"),
    [
        ("SIP/2.0/UDP h;branch=b", "SIP/2.0/UDP h;branch=b;received=192.0.2.9"),
        ("SIP/2.0/UDP h;rport;branch=b", "SIP/2.0/UDP h;rport=77;branch=b;received=192.0.2.9"),
        ("SIP/2.0/UDP h;branch=b;rport", "SIP/2.0/UDP h;branch=b;rport=77;received=192.0.2.9"),
        ("SIP/2.0/UDP h;rport=1;received=9.9.9.9", "SIP/2.0/UDP h;rport=77;received=192.0.2.9"),
        ("SIP/2.0/UDP h;xrport=1", "SIP/2.0/UDP h;xrport=1;received=192.0.2.9"),
        ("SIP/2.0/UDP h;rportx", "SIP/2.0/UDP h;rportx;received=192.0.2.9"),
    ],
)
def test_via_is_marked_with_where_it_came_from(via: str, marked: str) -> None:
    """`received` is ours alone, and `rport` is filled in only where it was asked for."""
    assert fields.mark_received(via, "192.0.2.9", 77) == marked


def test_parameters_are_found_by_whole_names() -> None:
    """A parameter counts only under its whole name, behind the address."""
    assert fields.has_parameter("<sip:h>;+sip.src;x=1", "+sip.src")
    assert not fields.has_parameter("<sip:h;+sip.src>;x=1", "+sip.src")
    assert not fields.has_parameter("<sip:h>;+sip.srcx", "+sip.src")


@settings(deadline=None)
@given(st.text(alphabet='<>"\\;,= :@tag=abs1.', max_size=80))
def test_any_text_is_cut_or_refused(value: str) -> None:
    """No text makes the field functions raise anything but ValueError."""
    assert all(part == part.strip() for part in fields.split_list(value))
    for read in (fields.addr_spec, fields.tag):
        text = ""
        with contextlib.suppress(ValueError):
            text = read(value)
        assert text in value
