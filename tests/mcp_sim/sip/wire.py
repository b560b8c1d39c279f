"""Wire vectors and small message builders for the tests of signalling."""

from __future__ import annotations

from pathlib import Path

from mcp_sim.sip.hop import Hop
from mcp_sim.sip.message import SipRequest, SipResponse, parse_message

VECTORS = Path(__file__).parent / "vectors"
PEER = Hop("udp", "192.0.2.10", 5070)
PEER_TCP = Hop("tcp", "192.0.2.10", 40123)


def vector(name: str) -> bytes:
    """The bytes of a wire vector."""
    return (VECTORS / name).read_bytes()


def message_text(
    start: str = "INVITE sip:record@192.0.2.1 SIP/2.0",
    *,
    method: str = "",
    branch: str = "z9hG4bK-a1",
    call_id: str = "call-1",
    cseq: int = 1,
    from_tag: str = "from-1",
    to_tag: str = "",
    via: str = "SIP/2.0/UDP 192.0.2.10:5070",
    contact: str = "<sip:alice@192.0.2.10:5070>",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> bytes:
    """A message as a peer writes it; `method` of the CSeq is read from a request's first line."""
    method = method or start.partition(" ")[0]
    tag = f";tag={to_tag}" if to_tag else ""
    lines = [
        start,
        f"Via: {via};branch={branch};rport",
        f"From: <sip:alice@192.0.2.10>;tag={from_tag}",
        f"To: <sip:record@192.0.2.1>{tag}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
        *([f"Contact: {contact}"] if contact else []),
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def parsed_request(data: bytes, source: Hop = PEER) -> SipRequest:
    """Parse bytes that are a request."""
    message = parse_message(data, source)
    assert isinstance(message, SipRequest)
    return message


def parsed_response(data: bytes, source: Hop = PEER) -> SipResponse:
    """Parse bytes that are a response."""
    message = parse_message(data, source)
    assert isinstance(message, SipResponse)
    return message
