"""Left is the customer, right the agent: the rules, one by one."""

from __future__ import annotations

from mcp_sim.placement import PlacedLeg, place_gir, place_siprec


def siprec(*aors: str, left: str = "") -> dict[int, str]:
    legs = [PlacedLeg(n, str(n + 1), (aor,) if aor else ()) for n, aor in enumerate(aors)]
    return dict(place_siprec(legs, left))


def test_tel_uri_is_the_customer() -> None:
    """The only participant with a tel: address is left, wherever it stands."""
    assert siprec("sip:7001@pbx", "tel:+16175550101") == {0: "right", 1: "left"}


def test_plus_number_is_the_customer() -> None:
    """The only participant whose user is + and digits is left."""
    assert siprec("sip:agent@pbx", "sip:+16175550101@gw;user=phone") == {0: "right", 1: "left"}


def test_two_outside_numbers_fall_back_to_the_setting() -> None:
    """Where both look like customers, the setting decides: a label, or a pattern."""
    aors = ("tel:+1617", "tel:+1212")
    assert siprec(*aors, left="2") == {0: "right", 1: "left"}
    assert siprec(*aors, left="tel:+12*") == {0: "right", 1: "left"}


def test_lowest_label_is_the_last_resort() -> None:
    """Without any hint the stream with the lowest label is left, by number and not by letters."""
    legs = [PlacedLeg(0, "10"), PlacedLeg(1, "9")]
    assert place_siprec(legs, "") == {0: "right", 1: "left"}


def test_further_streams_are_right() -> None:
    """A third stream goes to the right."""
    assert siprec("tel:+1617", "sip:a@b", "sip:c@d") == {0: "left", 1: "right", 2: "right"}


def test_recorded_dn_is_right() -> None:
    """GIR: the leg whose dn is recordDN is right, even when it came first."""
    legs = [PlacedLeg(0, dn="7001"), PlacedLeg(1, dn="5551234")]
    assert place_gir(legs, {"recordDN": "7001"}) == {0: "right", 1: "left"}
    assert place_gir(legs, {"recorddn": "7001"}) == {0: "right", 1: "left"}
    assert place_gir(legs, {"agentId": "7001"}) == {0: "right", 1: "left"}


def test_first_invite_is_left_otherwise() -> None:
    """GIR without a known dn: the first INVITE is left."""
    legs = [PlacedLeg(0, dn="5551234"), PlacedLeg(1, dn="7002")]
    assert place_gir(legs, {"recordDN": "7001"}) == {0: "left", 1: "right"}
    assert place_gir([PlacedLeg(0)], {}) == {0: "left"}
