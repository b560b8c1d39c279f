"""Messages: the wire vectors that are valid, those that are not, and what answers them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_sim.sip.hop import Hop
from mcp_sim.sip.message import (
    Malformed,
    MessageLimits,
    SipRequest,
    SipResponse,
    parse_message,
)
from mcp_sim.sip.writing import compose, stamped_vias
from tests.mcp_sim.sip.wire import (
    PEER,
    PEER_TCP,
    VECTORS,
    message_text,
    parsed_request,
    parsed_response,
    vector,
)

MALFORMED = sorted(path.name for path in (VECTORS / "malformed").iterdir())
VALID = sorted(path.name for path in (VECTORS / "valid").iterdir())


def test_plain_invite_is_read() -> None:
    """An INVITE's identifiers, numbers and body come out typed."""
    request = parsed_request(vector("valid/invite_plain.sip"))
    assert (request.method, request.cseq, request.max_forwards) == ("INVITE", 7, 69)
    assert (request.call_id, request.from_tag, request.to_tag) == (
        "call-1@192.0.2.10",
        "from-1",
        "",
    )
    assert request.via.parameters["branch"] == "z9hG4bK-a1"
    assert request.body.endswith(b"RTP/AVP 0\r\n")
    assert request.content_type == "application/sdp"
    assert request.source == PEER


def test_folded_and_compact_headers_are_read() -> None:
    """Folding, compact names, odd spacing and odd case mean the same (RFC 3261 §7.3.1)."""
    request = parsed_request(vector("valid/invite_folded.sip"))
    assert (request.cseq, request.max_forwards, request.from_tag) == (9, 68, "from-1")
    assert request.via.parameters["branch"] == "z9hG4bK-folded"
    assert request.header_values("x-folded") == ["one", "two"]
    assert len(request.header_values("Via")) == 2


def test_bytes_behind_the_message_are_cut_off() -> None:
    """A datagram's body ends at Content-Length (RFC 3261 §18.3)."""
    request = parsed_request(vector("valid/invite_extra_bytes.sip"))
    assert request.body.endswith(b"RTP/AVP 0\r\n")


def test_datagram_without_length_ends_with_the_datagram() -> None:
    """Without Content-Length the body is the rest of a datagram, but never of a stream."""
    data = message_text(body=b"12345").replace(b"Content-Length: 5\r\n", b"")
    assert parsed_request(data).body == b"12345"
    with pytest.raises(Malformed, match="Content-Length is missing"):
        parse_message(data, PEER_TCP)


def test_scheme_case_does_not_matter_and_line_ends_before_are_skipped() -> None:
    """`SIP:` is `sip:`, and empty lines before a message are skipped (RFC 3261 §7.5)."""
    request = parsed_request(vector("valid/options_no_length.sip"))
    assert request.uri.scheme == "sip"
    assert request.raw_uri == "SIP:record@192.0.2.1"
    assert request.max_forwards == 70


@pytest.mark.parametrize("name", VALID)
def test_valid_vectors_are_accepted(name: str) -> None:
    """Each valid vector is read without complaint."""
    message = parse_message(vector(f"valid/{name}"), PEER)
    assert message.call_id


def test_responses_are_read() -> None:
    """A response with an empty phrase names the transaction it belongs to."""
    response = parsed_response(vector("valid/response_empty_phrase.sip"))
    assert (response.code, response.branch, response.method) == (200, "z9hG4bK-a1", "INVITE")
    assert response.to_tag == "to-1"


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_vectors_get_their_answer(name: str) -> None:
    """Each malformed vector is answered with the code it is named after, or with silence."""
    with pytest.raises(Malformed) as caught:
        parse_message(vector(f"malformed/{name}"), PEER, to_tag="our-tag")
    wanted = name.partition("_")[0]
    reply = caught.value.reply
    if wanted == "silent":
        assert reply is None
        return
    assert reply is not None
    head = reply.decode().split("\r\n")
    assert head[0].startswith(f"SIP/2.0 {wanted} ")
    assert head[1].endswith(";branch=z9hG4bK-a1;rport=5070;received=192.0.2.10")
    if "missing_to" not in name and "open_bracket" not in name:
        assert next(line for line in head if line.startswith("To:")).endswith(";tag=our-tag")


def test_malformed_text_is_one_plain_sentence() -> None:
    """What is wrong is said in the error and in the Warning header of the answer."""
    with pytest.raises(Malformed, match="CSeq names BYE, the request is INVITE") as caught:
        parse_message(vector("malformed/400_cseq_method.sip"), PEER)
    assert b'Warning: 399 reclab "CSeq names BYE, the request is INVITE"' in (
        caught.value.reply or b""
    )


@pytest.mark.parametrize(
    "data",
    [
        b"INVITE sip:a@h SIP/2.0\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
        b"INVITE sip:a@h SIP/2.0\r\nVia: " + b"SIP/2.0/UDP h, " * 6000 + b"\r\n\r\n",
        b"INVITE tel:+" + b"1" * 60_000 + b"x SIP/2.0\r\n\r\n",
        b"INVITE tel:+" + b"1" * 8000 + b"x SIP/2.0\r\n\r\n",
        b"INVITE sip:a@h SIP/2.0\r\nFrom: " + b'"' * 8000 + b"\r\n\r\n",
        b"INVITE sip:a@h SIP/2.0\r\nFrom" + b" " * 8000 + b":x\r\n\r\n",
        b"INVITE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h" + b" " * 8000 + b";\r\n\r\n",
    ],
)
def test_hostile_messages_cost_little(data: bytes) -> None:
    """Messages made to be expensive are refused within a tenth of a second of processor time."""
    started = time.process_time()
    with pytest.raises(Malformed):
        parse_message(data, PEER)
    assert time.process_time() - started < 0.1


def test_limits_are_settings() -> None:
    """The bounds on header bytes, header lines and body bytes can be set."""
    data = message_text(body=b"12345")
    for limits in (
        MessageLimits(header_bytes=100),
        MessageLimits(header_lines=5),
        MessageLimits(body_bytes=4),
    ):
        with pytest.raises(Malformed) as caught:
            parse_message(data, PEER, limits)
        assert caught.value.code == 513


@pytest.mark.parametrize(
    ("via", "source", "stamped"),
    [
        ("SIP/2.0/UDP 192.0.2.10:5070;branch=b", PEER, "SIP/2.0/UDP 192.0.2.10:5070;branch=b"),
        (
            "SIP/2.0/UDP pbx.example.com;branch=b",
            PEER,
            "SIP/2.0/UDP pbx.example.com;branch=b;received=192.0.2.10",
        ),
        (
            "SIP/2.0/UDP [2001:db8::1]:5060;branch=b",
            Hop("udp", "2001:db8::1", 5060),
            "SIP/2.0/UDP [2001:db8::1]:5060;branch=b",
        ),
        (
            "SIP/2.0/TCP 192.0.2.10;branch=b;rport, SIP/2.0/UDP 2nd",
            PEER_TCP,
            "SIP/2.0/TCP 192.0.2.10;branch=b;rport=40123;received=192.0.2.10, SIP/2.0/UDP 2nd",
        ),
    ],
)
def test_responses_say_where_the_request_came_from(via: str, source: Hop, stamped: str) -> None:
    """The topmost Via gets `received` where it has to (RFC 3261 §18.2.1), the others stay."""
    assert stamped_vias([via, "SIP/2.0/UDP last;branch=d"], source) == [
        stamped,
        "SIP/2.0/UDP last;branch=d",
    ]


def test_compose_refuses_line_breaks() -> None:
    """A header value with a line break cannot be smuggled into a message."""
    with pytest.raises(ValueError, match="line break"):
        compose("SIP/2.0 200 OK", [("Reason", "x\r\nVia: y")], b"")


header_lines = st.sampled_from(
    [
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        "v: SIP/2.0/TCP [::1]:5060;rport;branch=x",
        "From: <sip:a@h>;tag=1",
        "To: <sip:b@h>",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
        "Max-Forwards: 70",
        "Content-Length: 3",
        "l: 0",
        "Contact: *",
        " folded",
    ]
)


@settings(deadline=None)
@given(
    st.lists(header_lines | st.text(max_size=30), max_size=12),
    st.sampled_from(["INVITE sip:a@h SIP/2.0", "SIP/2.0 200 OK", "ACK sip:a SIP/2.0"]),
    st.binary(max_size=6),
    st.booleans(),
)
@example(
    ["To: \x85<sip:b@h>", "Via: SIP/2.0/UDP h\x0b;branch=z"], "INVITE sip:a@h SIP/2.0", b"", True
)
def test_any_header_lines_are_read_or_refused(
    lines: list[str], start: str, body: bytes, stream: bool
) -> None:
    """Whatever stands in the lines, the result is a message or Malformed with a clean answer."""
    data = "\r\n".join([start, *lines, "", ""]).encode("utf-8", "replace") + body
    source = PEER_TCP if stream else PEER
    message, problem = outcome(data, source)
    if message is not None:
        assert message.call_id
    elif problem is not None and problem.reply is not None:
        reply, flaw = outcome(problem.reply, source)
        # What the request lacked, its answer lacks too.
        assert isinstance(reply, SipResponse) or re.search("missing|not valid", str(flaw))


def outcome(data: bytes, source: Hop) -> tuple[SipRequest | SipResponse | None, Malformed | None]:
    """The message, or why there is none; any other exception is a failed test."""
    try:
        return parse_message(data, source), None
    except Malformed as problem:
        return None, problem


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Arbitrary bytes never raise anything but Malformed."""
    with pytest.raises(Malformed):
        parse_message(data, PEER)


@settings(deadline=None)
@given(st.data())
def test_damaged_vectors_are_read_or_refused(data: st.DataObject) -> None:
    """A real message with some bytes changed never raises anything but Malformed."""
    name = data.draw(st.sampled_from(VALID))
    message = bytearray(vector(f"valid/{name}"))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at] = data.draw(st.integers(0, 255))
    parsed, problem = outcome(bytes(message), PEER)
    assert parsed is not None or str(problem)
