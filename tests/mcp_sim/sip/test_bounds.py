"""The bounds of SIP messages and their bodies: what just fits is read, one more is refused."""

from __future__ import annotations

import pytest

from mcp_sim.sip.errors import BodyError
from mcp_sim.sip.hop import Hop
from mcp_sim.sip.message import Malformed, SipRequest, parse_message
from mcp_sim.sip.msml import BAD_REQUEST, MsmlError, parse_commands
from mcp_sim.sip.multipart import BodyPart, build_multipart, parse_parts
from mcp_sim.sip.sdp import SessionDescription
from mcp_sim.sip.siprec import RecordingSession

HOP = Hop("udp", "192.0.2.1", 5060)
SDP = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"


def message(
    *, uri: str = "sip:a@b", method: str = "OPTIONS", lines: int = 0, size: int = 0, body: int = 0
) -> bytes:
    """An OPTIONS with so many lines in its header, of so many bytes, and a body."""
    head = [
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx",
        "From: <sip:a@b>;tag=1",
        "To: <sip:c@d>",
        "Call-ID: x",
        f"CSeq: 1 {method}",
        f"Content-Length: {body}",
    ]
    head += [f"X-{number}: y" for number in range(lines - len(head))]
    if size:
        head.append("X: " + "y" * (size - len("\r\n".join(head)) - len("\r\nX: ")))
    return "\r\n".join([*head, "", ""]).encode() + b"z" * body


@pytest.mark.parametrize(
    ("fits", "too_much", "status"),
    [
        (message(lines=100), message(lines=101), 513),
        (message(size=8192), message(size=8193), 513),
        (message(body=65536), message(body=65537), 513),
        (message(uri="sip:" + "a" * 1020), message(uri="sip:" + "a" * 1021), 414),
        (message(method="X" * 64), message(method="X" * 65), 400),
    ],
    ids=["header lines", "header bytes", "body", "Request-URI", "method"],
)
def test_messages(fits: bytes, too_much: bytes, status: int) -> None:
    """Header, body, Request-URI and method, each at its bound; the refusal is an answer."""
    assert isinstance(parse_message(fits, HOP), SipRequest)
    with pytest.raises(Malformed) as refused:
        parse_message(too_much, HOP)
    assert refused.value.code == status
    assert refused.value.reply is not None
    assert refused.value.reply.startswith(f"SIP/2.0 {status} ".encode())


def test_parts_of_a_multipart_body() -> None:
    """32 parts are taken apart, a 33rd refuses the body."""
    parts = [BodyPart("text/plain", b"x")] * 33
    assert len(parse_parts(*build_multipart(parts[:32], "b"))) == 32
    with pytest.raises(BodyError, match="more than 32 parts"):
        parse_parts(*build_multipart(parts, "b"))


def test_depth_of_a_multipart_body() -> None:
    """Four levels are taken apart, a fifth refuses the body."""
    kind, body = "text/plain", b"x"
    for level in range(4):
        kind, body = build_multipart([BodyPart(kind, body)], f"level{level}")
    assert len(parse_parts(kind, body)) == 1
    with pytest.raises(BodyError, match="nested deeper than 4 levels"):
        parse_parts(*build_multipart([BodyPart(kind, body)], "level4"))


@pytest.mark.parametrize(
    ("line", "most", "sentence"),
    [
        ("a=x\n", 2000 - 5, "more than 2000 lines"),
        ("m=audio 9 RTP/AVP 8\n", 64, "more than 64 media lines"),
    ],
)
def test_lines_of_an_sdp(line: str, most: int, sentence: str) -> None:
    """Lines in all, and media lines."""
    SessionDescription.parse((SDP + line * most).encode())
    with pytest.raises(BodyError, match=sentence):
        SessionDescription.parse((SDP + line * (most + 1)).encode())


def test_length_of_a_line_of_an_sdp() -> None:
    """A label of any length would go into the metadata."""
    line = f"{SDP}m=audio 9 RTP/AVP 8\na="
    SessionDescription.parse((line + "b" * 4096).encode())
    with pytest.raises(BodyError, match="longer than 4096 characters"):
        SessionDescription.parse((line + "b" * 4097).encode())


def test_objects_of_recording_metadata() -> None:
    """800 objects are read, one more refuses the document."""

    def document(count: int) -> bytes:
        people = "".join(f"<participant participant_id='{n}'/>" for n in range(count))
        return f"<recording>{people}</recording>".encode()

    assert len(RecordingSession.parse(document(800)).participants) == 800
    with pytest.raises(BodyError, match="too many objects"):
        RecordingSession.parse(document(801))


def msml(commands: int, parameters: int = 0) -> bytes:
    """So many commands, each with so many parameters."""
    said = "".join(f"<param name='n{n}' value='v'/>" for n in range(parameters))
    one = f"<modifyconference id='conf:a'><recorder state='start'>{said}</recorder>"
    return f"<msml version='1.1'>{(one + '</modifyconference>') * commands}</msml>".encode()


def test_commands_of_msml() -> None:
    """16 commands of 200 parameters are read; one more of either refuses all."""
    assert len(parse_commands(msml(16))) == 16
    assert len(parse_commands(msml(1, 200))[0].parameters) == 200
    for body in (msml(17), msml(1, 201)):
        with pytest.raises(MsmlError) as refused:
            parse_commands(body)
        assert refused.value.code == BAD_REQUEST
