"""Session descriptions, and the offer and answer built on them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.errors import BodyError, NoCommonCodec
from mcp_sim.sip.offer_answer import (
    OfferedStream,
    build_answer,
    build_offer,
    read_answer,
    usable_lines,
)
from mcp_sim.sip.sdp import PCMA, PCMU, Codec, Direction, SessionDescription
from tests.mcp_sim.sip.wire import VECTORS, vector

SDP_VECTORS = sorted(path.name for path in (VECTORS / "sdp").iterdir())


def offer(name: str) -> SessionDescription:
    return SessionDescription.parse(vector(f"sdp/{name}.sdp"))


def answer_to(peer: SessionDescription, *ports: int) -> SessionDescription:
    lines = usable_lines(peer)
    chosen = {line.index: port for line, port in zip(lines, ports, strict=True)}
    return build_answer(peer, lines, chosen, host="192.0.2.1", session_id=11, version=2)


def test_plain_offer_is_answered_as_a_recorder() -> None:
    """A softphone's sendrecv offer is answered recvonly with its own codecs and parameters."""
    assert answer_to(offer("plain"), 5000).encode().decode().split("\r\n") == [
        "v=0",
        "o=- 11 2 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 5000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-11,16",
        "a=recvonly",
        "",
    ]


def test_siprec_offer_keeps_order_labels_and_payload_types() -> None:
    """Two sendonly streams are both taken: codecs in the offer's order, labels echoed."""
    peer = offer("siprec")
    first, second = usable_lines(peer)
    assert first.payload_types == {8: "pcma", 0: "pcmu", 96: "telephone-event"}
    assert (first.label, second.label) == ("65804", "65805")
    assert (first.host, first.port, second.host) == ("192.0.2.20", 17000, "192.0.2.21")
    assert (first.ptime, second.ptime, first.paused) == (20, None, False)
    answered = SessionDescription.parse(answer_to(peer, 5000, 5002).encode())
    assert [line.label for line in answered.media] == ["65804", "65805"]
    assert [line.direction for line in answered.media] == [Direction.RECVONLY] * 2
    assert [codec.name for codec in answered.media[0].codecs] == ["pcma", "pcmu", "telephone-event"]


def test_lines_that_cannot_be_taken_get_port_zero() -> None:
    """Video, SRTP, unknown codecs and disabled lines are rejected in place (RFC 3264 §6)."""
    peer = offer("mixed_media")
    (line,) = usable_lines(peer)
    assert (line.index, line.label, line.payload_types) == (5, "9", {99: "pcma", 0: "pcmu"})
    answered = answer_to(peer, 5000)
    body = answered.encode().decode()
    assert [part for part in body.split("\r\n") if part[:2] in ("m=", "t=")] == [
        "t=3034423619 3042462419",
        "m=video 0 RTP/AVP 31",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 97",
        "m=audio 0 RTP/AVP 0",
        "m=application 0 TCP/MSRP *",
        "m=audio 5000 RTP/AVP 99 0",
    ]
    assert "crypto" not in body


def test_line_without_a_port_of_ours_is_rejected() -> None:
    """A usable line for which no port was opened gets port 0."""
    peer = offer("siprec")
    lines = usable_lines(peer)
    answered = build_answer(peer, lines, {1: 5002}, host="192.0.2.1", session_id=1)
    assert [line.port for line in answered.media] == [0, 5002]


def test_held_and_paused_lines_are_told_apart() -> None:
    """0.0.0.0 is a hold, inactive and recvonly are a pause; each is answered rightly."""
    peer = offer("held")
    held, inactive, listening = usable_lines(peer)
    assert (held.held, held.paused, held.direction) == (True, False, Direction.SENDONLY)
    assert (inactive.held, inactive.paused) == (False, True)
    assert (listening.host, listening.paused) == ("2001:db8::1", True)
    directions = [line.direction for line in answer_to(peer, 1, 2, 3).media]
    assert directions == [Direction.RECVONLY, Direction.INACTIVE, Direction.INACTIVE]


def test_bare_line_feeds_and_odd_case_are_read() -> None:
    """Line feeds alone, empty and unknown lines and odd case do not matter."""
    (line,) = usable_lines(offer("bare_line_feeds"))
    assert (line.label, line.direction) == ("1", Direction.SENDONLY)


@pytest.mark.parametrize(
    "lines",
    [
        "m=audio 4000 RTP/AVP 18\r\n",
        "m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        "m=audio 4000 RTP/SAVP 0\r\n",
        "m=audio 0 RTP/AVP 0\r\n",
        "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/16000\r\n",
        "m=video 4000 RTP/AVP 0\r\n",
        "",
    ],
)
def test_offer_without_a_common_codec_is_refused(lines: str) -> None:
    """When no audio line is left, NoCommonCodec says so (488)."""
    body = f"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{lines}"
    with pytest.raises(NoCommonCodec):
        usable_lines(SessionDescription.parse(body.encode()))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"o=- 1 1 IN IP4 h\r\nv=0\r\n",
        b"v=1\r\n",
        b"v=0\r\nm=audio\r\n",
        b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n",
        b"v=0\r\nm=audio -1 RTP/AVP 0\r\n",
        b"v=0\r\nc=IN IP4\r\n",
        b"v=0\r\n" + b"m=audio 4000 RTP/AVP 0\r\n" * 65,
        b"v=0\r\n" + b"a=x\r\n" * 2001,
    ],
)
def test_broken_descriptions_are_refused(body: bytes) -> None:
    """A body that is no SDP, or too large a one, raises BodyError."""
    with pytest.raises(BodyError):
        SessionDescription.parse(body)


def test_offer_and_answer_meet() -> None:
    """What the generator offers, the recorder answers, and the generator reads again."""
    offered = build_offer(
        [
            OfferedStream(4000, codecs=(PCMA,), direction=Direction.SENDONLY, label="1"),
            OfferedStream(4002, codecs=(Codec(18, "g729"),), label="2"),
            OfferedStream(4004, codecs=(PCMU,), label="3", ptime=None),
        ],
        host="2001:db8::5",
        session_id=5,
    )
    peer = SessionDescription.parse(offered.encode())
    lines = usable_lines(peer)
    answered = build_answer(peer, lines, {0: 5000, 2: 5004}, host="192.0.2.1", session_id=6)
    taken = read_answer(offered, SessionDescription.parse(answered.encode()))
    assert [(line.index, line.label, line.port, line.host) for line in taken] == [
        (0, "1", 5000, "192.0.2.1"),
        (2, "3", 5004, "192.0.2.1"),
    ]
    assert taken[0].payload_types == {8: "pcma"}


def test_answer_must_have_the_lines_of_the_offer() -> None:
    """An answer with more or fewer m-lines than the offer is an error."""
    offered = build_offer([OfferedStream(4000)], host="192.0.2.1", session_id=1)
    with pytest.raises(BodyError, match="other media lines"):
        read_answer(offered, offer("siprec"))


@pytest.mark.parametrize("name", SDP_VECTORS)
def test_descriptions_survive_writing(name: str) -> None:
    """What was read and written again reads the same."""
    first = SessionDescription.parse(vector(f"sdp/{name}"))
    again = SessionDescription.parse(first.encode())
    known = [(m.kind, m.port, m.codecs, m.label) for m in first.media if m.port]
    assert [(m.kind, m.port, m.codecs, m.label) for m in again.media if m.port] == known


sdp_lines = st.sampled_from(
    [
        "v=0",
        "c=IN IP4 192.0.2.1/127",
        "c=IN IP4 ::",
        "m=audio 4000/2 RTP/AVP 0 8 0 200 x",
        "a=rtpmap:0 PCMU/8000/1",
        "a=rtpmap:8 /",
        "a=ptime:99999999999999999999999",
        "a=sendonly",
        "o=- x y IN IP4 h",
    ]
)


@settings(deadline=None)
@given(st.lists(sdp_lines | st.text(max_size=20), max_size=15))
def test_any_description_is_read_or_refused(lines: list[str]) -> None:
    """No text makes the reader raise anything but BodyError, and what is read can be written."""
    body = "\n".join(["v=0", *lines]).encode("utf-8", "replace")
    try:
        description = SessionDescription.parse(body)
    except BodyError:
        return
    assert description.encode().startswith(b"v=0\r\n")
