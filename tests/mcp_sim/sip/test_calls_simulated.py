"""Whole calls between two pure user agents in virtual time, with losses."""

from __future__ import annotations

import pytest

from mcp_sim.sip.errors import CallBusy, CallGone
from mcp_sim.sip.events import Acked, Ended
from mcp_sim.sip.message import SipRequest, SipResponse
from mcp_sim.sip.session import Session
from tests.mcp_sim.sip.simulated import Network, Node, establish, place

A, B = "192.0.2.1", "192.0.2.2"


def two(transport: str = "udp") -> tuple[Network, Node, Node]:
    kind = "tcp" if transport == "tcp" else "udp"
    a, b = Node(A, kind), Node(B, kind)  # type: ignore[arg-type]  # mypy widens the literal
    return Network(a, b), a, b


def test_call_is_set_up_and_ended_by_the_caller() -> None:
    """INVITE, 200, ACK, BYE, 200: each once, and both sides learn the end."""
    network, a, b = two()
    calling, _ = establish(network, a, b)
    calling.bye(network.now, a.done)
    network.run(100.0)
    assert network.lines() == ["BYE", "200"]
    assert (a.ended, b.ended) == (["local"], ["bye"])
    assert isinstance(a.outcomes[0], SipResponse)
    assert a.core.open_calls == b.core.open_calls == 0
    assert a.core.open_transactions == b.core.open_transactions == 0
    assert a.core.next_deadline() is b.core.next_deadline() is None


def test_call_is_ended_by_the_called_side() -> None:
    """The called side's BYE reaches the caller with the dialog's own identifiers."""
    network, a, b = two()
    _, called = establish(network, a, b)
    called.bye(network.now, b.done)
    network.run(1.0)
    assert (a.ended, b.ended) == (["bye"], ["local"])


def test_slow_application_makes_a_100_and_no_more() -> None:
    """A call that is answered after seconds gets a 100 first, and the INVITE is not repeated."""
    network, a, b = two()
    place(network, a, b)
    network.run(5.0)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, network.now)
    network.run(6.0)
    assert network.lines() == ["INVITE", "100", "200", "ACK"]
    assert network.times(B, "100") == [0.2]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_answer_is_repeated_until_the_ack_comes(transport: str) -> None:
    """A 200 whose ACK is lost goes out again at T1, doubling to T2, over TCP too."""
    network, a, b = two(transport)
    network.lose = lambda data: data.startswith(b"ACK") and network.now < 10.0
    place(network, a, b)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, 0.0, body=b"answer")
    network.run(60.0)
    assert network.times(B, "200") == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5]
    assert network.times(A, "ACK") == network.times(B, "200")
    assert [event for _, event in b.events] == [Acked(b"", "")]


def test_call_without_ack_is_ended_by_bye() -> None:
    """When no ACK comes in 64*T1 the called side says BYE and the call is over (§13.3.1.4)."""
    network, a, b = two()
    network.lose = lambda data: data.startswith(b"ACK")
    place(network, a, b)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, 0.0)
    network.run(31.9)
    assert b.ended == []
    network.run(100.0)
    assert b.events == [(32.0, Ended("ack-missing"))]
    assert network.times(B, "BYE") == [32.0]
    assert a.ended == ["bye"]


def test_bye_waits_for_the_ack() -> None:
    """The called side sends no BYE before its 2xx is acknowledged (RFC 3261 §15)."""
    network, a, b = two()
    network.lose = lambda data: data.startswith(b"ACK") and network.now < 3.0
    place(network, a, b)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, 0.0)
    session.bye(0.0, b.done)
    with pytest.raises(CallGone):
        session.bye(0.0, b.done)
    network.run(20.0)
    assert network.times(B, "BYE") == [3.5]
    assert b.ended == ["local"]
    assert len(b.outcomes) == 1


def test_waiting_bye_is_told_when_the_peer_is_faster() -> None:
    """A BYE that waits for the ACK has its outcome when the peer hangs up first."""
    network, a, b = two()
    network.lose = lambda data: data.startswith(b"ACK")
    place(network, a, b)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, 0.0)
    session.bye(0.0, b.done)
    network.settle()
    outcome = a.placed[0]
    assert isinstance(outcome, tuple)
    outcome[0].bye(1.0, a.done)
    network.run(40.0)
    assert b.outcomes == ["bye"]
    assert b.ended == ["bye"]


def test_lost_messages_are_made_good() -> None:
    """With every first copy of each message lost, the call still comes up and ends."""
    network, a, b = two()
    seen: set[bytes] = set()

    def lose(data: bytes) -> bool:
        first = data not in seen
        seen.add(data)
        return first

    network.lose = lose
    place(network, a, b)
    network.run(1.0)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, network.now)
    network.run(10.0)
    session.bye(network.now, b.done)
    network.run(60.0)
    assert len(b.calls) == 1
    assert (a.ended, b.ended) == (["bye"], ["local"])


def test_cancel_before_the_answer_ends_the_call() -> None:
    """CANCEL gets 200, the INVITE 487 with its ACK, and the application learns it."""
    network, a, b = two()
    placement = place(network, a, b)
    network.run(0.5)
    placement.cancel(network.now)
    network.run(100.0)
    assert network.lines() == ["INVITE", "100", "CANCEL", "200", "487", "ACK"]
    assert b.ended == ["cancel"]
    refused = a.placed[0]
    assert isinstance(refused, SipResponse)
    assert refused.code == 487
    session, incoming = b.calls[0]
    with pytest.raises(CallGone):
        session.answer(incoming, 200, network.now)
    assert a.core.open_transactions == b.core.open_transactions == 0


def test_cancel_waits_for_a_provisional_response() -> None:
    """CANCEL is not sent before the peer has shown a sign of life (RFC 3261 §9.1)."""
    network, a, b = two()
    placement = place(network, a, b)
    placement.cancel(network.now)
    network.settle()
    assert network.lines() == ["INVITE"]
    network.run(1.0)
    assert network.lines(A) == ["INVITE", "CANCEL", "ACK"]


def test_cancel_after_the_answer_changes_nothing() -> None:
    """A CANCEL that crosses the 200 gets 200, and the call stays."""
    network, a, b = two()
    establish(network, a, b)
    session, incoming = b.calls[0]
    session.cancel(incoming, network.now)
    assert session.open
    assert b.ended == []


def test_call_accepted_after_it_was_cancelled_is_hung_up() -> None:
    """A 200 that crosses our CANCEL is acknowledged and ended by BYE."""
    network, a, b = two()
    placement = place(network, a, b)
    network.lose = lambda data: data.startswith(b"CANCEL")
    network.run(0.5)
    placement.cancel(network.now)
    network.settle()
    session, incoming = b.calls[0]
    session.answer(incoming, 200, network.now)
    network.run(40.0)
    assert [line for line in network.lines(A) if line != "CANCEL"] == ["INVITE", "ACK", "BYE"]
    assert a.placed == ["cancelled"]
    assert b.ended == ["bye"]


def test_refused_call_leaves_nothing_behind() -> None:
    """A refusal is acknowledged, told once with its reason, and then forgotten."""
    network, a, b = two()
    place(network, a, b)
    session, incoming = b.calls[0]
    session.answer(incoming, 488, 0.0, reason="No codec\r\nx", headers=[("Reason", "lab")])
    network.run(100.0)
    refused = a.placed[0]
    assert isinstance(refused, SipResponse)
    assert (refused.code, refused.phrase, refused.header("Reason")) == (488, "No codec x", "lab")
    assert network.lines() == ["INVITE", "488", "ACK"]
    assert a.core.open_transactions == b.core.open_transactions == b.core.open_calls == 0


def test_unreachable_peer_is_told_after_64_t1() -> None:
    """A call to nobody fails with a time-out after 32 s."""
    network, a, b = two()
    network.lose = lambda data: True
    place(network, a, b)
    network.run(31.9)
    assert a.placed == []
    network.run(32.0)
    assert a.placed == ["timeout"]


def test_call_nobody_answers_ends_by_itself() -> None:
    """An application that never answers leaves a 500 after its patience is over."""
    network, a, b = two()
    place(network, a, b)
    network.run(179.0)
    assert b.ended == []
    network.run(181.0)
    assert b.ended == ["timeout"]
    assert network.lines(B) == ["100", "500"]


def reinvite(network: Network, node: Node, session: Session, body: bytes = b"offer 2") -> None:
    session.request("INVITE", network.now, node.done, body=body)
    network.settle()


def test_reinvite_is_answered_within_the_dialog() -> None:
    """A re-INVITE reaches the application, and its answer and ACK go the dialog's way."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    reinvite(network, a, calling)
    assert b.requests[0].request.body == b"offer 2"
    called.answer(b.requests[0], 200, network.now, body=b"answer 2")
    network.run(100.0)
    assert network.lines() == ["INVITE", "100", "200", "ACK"] or network.lines() == [
        "INVITE",
        "200",
        "ACK",
    ]
    answer = a.outcomes[0]
    assert isinstance(answer, SipResponse)
    assert answer.body == b"answer 2"
    assert [type(event) for _, event in b.events][1:] == [Acked]
    assert calling.open
    assert called.open


def test_refused_reinvite_leaves_the_call_as_it_was() -> None:
    """A 488 to a re-INVITE is told, and the call goes on."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    reinvite(network, a, calling)
    called.answer(b.requests[0], 488, network.now)
    network.run(100.0)
    assert isinstance(a.outcomes[0], SipResponse)
    assert a.outcomes[0].code == 488
    assert calling.open
    assert called.open


def test_crossing_reinvites_get_491() -> None:
    """When both sides re-INVITE at once, both get 491 (RFC 3261 §14.2)."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    calling.request("INVITE", 0.0, a.done, body=b"x")
    called.request("INVITE", 0.0, b.done, body=b"y")
    network.run(10.0)
    codes = [o.code for o in (*a.outcomes, *b.outcomes) if isinstance(o, SipResponse)]
    assert codes == [491, 491]
    assert a.requests == b.requests == []
    assert 2.1 <= calling.glare_pause(0.0) <= calling.glare_pause(1.0) <= 4.0
    assert 0.0 <= called.glare_pause(0.0) <= called.glare_pause(1.0) <= 2.0


def test_second_offer_before_the_first_is_answered_is_refused() -> None:
    """An offer that comes while another waits gets 500 with Retry-After (§14.2, RFC 3311)."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    reinvite(network, a, calling)
    update = calling.dialog.request("UPDATE", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKu", (), b"x")
    b.core.receive(update.encode(), a.here, network.now)
    network.settle()
    refused = network.sent[-1][2]
    assert isinstance(refused, SipResponse)
    assert (refused.code, refused.header("Retry-After")) == (500, "2")
    with pytest.raises(CallBusy):
        called.request("INVITE", network.now, b.done)


def test_update_and_info_reach_the_application() -> None:
    """UPDATE with an offer and INFO with a body are handed out and answered."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    calling.request("UPDATE", 0.0, a.done, body=b"offer")
    network.settle()
    called.answer(b.requests[0], 200, 0.0, body=b"answer")
    calling.request("INFO", 0.0, a.done, body=b"<msml/>")
    network.settle()
    called.answer(b.requests[1], 200, 0.0)
    network.settle()
    assert [incoming.request.method for incoming in b.requests] == ["UPDATE", "INFO"]
    assert [o.code for o in a.outcomes if isinstance(o, SipResponse)] == [200, 200]


def test_update_without_an_offer_is_answered_at_once() -> None:
    """An UPDATE without a body only refreshes the target; the application is not asked."""
    network, a, b = two()
    calling, _ = establish(network, a, b)
    calling.request("UPDATE", 0.0, a.done)
    network.settle()
    assert network.lines() == ["UPDATE", "200"]
    assert b.requests == []


def test_old_sequence_numbers_are_refused() -> None:
    """A request whose CSeq is not above the last one gets 500 (RFC 3261 §12.2.2)."""
    network, a, b = two()
    calling, _ = establish(network, a, b)
    calling.dialog.local_sequence = 0
    calling.request("INFO", 0.0, a.done, body=b"x")
    network.settle()
    assert network.lines() == ["INFO", "500"]
    assert b.requests == []


def test_bye_takes_back_what_still_waits() -> None:
    """Requests that wait for the application get 487 when the peer hangs up."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    reinvite(network, a, calling)
    calling.bye(network.now, a.done)
    network.run(1.0)
    assert "487" in network.lines(B)
    assert b.ended == ["bye"]
    with pytest.raises(CallGone):
        called.answer(b.requests[0], 200, network.now)


def test_cancelled_reinvite_leaves_the_call() -> None:
    """A CANCEL of a re-INVITE ends only that re-INVITE."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    reinvite(network, a, calling)
    incoming = b.requests[0]
    assert incoming.on_cancel is not None
    incoming.on_cancel(network.now)
    network.run(1.0)
    assert isinstance(a.outcomes[0], SipResponse)
    assert a.outcomes[0].code == 487
    assert called.open
    assert b.ended == []


def test_peer_that_lost_the_call_ends_it() -> None:
    """A 481 to a request within the dialog ends the call at our side (RFC 3261 §12.2.1.2)."""
    network, a, b = two()
    calling, called = establish(network, a, b)
    b.core._forget(called)
    calling.request("INFO", 0.0, a.done, body=b"x")
    network.settle()
    assert a.ended == ["bye"]


def test_silent_peer_ends_the_call() -> None:
    """A request within the dialog that nobody answers ends the call after 64*T1."""
    network, a, b = two()
    calling, _ = establish(network, a, b)
    network.lose = lambda data: True
    calling.request("INFO", 0.0, a.done, body=b"x")
    network.run(40.0)
    assert a.events[-1] == (32.0, Ended("timeout"))
    assert a.outcomes == ["timeout"]


def test_requests_that_nobody_answers_are_bounded() -> None:
    """A peer that floods a call with INFOs is refused above the bound, and nothing grows."""
    network, a, b = two()
    calling, _ = establish(network, a, b)
    for _ in range(40):
        calling.request("INFO", 0.0, a.done, body=b"x")
    network.settle()
    assert len(b.requests) == 16
    assert network.lines(B) == ["500"] * 24


def test_route_set_is_followed_in_both_directions() -> None:
    """Requests of the called side carry the Record-Route in order and go to its first hop."""
    network, a, b = two()
    network.nodes["192.0.2.4"] = b  # the last proxy of the caller's way hands everything on
    place(network, a, b)
    # What a proxy would have added, put into the request that B holds.
    session, incoming = b.calls[0]
    incoming.request.headers.setlist("Record-Route", ["<sip:192.0.2.3;lr>, <sip:192.0.2.4;lr>"])
    session.dialog.routes = incoming.request.header_values("Record-Route")
    session.answer(incoming, 200, 0.0)
    network.settle()
    answer = next(m for _, _, m in network.sent if isinstance(m, SipResponse) and m.code == 200)
    assert answer.header_values("Record-Route") == ["<sip:192.0.2.3;lr>", "<sip:192.0.2.4;lr>"]
    session.bye(0.0, b.done)
    network.settle()
    bye = next(m for _, _, m in network.sent if isinstance(m, SipRequest) and m.method == "BYE")
    assert bye.header_values("Route") == ["<sip:192.0.2.3;lr>", "<sip:192.0.2.4;lr>"]
    assert bye.raw_uri == "sip:192.0.2.1:5060"
    # The caller's ACK took the route the other way round.
    ack = next(m for _, _, m in network.sent if isinstance(m, SipRequest) and m.method == "ACK")
    assert ack.header_values("Route") == ["<sip:192.0.2.4;lr>", "<sip:192.0.2.3;lr>"]


def test_second_phone_that_answers_is_hung_up() -> None:
    """When a proxy forked our INVITE, the second 200 is acknowledged and ended by BYE."""
    network, a, b = two()
    place(network, a, b)
    session, incoming = b.calls[0]
    session.answer(incoming, 200, 0.0)
    network.settle()
    other = next(m for _, _, m in network.sent if isinstance(m, SipResponse))
    second = (
        b"SIP/2.0 200 OK\r\n"
        + (
            f"Via: {other.header('Via')}\r\nFrom: {other.header('From')}\r\n"
            f"To: <sip:record@{B}>;tag=second\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:{B}>\r\nContent-Length: 0\r\n\r\n"
        ).encode()
    )
    network.sent.clear()
    a.core.receive(second, b.here, 0.0)
    network.settle()
    assert network.lines(A) == ["ACK", "BYE"]
    assert len(a.placed) == 1
    assert a.core.open_calls == 1


def test_delayed_offer_comes_back_with_the_ack() -> None:
    """An INVITE without a body is answered with our offer, and the ACK brings the answer."""
    network, a, b = two()
    place(network, a, b, body=b"")
    session, incoming = b.calls[0]
    assert incoming.request.body == b""
    session.answer(incoming, 200, 0.0, body=b"our offer")
    ack = (
        f"ACK sip:{B} SIP/2.0\r\nVia: SIP/2.0/UDP {A};branch=z9hG4bKack\r\n"
        f"From: {incoming.request.header('From')}\r\n"
        f"To: <sip:record@{B}>;tag={session.dialog.local_tag}\r\nCall-ID: call-1\r\n"
        "CSeq: 1 ACK\r\nContent-Type: application/sdp\r\nContent-Length: 10\r\n\r\ntheir answ"
    ).encode()
    b.core.receive(ack, a.here, 0.1)
    assert [event for _, event in b.core.take_events()] == [Acked(b"their answ", "application/sdp")]
