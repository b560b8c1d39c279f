"""What every request meets before it reaches a call: the checks of RFC 3261 §8.2."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.sip.hop import Hop
from mcp_sim.sip.message import SipResponse, parse_message
from mcp_sim.sip.transactions import Transmit
from tests.mcp_sim.sip.simulated import Node
from tests.mcp_sim.sip.wire import PEER, PEER_TCP, VECTORS, message_text, vector

VECTOR_BYTES = sorted(path.read_bytes() for path in VECTORS.glob("*/*.sip"))


def node() -> Node:
    return Node("192.0.2.1")


def ask(core: Node, data: bytes, source: Hop = PEER, now: float = 0.0) -> list[Transmit]:
    core.core.receive(data, source, now)
    return core.core.take_transmits()


def answer(core: Node, data: bytes, source: Hop = PEER) -> SipResponse:
    """The one response to a request."""
    sent = ask(core, data, source)
    assert len(sent) == 1
    response = parse_message(sent[0].data, source)
    assert isinstance(response, SipResponse)
    return response


def test_options_tell_the_abilities() -> None:
    """OPTIONS before any call is answered 200 with Allow, Accept, Supported and a tag."""
    response = answer(node(), message_text("OPTIONS sip:record@192.0.2.1 SIP/2.0"))
    assert response.code == 200
    assert response.to_tag
    assert {"INVITE", "BYE", "OPTIONS", "INFO", "UPDATE"} <= set(response.header_values("Allow"))
    assert "application/sdp" in response.header_values("Accept")
    assert response.header_values("Supported") == ["siprec"]


@pytest.mark.parametrize(
    ("data", "code", "header", "value"),
    [
        (message_text("BYE sip:r@192.0.2.1 SIP/2.0", to_tag="nobody"), 481, "", ""),
        (message_text("BYE sip:r@192.0.2.1 SIP/2.0"), 481, "", ""),
        (message_text("INFO sip:r@192.0.2.1 SIP/2.0", to_tag="nobody"), 481, "", ""),
        (message_text("INVITE sip:r@192.0.2.1 SIP/2.0", to_tag="nobody"), 481, "", ""),
        (message_text("CANCEL sip:r@192.0.2.1 SIP/2.0"), 481, "", ""),
        (message_text("REGISTER sip:192.0.2.1 SIP/2.0"), 405, "Allow", "INVITE"),
        (message_text("FROBNICATE sip:192.0.2.1 SIP/2.0"), 501, "Allow", "INVITE"),
        (
            message_text(headers=(("Require", "siprec, 100rel, timer"),)),
            420,
            "Unsupported",
            "100rel",
        ),
        (message_text(headers=(("Content-Encoding", "gzip"),)), 415, "Accept-Encoding", "identity"),
        (
            message_text(headers=(("Record-Route", "<sip:open"),)),
            400,
            "",
            "",
        ),
        (message_text().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), 483, "", ""),
    ],
)
def test_requests_that_cannot_be_served_are_refused(
    data: bytes, code: int, header: str, value: str
) -> None:
    """Each kind of request we cannot serve gets its own code, and the header that explains it."""
    response = answer(node(), data)
    assert response.code == code
    if header:
        assert value in response.header_values(header)


def test_options_with_no_hops_left_are_answered() -> None:
    """Max-Forwards 0 stops a request that would go on; OPTIONS ends here (RFC 3261 §11)."""
    assert answer(node(), vector("valid/options_names.sip")).code == 200


def test_siprec_may_be_required() -> None:
    """An INVITE that requires siprec is taken."""
    core = node()
    assert ask(core, message_text(headers=(("Require", "siprec"),))) == []
    assert len(core.core.take_calls()) == 1


def test_merged_request_is_refused() -> None:
    """The same INVITE by another way gets 482, a repeated one nothing new (§8.2.2.2)."""
    core = node()
    assert ask(core, message_text()) == []
    assert ask(core, message_text()) == []
    assert answer(core, message_text(branch="z9hG4bK-other")).code == 482
    assert len(core.core.take_calls()) == 1


def test_stray_ack_and_response_are_dropped() -> None:
    """An ACK or a response that belongs to nothing is answered by silence."""
    core = node()
    assert ask(core, message_text("ACK sip:r@192.0.2.1 SIP/2.0", to_tag="x")) == []
    assert ask(core, message_text("SIP/2.0 200 OK", method="INVITE")) == []


def test_keep_alives_are_dropped() -> None:
    """Empty datagrams and line ends count for nothing."""
    core = node()
    for data in (b"", b"\r\n\r\n", b"\0\0\0\0"):
        assert ask(core, data) == []
    assert core.core.counters.malformed == 0


@pytest.mark.parametrize(
    ("via", "source", "host", "port"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;rport", PEER, "192.0.2.10", 5070),
        ("SIP/2.0/UDP 10.0.0.1:5099;branch=z9hG4bK1", PEER, "192.0.2.10", 5099),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1", PEER, "192.0.2.10", 5060),
        ("SIP/2.0/TCP 10.0.0.1:5099;branch=z9hG4bK1", PEER_TCP, "192.0.2.10", 40123),
    ],
)
def test_responses_go_where_they_have_to(via: str, source: Hop, host: str, port: int) -> None:
    """rport, sent-by port and connection decide where a response goes (§18.2.2, RFC 3581)."""
    data = message_text("OPTIONS sip:r@192.0.2.1 SIP/2.0", via="@@").replace(
        b"@@;branch=z9hG4bK-a1;rport", via.encode()
    )
    route = ask(node(), data, source)[0].route
    assert (route.hop.host, route.hop.port, route.hop.transport) == (host, port, source.transport)
    assert (route.fallback is None) == (source.transport == "udp")


def test_peers_without_branches_are_served() -> None:
    """A repeated request of an RFC 2543 peer is recognised without a branch."""
    core = node()
    data = message_text(branch="1")
    assert ask(core, data) == []
    assert ask(core, data) == []
    session, incoming = core.core.take_calls()[0]
    session.answer(incoming, 486, 0.0)
    assert len(core.core.take_transmits()) == 1
    ack = message_text("ACK sip:record@192.0.2.1 SIP/2.0", branch="1", to_tag="x")
    assert ask(core, ack) == []
    core.core.fire(10.0)
    assert core.core.take_transmits() == []


def test_calls_above_the_bound_are_refused() -> None:
    """Above the bound, and after refusing has been asked for, INVITEs get 503 with Retry-After."""
    core = node()
    core.core._max_calls = 1
    assert ask(core, message_text()) == []
    full = answer(core, message_text(call_id="2", branch="z9hG4bK-2"))
    assert (full.code, full.header("Retry-After")) == (503, "5")
    closing = node()
    closing.core.accepting = False
    assert answer(closing, message_text()).code == 503


def test_transactions_above_the_bound_are_refused() -> None:
    """When too many transactions are kept, new requests get 503 and nothing is kept for them."""
    core = node()
    core.core._transactions._limit = 1
    ask(core, message_text())
    assert answer(core, message_text(call_id="2", branch="z9hG4bK-2")).code == 503
    assert core.core.open_transactions == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*VECTOR_BYTES, message_text(), message_text("BYE sip:r@h SIP/2.0")]),
            st.integers(0, 2000),
            st.binary(max_size=3),
            st.floats(0, 5),
        ),
        max_size=12,
    ),
    st.sampled_from([PEER, PEER_TCP]),
)
def test_nothing_a_peer_sends_is_raised(
    steps: list[tuple[bytes, int, bytes, float]], source: Hop
) -> None:
    """Whatever comes, damaged or not, in any order and time, the core never raises."""
    core, now = node(), 0.0
    for data, at, damage, later in steps:
        core.core.receive(data[:at] + damage + data[at + len(damage) :], source, now)
        now += later
        core.core.fire(now)
        for session, incoming in core.core.take_calls():
            session.answer(incoming, 200, now, body=b"v=0")
    for transmit in core.core.take_transmits():
        assert transmit.data.startswith((b"SIP/2.0 ", b"BYE "))


def test_a_thousand_calls_are_held_at_once() -> None:
    """A thousand INVITEs are a thousand calls, each answered once; one deadline is the next."""
    core = node()
    for index in range(1000):
        core.core.receive(message_text(call_id=f"c{index}", branch=f"z9hG4bK-{index}"), PEER, 0.0)
    for session, incoming in core.core.take_calls():
        session.answer(incoming, 200, 0.0, body=b"v=0")
    assert core.core.open_calls == 1000
    assert len(core.core.take_transmits()) == 1000
    assert core.core.next_deadline() == 0.5
