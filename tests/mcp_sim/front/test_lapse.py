"""Calls that nobody ends: when their media counts as stopped, when not, and how they are ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mcp_sim.admission.gauges import Gauges
from mcp_sim.call import Call
from mcp_sim.config import LimitSettings
from mcp_sim.lapse import Lapse, Lapses
from mcp_sim.legs import Leg
from mcp_sim.recording.capture.messages import CaptureStats, LegCounts
from mcp_sim.recording.plan import Ended
from mcp_sim.watch import Watch
from tests.mcp_sim.front.callers import Stream, sdp
from tests.mcp_sim.front.fake_capture import Desk, front_desk
from tests.mcp_sim.front.phone import phone

TIMEOUT = 10


@dataclass(eq=False)
class FakeCall:
    """As much of an answered call as is looked at."""

    legs: SimpleNamespace
    id: str = "call"
    rtp_timeout: float = TIMEOUT
    ending: bool = False
    paused: bool = False
    started_wall_ns: int | None = 1
    capture: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stats=CaptureStats()))


class Scene:
    """One call with two legs, and a capture process that tells what was received."""

    def __init__(self, *, longest: float = 0.0) -> None:
        self.legs = [Leg(number, str(number), "127.0.0.1", 2, {}) for number in range(2)]
        self.call = FakeCall(SimpleNamespace(open=self.legs))
        self.received = [0, 0]
        self.lapses = Lapses(longest)
        self.now = 1000.0

    def look(self, *, told: bool = True) -> list[Lapse]:
        """Look a second later, for the second for which capture has told its figures or not."""
        self.now += 1.0
        if told:
            counts = {leg: LegCounts(n, 0, 0, 0) for leg, n in enumerate(self.received)}
            self.call.capture.stats = CaptureStats(per_call={"call": counts})
        return self.lapses.look([cast("Call", self.call)], self.now)

    def pass_by(self, seconds: int, *speaking: int, told: bool = True) -> int | None:
        """Let time pass while these legs send; return the second in which the call had to end."""
        for second in range(seconds):
            for leg in speaking:
                self.received[leg] += 50
            if self.look(told=told):
                return second
        return None


def test_no_packet_at_all() -> None:
    """A call that nothing ever came of ends when the time is over since its answer."""
    scene = Scene()
    assert scene.pass_by(TIMEOUT) is None
    [lapse] = scene.look()
    assert (lapse.cause, lapse.reason) == ("no-media", "no packet arrived for 10 s")
    assert lapse.headers == [("Reason", 'SIP;cause=408;text="no packet arrived for 10 s"')]


def test_media_that_stops() -> None:
    """However long it spoke before, the time runs from the last packet."""
    scene = Scene()
    assert scene.pass_by(100, 0, 1) is None
    assert scene.pass_by(100) == TIMEOUT - 1


@pytest.mark.parametrize("leg", [0, 1])
def test_one_way_calls_go_on(leg: int) -> None:
    """One leg that sends is enough, whichever it is."""
    assert Scene().pass_by(100, leg) is None


def test_hold_is_no_silence() -> None:
    """A call with all legs on hold waits; behind the hold the time begins anew."""
    scene = Scene()
    for leg in scene.legs:
        leg.active = False
    assert scene.pass_by(100) is None
    scene.legs[0].active = True
    assert scene.pass_by(100) in (TIMEOUT - 1, TIMEOUT)


def test_a_held_leg_does_not_keep_a_call() -> None:
    """What arrives on a leg that is on hold (music, say) does not speak for the active one."""
    scene = Scene()
    scene.legs[1].active = False
    assert scene.pass_by(100, 1) == TIMEOUT


def test_a_pause_is_no_silence() -> None:
    """While it was told to pause, nothing has to come."""
    scene = Scene()
    scene.call.paused = True
    assert scene.pass_by(100) is None
    scene.call.paused = False
    assert scene.pass_by(100) in (TIMEOUT - 1, TIMEOUT)


def test_capture_that_tells_nothing_proves_nothing() -> None:
    """Only newer figures can say that nothing came; packets of the time between count."""
    scene = Scene()
    assert scene.pass_by(100, told=False) is None
    scene.received[0] += 1
    assert scene.pass_by(1) is None
    assert scene.pass_by(100) == TIMEOUT - 1


def test_a_change_of_legs_is_a_sign_of_life() -> None:
    """A new leg has its time from its own beginning."""
    scene = Scene()
    scene.pass_by(TIMEOUT - 1)
    scene.legs.append(Leg(2, "2", "127.0.0.1", 2, {}))
    scene.received.append(0)
    assert scene.pass_by(TIMEOUT) is None
    assert scene.pass_by(1) == 0


def test_zero_is_never() -> None:
    """Without a time-out a silent call goes on."""
    scene = Scene()
    scene.call.rtp_timeout = 0.0
    assert scene.pass_by(1000) is None


def test_calls_that_are_not_running() -> None:
    """Nothing is asked of a call that is not answered yet, or is ending already."""
    scene = Scene()
    scene.call.started_wall_ns = None
    assert scene.pass_by(100) is None
    scene.call.started_wall_ns, scene.call.ending = 1, True
    assert scene.pass_by(100) is None


def test_the_longest_call() -> None:
    """However much it speaks, a call ends at its longest time; its peers are told why."""
    scene = Scene(longest=60.0)
    assert scene.pass_by(60, 0, 1) is None
    [lapse] = scene.look()
    assert (lapse.cause, lapse.reason) == ("too-long", "the call lasted 60 s, the longest time")
    assert lapse.headers[0][1].startswith('Q.850;cause=31;text="the call lasted')


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with front_desk(tmp_path) as running:
        yield running


def watch_of(desk: Desk) -> Watch:
    fleet = desk.calls._fleet
    return Watch(desk.calls, fleet, Gauges(LimitSettings()), Lapses(0.0))


async def test_the_peer_is_told(desk: Desk) -> None:
    """A BYE with the reason, the recording completed with the same reason, the dialog freed."""
    async with phone(desk.address) as far_end:
        await far_end.invite(sdp(Stream()))
        assert (await far_end.final())[0] == 200
        await far_end.ack()
        watch = watch_of(desk)
        [call] = desk.calls.running
        ending = asyncio.create_task(watch.end(Lapse(call, "no-media", "no packet arrived")))
        bye = await far_end.hung_up()
        await ending
    assert 'Reason: SIP;cause=408;text="no packet arrived"\r\n' in bye
    assert [said.reason for _, said in desk.capture.asked if isinstance(said, Ended)] == [
        "no packet arrived"
    ]
    assert (desk.sip.open_calls, len(desk.captured), watch.lapsed["no-media"]) == (0, 1, 1)


async def test_a_peer_that_vanished(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers the BYE: the recording is complete and the dialog free all the same."""
    monkeypatch.setattr("mcp_sim.call._HANG_UP_SECONDS", 0.05)
    async with phone(desk.address) as far_end:
        await far_end.invite(sdp(Stream()))
        assert (await far_end.final())[0] == 200
        await far_end.ack()
        await desk.reached("event")
        [call] = desk.calls.running
        await watch_of(desk).end(Lapse(call, "no-media", "no packet arrived"))
    assert (desk.sip.open_calls, len(desk.captured), desk.calls.running) == (0, 1, [])
