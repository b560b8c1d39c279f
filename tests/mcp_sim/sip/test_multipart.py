"""Multipart bodies as devices send them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.multipart import BodyPart, build_multipart, parse_parts, split_body
from tests.mcp_sim.sip.wire import vector

TYPE = "multipart/mixed;boundary=unique-boundary-1"


@pytest.mark.parametrize("name", ["siprec", "bare_line_feeds", "nested", "no_end", "no_types"])
def test_siprec_bodies_of_all_makes_are_read(name: str) -> None:
    """SDP and metadata are found whole, however the parts are put together."""
    bodies = split_body(TYPE, vector(f"multipart/{name}.body"))
    assert bodies.sdp is not None
    assert bodies.rs_metadata is not None
    assert bodies.sdp.startswith(b"v=0")
    assert bodies.sdp.rstrip().endswith(b"a=sendonly")
    assert bodies.rs_metadata.startswith(b"<?xml")
    assert bodies.rs_metadata.rstrip().endswith(b"</recording>")


def test_missing_part_is_none() -> None:
    """A body without metadata gives None for it."""
    bodies = split_body(TYPE, vector("multipart/no_metadata.body"))
    assert bodies.sdp is not None
    assert bodies.rs_metadata is None


def test_plain_bodies_are_their_own_part() -> None:
    """A body that is no multipart is one part; an empty body has none."""
    assert split_body("application/SDP ; charset=utf-8", b"v=0\r\n").sdp == b"v=0\r\n"
    assert split_body("application/sdp", b"").sdp is None
    assert split_body("", b"").parts == ()


def test_headers_of_parts_are_kept() -> None:
    """Folded headers of a part are read, in lower case."""
    bodies = split_body(TYPE, vector("multipart/nested.body"))
    assert ("content-disposition", "recording-session; handling=optional") in bodies.parts[
        1
    ].headers


def test_base64_parts_are_decoded() -> None:
    """A base64 part comes out decoded, a broken one is refused."""
    part = (
        b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--"
    )
    assert parse_parts("multipart/mixed;boundary=b", part % b"aGVsbG8=")[0].body == b"hello"
    with pytest.raises(BodyError, match="base64"):
        parse_parts("multipart/mixed;boundary=b", part % b"aGVsbG8")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/mixed", b"--b\r\n\r\nx\r\n--b--"),
        ("multipart/mixed;boundary=b", b"no boundary here"),
        ("multipart/mixed;boundary=b", b"--b--"),
        ("multipart/mixed;boundary=b", b"--b\r\n\r\nx\r\n" * 40 + b"--b--"),
    ],
)
def test_broken_multiparts_are_refused(content_type: str, body: bytes) -> None:
    """No boundary, no part, or too many parts raise BodyError."""
    with pytest.raises(BodyError):
        parse_parts(content_type, body)


def test_nesting_is_bounded() -> None:
    """Multiparts within multiparts are read to a depth of four."""
    content_type, body = "text/plain", b"deep"
    for level in range(6):
        content_type, body = build_multipart([BodyPart(content_type, body)], f"b{level}")
        if level < 4:
            assert parse_parts(content_type, body)[0].body == b"deep"
    with pytest.raises(BodyError, match="nested deeper"):
        parse_parts(content_type, body)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["application/sdp", "text/plain"]), st.binary(max_size=60)),
        min_size=1,
        max_size=5,
    )
)
def test_parts_survive_writing(parts: list[tuple[str, bytes]]) -> None:
    """Any bytes that do not hold the boundary come back as they were."""
    built = [BodyPart(content_type, body) for content_type, body in parts]
    content_type, body = build_multipart(built, "the-boundary")
    assert parse_parts(content_type, body) == built


def test_boundary_and_headers_are_checked_when_writing() -> None:
    """A boundary that stands in a part, and a header with a line break, are refused."""
    with pytest.raises(BodyError, match="boundary"):
        build_multipart([BodyPart("text/plain", b"x --bb y")], "bb")
    with pytest.raises(BodyError, match="control character"):
        build_multipart([BodyPart("text/plain", b"", (("A", "b\r\nC: d"),))], "bb")


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["b", '"q u"', ""]))
def test_any_body_is_read_or_refused(body: bytes, boundary: str) -> None:
    """Arbitrary bytes never raise anything but BodyError."""
    framed = b"--b\r\n" + body.replace(b"X", b"\r\n--b\r\n") + b"\n--q u\n" + body
    try:
        parts = parse_parts(f"multipart/mixed;boundary={boundary}", framed)
    except BodyError:
        return
    assert parts
    assert all(part.body in framed for part in parts)
