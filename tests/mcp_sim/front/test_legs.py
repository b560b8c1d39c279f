"""Legs by themselves: numbers, descriptions, who is heard."""

from __future__ import annotations

import pytest

from mcp_sim.legs import Legs
from mcp_sim.negotiation import read_change
from mcp_sim.recording.capture.client import CaptureFullError, CaptureRefusedError
from mcp_sim.recording.plan import MAX_LEGS, LegOpened
from mcp_sim.sip.offer_answer import AudioLine
from mcp_sim.sip.sdp import PCMU, SessionDescription
from tests.mcp_sim.front.callers import AGENT, INACTIVE, Stream, sdp, speakers
from tests.mcp_sim.front.fake_capture import FakeCapture


def lines(*streams: Stream) -> tuple[AudioLine, ...]:
    return read_change(SessionDescription.parse(sdp(*streams)))


async def test_most_legs_of_a_recording() -> None:
    """Streams that come and go use up a recording's leg numbers; then it is full."""
    capture = FakeCapture()
    legs = Legs("id", capture)
    for _ in range(MAX_LEGS):
        held = await legs.follow({}, lines(Stream()), "")
        await legs.follow(held, (), "")
    with pytest.raises(CaptureFullError, match="no more than 256 legs"):
        await legs.follow({}, lines(Stream()), "")
    assert capture.count("open_leg") == capture.count("close_leg") == MAX_LEGS


async def test_number_of_a_leg_that_failed_is_not_used_again() -> None:
    """Capture may have opened it after all."""
    capture = FakeCapture()
    legs = Legs("id", capture)
    capture.fail("open_leg", CaptureFullError("full"))
    with pytest.raises(CaptureFullError):
        await legs.follow({}, lines(Stream()), "")
    await legs.follow({}, lines(Stream()), "")
    assert [leg.number for leg in legs.all] == [1]


async def test_description_is_written_when_it_changes() -> None:
    """Another codec or a label is noted; the same offer again writes nothing."""
    capture = FakeCapture()
    legs = Legs("id", capture)
    held = await legs.follow({}, lines(Stream()), "")
    await legs.follow(held, lines(Stream()), "")
    assert capture.events(LegOpened) == capture.events(LegOpened)[:1]
    await legs.follow(held, lines(Stream("9", PCMU)), "")
    last = capture.events(LegOpened)[-1]
    assert isinstance(last, LegOpened)
    assert (last.leg, last.label) == (0, "9")
    assert last.payload_types == {8: "pcma", 0: "pcmu"}


async def test_leg_that_cannot_be_closed() -> None:
    """Closing never fails: the end of the call closes it."""
    capture = FakeCapture()
    legs = Legs("id", capture)
    held = await legs.follow({}, lines(Stream()), "")
    capture.fail("close_leg", CaptureRefusedError("not open"))
    await legs.follow(held, (), "")
    assert [leg.closed for leg in legs.all] == [True]
    await legs.close(legs.all[0])
    assert capture.count("close_leg") == 1


async def test_silence() -> None:
    """Silent is: legs are open, and none of them sends."""
    legs = Legs("id", FakeCapture())
    on_hold = Stream("1", direction=INACTIVE)
    silent = [legs.silent]
    held = await legs.follow({}, lines(on_hold, Stream("2")), "")
    silent.append(legs.silent)
    held = await legs.follow(held, lines(on_hold, Stream(port=0)), "")
    silent.append(legs.silent)
    await legs.follow(held, (), "")
    silent.append(legs.silent)
    assert silent == [False, False, True, False]


async def test_who_was_heard_stays_known() -> None:
    """A later update without a stream's speaker does not take away who was heard on it."""
    legs = Legs("id", FakeCapture())
    await legs.follow({}, lines(Stream("1")), "")
    legs.name_speakers(speakers({"1": AGENT}))
    legs.name_speakers(speakers({}))
    assert legs.all[0].aors == (AGENT,)
    assert legs.numbers({0: "right"}) == {"dnis": "7001"}
