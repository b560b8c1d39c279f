"""Cutting a byte stream into messages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.framing import StreamFramer
from mcp_sim.sip.message import Malformed, MessageLimits, parse_message
from tests.mcp_sim.sip.wire import PEER_TCP, VECTORS, message_text, vector

VECTOR_BYTES = sorted(path.read_bytes() for path in VECTORS.glob("*/*.sip"))
MESSAGES = [
    message_text(),
    message_text(body=b"v=0\r\n\r\nwith an empty line"),
    message_text("SIP/2.0 200 OK", method="INVITE", body=b"\0" * 3000),
    message_text("BYE sip:x@h SIP/2.0").replace(b"Content-Length: 0", b"l :  \r\n 0"),
]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(MESSAGES), max_size=6), st.lists(st.integers(1, 700)), st.booleans()
)
def test_messages_survive_any_cut(messages: list[bytes], cuts: list[int], pings: bool) -> None:
    """However the stream is cut into reads, the same messages come out, keep-alives skipped."""
    ping = b"\r\n\r\n" if pings else b""
    stream = b"".join(ping + message for message in messages)
    framer, out = StreamFramer(), list[bytes]()
    for size in cuts:
        out += framer.feed(stream[:size])
        stream = stream[size:]
    out += framer.feed(stream)
    assert out == messages
    assert not framer.partial
    assert not framer.broken


@pytest.mark.parametrize(
    "head",
    [
        b"INVITE sip:a@h SIP/2.0\r\nVia: x\r\n\r\nbody without a length",
        b"INVITE sip:a@h SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\nab",
        b"INVITE sip:a@h SIP/2.0\r\nContent-Length: -5\r\n\r\n",
        b"INVITE sip:a@h SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n",
        b"INVITE sip:a@h SIP/2.0\r\nContent-Length: 65537\r\n\r\n",
        b"x" * 9000,
        b"INVITE sip:a@h SIP/2.0\r\nX: " + b"x" * 9000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_stream_that_cannot_be_cut_is_broken(head: bytes) -> None:
    """Without one usable Content-Length, or above a bound, the stream ends with its bad head."""
    framer = StreamFramer()
    out = framer.feed(head)
    assert framer.broken
    assert len(out) == 1
    assert framer.feed(MESSAGES[0]) == []
    with pytest.raises(Malformed):
        parse_message(out[0], PEER_TCP)


@pytest.mark.parametrize(
    "name", ["513_too_long.sip", "513_body_announced.sip", "400_two_lengths.sip"]
)
def test_broken_stream_still_gets_its_answer(name: str) -> None:
    """The head that broke the stream is enough for the parser to refuse it by name."""
    out = StreamFramer().feed(vector(f"malformed/{name}"))
    with pytest.raises(Malformed) as caught:
        parse_message(out[0], PEER_TCP)
    assert caught.value.reply is not None
    assert caught.value.reply.startswith(f"SIP/2.0 {name[:3]} ".encode())


def test_hostile_head_costs_little() -> None:
    """A length followed by thousands of blanks takes no time that grows with their square."""
    blanks = b" " * 4000
    head = b"OPTIONS sip:a@h SIP/2.0\r\nl: 1" + blanks + b"x" + blanks + b"\r\n\r\n"
    started = time.process_time()
    framer = StreamFramer()
    assert framer.feed(head) == [head]
    assert framer.broken
    assert time.process_time() - started < 0.1


def test_buffer_is_bounded() -> None:
    """What a peer can make the framer keep never exceeds one head and one body."""
    limits = MessageLimits(header_bytes=200, body_bytes=100)
    framer = StreamFramer(limits)
    assert framer.feed(b"INVITE") == []
    assert framer.partial
    framer.feed(b"x" * 198)
    assert framer.broken
    assert not framer.partial


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(VECTOR_BYTES), max_size=3),
    st.binary(max_size=50),
)
def test_any_stream_is_cut_or_broken(parts: list[bytes], tail: bytes) -> None:
    """No stream makes the framer raise; what comes out never exceeds the bounds."""
    framer = StreamFramer()
    for message in framer.feed(b"".join(parts) + tail):
        assert 0 < len(message) <= 8192 + 4 + 65536
