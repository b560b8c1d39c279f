"""What the recorder offers and answers, without any call."""

from __future__ import annotations

import pytest

from mcp_sim.negotiation import Negotiation, read_change
from mcp_sim.sip.errors import BodyError, NoCommonCodec
from mcp_sim.sip.sdp import Codec, Direction, SessionDescription
from tests.mcp_sim.front.callers import INACTIVE, Stream, sdp

G729 = Codec(18, "g729")


def parsed(body: bytes) -> SessionDescription:
    return SessionDescription.parse(body)


def test_each_description_has_the_next_version() -> None:
    """One session id, and a version that rises (RFC 3264 §8)."""
    negotiation = Negotiation("192.0.2.7", 4711)
    offer = parsed(sdp(Stream("1")))
    first = parsed(negotiation.answer(offer, read_change(offer), {0: 30000}))
    second = parsed(negotiation.answer(offer, read_change(offer), {0: 30000}))
    assert (first.session_id, second.session_id) == (4711, 4711)
    assert second.version == first.version + 1
    assert first.media[0].host == "192.0.2.7"


def test_later_offer_asks_for_everything_again() -> None:
    """What was answered inactive is offered to be received again; refused lines stay refused."""
    negotiation = Negotiation("192.0.2.7", 1)
    offer = parsed(sdp(Stream("1", direction=INACTIVE), Stream("2", G729)))
    answer = parsed(negotiation.answer(offer, read_change(offer), {0: 30000}))
    assert answer.media[0].direction is Direction.INACTIVE
    ours = parsed(negotiation.offer(0))
    assert [(m.port, m.label) for m in ours.media] == [(30000, "1"), (0, "")]
    assert ours.media[0].direction is Direction.RECVONLY
    assert negotiation.waiting


def test_answer_to_our_offer() -> None:
    """It is waited for once, and has to fit the offer."""
    negotiation = Negotiation("192.0.2.7", 1)
    assert not negotiation.waiting
    negotiation.offer(30000)
    [line] = negotiation.read_answer(sdp(Stream("7")))
    assert (line.index, line.label) == (0, "7")
    assert not negotiation.waiting
    for wrong in (sdp(Stream(), Stream()), sdp(Stream(codec=G729)), b"nonsense"):
        with pytest.raises(BodyError):
            negotiation.read_answer(wrong)


def test_change_that_takes_all_away() -> None:
    """All lines at port 0 is a change; lines that cannot be recorded are a refusal."""
    assert read_change(parsed(sdp(Stream(port=0), Stream(port=0)))) == ()
    with pytest.raises(NoCommonCodec):
        read_change(parsed(sdp(Stream(codec=G729), Stream(port=0))))
