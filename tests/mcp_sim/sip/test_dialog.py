"""Dialogs: where the next request goes, and with which target and routes."""

from __future__ import annotations

import pytest

from mcp_sim.sip.dialog import Dialog, hop_of
from mcp_sim.sip.hop import Hop, Route
from tests.mcp_sim.sip.wire import PEER, PEER_TCP, message_text, parsed_request, vector


def dialog(contact: str, source: Hop = PEER, record_route: str = "") -> Dialog:
    headers = (("Record-Route", record_route),) if record_route else ()
    data = message_text(contact=contact, headers=headers)
    return Dialog.as_server(parsed_request(data, source), "ours")


@pytest.mark.parametrize(
    ("contact", "source", "route"),
    [
        ("<sip:a@192.0.2.33:5090>", PEER, Route(Hop("udp", "192.0.2.33", 5090))),
        ("sip:a@192.0.2.33", PEER, Route(Hop("udp", "192.0.2.33", 5060))),
        ("<sip:[2001:db8::7]:5090>", PEER, Route(Hop("udp", "2001:db8::7", 5090))),
        ("<sip:192.0.2.33;transport=TCP>", PEER, Route(Hop("tcp", "192.0.2.33", 5060))),
        ("<sip:a@pbx.example.com>", PEER, Route(PEER)),
        ("<sip:a@my_box:5090>", PEER, Route(PEER)),
        ("<sip:a@0.0.0.0:5090>", PEER, Route(PEER)),
        ("<tel:+16175550101>", PEER, Route(PEER)),
        ("<sip:192.0.2.33:70000>", PEER, Route(PEER)),
        ("<sip:192.0.2.33;self=1>", PEER, Route(PEER)),
        ("*", PEER, Route(PEER)),
        (f"<tel:+{'1' * 7000}x>", PEER, Route(PEER)),
        ("", PEER, Route(Hop("udp", "192.0.2.10", 5060))),
        ("<sip:192.0.2.10:5090>", PEER_TCP, Route(PEER_TCP, Hop("tcp", "192.0.2.10", 5090))),
        ("<sip:192.0.2.99:5090>", PEER_TCP, Route(Hop("tcp", "192.0.2.99", 5090))),
        ("<sip:192.0.2.10;transport=udp>", PEER_TCP, Route(Hop("udp", "192.0.2.10", 5060))),
    ],
)
def test_next_request_goes_to_the_remote_target(contact: str, source: Hop, route: Route) -> None:
    """A numeric Contact is followed; a name leads back to the peer; TCP reuses its connection."""
    assert dialog(contact, source).route() == route


def test_loose_routes_are_followed() -> None:
    """With a loose route set the request goes to the first route and keeps its target."""
    routes = "<sip:192.0.2.3;lr>, <sip:192.0.2.4:5070;lr;x=1>"
    held = dialog("<sip:a@192.0.2.33>", record_route=routes)
    request = held.request("BYE", "SIP/2.0/UDP here;branch=z9hG4bK1")
    assert request.uri == "sip:a@192.0.2.33"
    assert request.values("Route") == ["<sip:192.0.2.3;lr>", "<sip:192.0.2.4:5070;lr;x=1>"]
    assert held.route() == Route(Hop("udp", "192.0.2.3", 5060))


def test_strict_routes_are_followed() -> None:
    """A first route without lr becomes the Request-URI, and the target the last route."""
    held = dialog("<sip:a@192.0.2.33>", record_route="<sip:192.0.2.3>, <sip:192.0.2.4;lr>")
    request = held.request("BYE", "SIP/2.0/UDP here;branch=z9hG4bK1")
    assert request.uri == "sip:192.0.2.3"
    assert request.values("Route") == ["<sip:192.0.2.4;lr>", "<sip:a@192.0.2.33>"]


def test_addresses_come_back_unchanged() -> None:
    """From and To of our requests are the peer's own text with our tag, whatever it wrote."""
    request = parsed_request(vector("valid/invite_folded.sip"))
    held = Dialog.as_server(request, "ours")
    bye = held.request("BYE", "SIP/2.0/UDP here;branch=z9hG4bK1")
    assert bye.header("To") == request.headers["From"]
    assert bye.header("From") == request.headers["To"] + ";tag=ours"
    assert held.key == ("call-1@192.0.2.10", "ours", "from-1")
    assert (bye.header("CSeq"), bye.header("Call-ID")) == ("1 BYE", "call-1@192.0.2.10")


def test_sequence_numbers_rise_on_both_sides() -> None:
    """Our numbers rise by one; the peer's must rise, gaps are allowed."""
    held = dialog("<sip:a@192.0.2.33>")
    via = "SIP/2.0/UDP here;branch=z9hG4bK1"
    assert [held.request("INFO", via).header("CSeq") for _ in range(2)] == ["1 INFO", "2 INFO"]
    for cseq, accepted in ((1, False), (5, True), (5, False), (4, False), (6, True)):
        info = message_text("INFO sip:r@192.0.2.1 SIP/2.0", cseq=cseq, to_tag="ours")
        assert held.in_order(parsed_request(info)) is accepted


def test_target_is_refreshed_by_a_contact_only() -> None:
    """A target refresh takes the new Contact, and keeps the old one where there is none."""
    held = dialog("<sip:a@192.0.2.33>")
    held.refresh_target(parsed_request(message_text(contact="<sip:b@192.0.2.44>")))
    held.refresh_target(parsed_request(message_text(contact="")))
    assert held.remote_target == "sip:b@192.0.2.44"


def test_route_that_is_not_closed_is_refused() -> None:
    """A Record-Route that cannot be sent back later makes no dialog."""
    with pytest.raises(ValueError, match="not valid"):
        dialog("<sip:a@192.0.2.33>", record_route="<sip:192.0.2.3;lr")


def test_hops_of_uris_without_an_address() -> None:
    """Text that is no SIP URI leads nowhere."""
    assert hop_of("not a uri", "udp") is None
    assert hop_of("sip:192.0.2.1", "tcp") == Hop("tcp", "192.0.2.1", 5060)
