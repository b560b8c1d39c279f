"""Calls that are set up while something else happens to them: nothing doubles, nothing is left."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_sim.calls import new_call_uuid
from mcp_sim.recording.capture.client import (
    CaptureFullError,
)
from mcp_sim.recording.plan import Ended, LegsPlaced, ParametersChanged, Paused
from mcp_sim.recording.spool.space import SpoolSpace
from mcp_sim.sip import CallRefused
from tests.mcp_sim.front.callers import TWO, Caller, Placed, Stream, calling, hang_up, sdp
from tests.mcp_sim.front.fake_capture import Desk, front_desk
from tests.mcp_sim.front.phone import phone
from tests.mcp_sim.front.recorder import until


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with front_desk(tmp_path) as running:
        yield running


@pytest.fixture
async def caller(desk: Desk) -> AsyncIterator[Caller]:
    async with calling(desk.address) as far_end:
        yield far_end


@pytest.mark.parametrize("step", ["open_call", "open_leg", "event"])
async def test_cancel_leaves_nothing(desk: Desk, step: str) -> None:
    """A CANCEL at any moment of the set-up: 487, and no call, item or open journal remains."""
    let_go = desk.capture.hold(step)
    async with phone(desk.address) as far_end:
        await far_end.invite(sdp(Stream()))
        await desk.reached(step)
        await far_end.cancel()
        assert (await far_end.final("INVITE"))[0] == 487
        await far_end.ack()
    let_go.set()
    await desk.idle()
    assert len(desk.calls) == 0
    assert desk.in_spool == []
    assert desk.captured == []
    assert desk.capture.count("close_call") == 1
    assert desk.refusals.newest == []


async def test_two_parties_at_once_open_one_journal(desk: Desk, caller: Caller) -> None:
    """INVITEs of a conference that come while its journal is being opened join it."""
    let_go = desk.capture.hold("open_call")
    uuid = new_call_uuid()
    parties = [asyncio.create_task(caller.gir(uuid, dn, uuid=uuid)) for dn in ("1", "2", "3")]
    await until(lambda: desk.sip.open_calls == 3)
    let_go.set()
    await hang_up(*await asyncio.gather(*parties))
    await desk.idle()
    assert desk.capture.count("open_call") == 1
    assert desk.capture.count("open_leg") == 3
    assert len(desk.captured) == 1


async def test_first_party_leaves_while_the_second_is_set_up(desk: Desk, caller: Caller) -> None:
    """The recording goes on with the second party and ends with it."""
    uuid = new_call_uuid()
    first = await caller.gir(uuid, "1", uuid=uuid)
    let_go = desk.capture.hold("open_leg")
    second = asyncio.create_task(caller.gir(uuid, "2", uuid=uuid))
    await desk.reached("open_leg", 2)
    await hang_up(first)
    let_go.set()
    placed = await second
    [call] = desk.calls.running
    assert desk.captured == []
    await until(lambda: [leg.closed for leg in call.legs.all] == [True, False])
    await hang_up(placed)
    await desk.idle()
    assert desk.captured == [call.item]


async def test_first_party_fails_while_the_second_waits(desk: Desk, caller: Caller) -> None:
    """A party that cannot be taken does not take the conference with it."""
    let_go = desk.capture.hold("open_leg")
    desk.capture.fail("open_leg", CaptureFullError("no leg is free"))
    uuid = new_call_uuid()
    first = asyncio.create_task(caller.gir(uuid, "1", uuid=uuid))
    await desk.reached("open_leg")
    second = asyncio.create_task(caller.gir(uuid, "2", uuid=uuid))
    await until(lambda: desk.sip.open_calls == 2)
    let_go.set()
    with pytest.raises(CallRefused) as refused:
        await first
    assert refused.value.code == 503
    placed = await second
    assert desk.calls.running[0].channels == {1: "left"}
    await hang_up(placed)
    await desk.idle()
    assert len(desk.captured) == 1


async def test_stop_while_a_party_is_set_up(desk: Desk, caller: Caller) -> None:
    """Who would join a recording that is being stopped is refused, and may try again."""
    uuid = new_call_uuid()
    first = await caller.gir(uuid, "1", uuid=uuid)
    let_go = desk.capture.hold("open_leg")
    second = asyncio.create_task(caller.gir(uuid, "2", uuid=uuid))
    await desk.reached("open_leg", 2)
    stop = asyncio.create_task(desk.calls.running[0].stop("a test"))
    await desk.reached("close_call")
    let_go.set()
    with pytest.raises(CallRefused) as refused:
        await second
    assert (refused.value.code, desk.refusals.newest[0].cause) == (503, "ended")
    await stop
    assert (await first.call.wait_ended()).by == "bye"
    assert len(desk.captured) == 1


async def test_stop_before_the_answer(desk: Desk, caller: Caller) -> None:
    """A call that is stopped before its first 2xx has recorded nothing, and leaves nothing."""
    let_go = desk.capture.hold("open_call")
    placing = asyncio.create_task(caller.plain())
    await desk.reached("open_call")
    stop = asyncio.create_task(desk.calls.running[0].stop("a test"))
    let_go.set()
    with pytest.raises(CallRefused):
        await placing
    await stop
    assert (desk.captured, desk.in_spool) == ([], [])


async def test_stop_while_the_folder_is_made(
    desk: Desk, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that is on its way when the call is stopped is closed, and not left open."""
    let_go, create = threading.Event(), desk.spool.create
    waiting: list[str] = []

    def slow(item: str) -> Path:
        waiting.append(item)
        assert let_go.wait(20)
        return create(item)

    monkeypatch.setattr(desk.spool, "create", slow)
    placing = asyncio.create_task(caller.plain())
    await until(lambda: bool(waiting))
    [call] = desk.calls.running
    stop = asyncio.create_task(call.stop("a test"))
    await until(lambda: call.ending)
    let_go.set()
    with pytest.raises(CallRefused):
        await placing
    await stop
    assert [step for step, _ in desk.capture.asked] == ["open_call", "close_call"]
    assert desk.in_spool == []


async def test_stop_right_before_the_answer(desk: Desk, caller: Caller) -> None:
    """A party whose 2xx crosses the stop is hung up again."""
    uuid = new_call_uuid()
    first = await caller.gir(uuid, "1", uuid=uuid)
    let_go = desk.capture.hold("event")
    placing = asyncio.create_task(caller.gir(uuid, "2", uuid=uuid, said={"ani": "5"}))
    await until(lambda: len(desk.capture.events(LegsPlaced)) == 2)
    let_go.set()
    let_go = desk.capture.hold("event")
    await until(lambda: bool(desk.capture.events(ParametersChanged)))
    stop = asyncio.create_task(desk.calls.running[0].stop("a test"))
    await desk.reached("close_call")
    let_go.set()
    second = await placing
    assert (await second.call.wait_ended()).by == "bye"
    assert (await first.call.wait_ended()).by == "bye"
    await stop


async def test_stop_while_the_last_bye_arrives(desk: Desk, caller: Caller) -> None:
    """Both end the recording, which is handed on once; both get their answer."""
    let_go = desk.capture.hold("close_call")
    placed = await caller.plain()
    [call] = desk.calls.running
    await asyncio.gather(placed.call.bye(), _let_go(desk, let_go), call.stop("a test"))
    await desk.idle()
    assert desk.captured == [call.item]
    assert desk.capture.count("close_call") == 1


async def test_change_while_the_recording_ends(desk: Desk, caller: Caller) -> None:
    """A re-INVITE into a recording that was stopped is refused with 488; nothing is opened."""
    uuid = new_call_uuid()
    placed = await caller.gir(uuid, "1", uuid=uuid)
    assert (await placed.command("stop", uuid)).code == 200
    response = await placed.reinvite(*TWO)
    assert response.code == 488
    assert desk.capture.count("open_leg") == 1
    await hang_up(placed)


async def test_limit_holds_for_a_burst(tmp_path: Path) -> None:
    """Of five INVITEs at once two are taken where two may be; a further party is always taken."""
    async with front_desk(tmp_path, limit=2) as desk, calling(desk.address) as caller:
        let_go = desk.capture.hold("open_call")
        ids = [new_call_uuid() for _ in range(5)]
        tries = [asyncio.create_task(caller.gir(uuid, "1", uuid=uuid)) for uuid in ids]
        await until(lambda: len(desk.refusals.newest) == 3)
        let_go.set()
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        taken = [placed for placed in outcomes if isinstance(placed, Placed)]
        assert len(taken) == 2
        refused = [error for error in outcomes if isinstance(error, CallRefused)]
        assert {error.code for error in refused} == {503}
        reason = dict(refused[0].headers)["Reason"]
        assert reason == 'SIP;cause=503;text="the limit of 2 calls is reached"'
        party = await caller.gir(taken[0].uuid, "2", uuid=taken[0].uuid)
        await hang_up(*taken, party)
        await desk.idle()
        await hang_up(await caller.plain())
        await desk.idle()
        assert len(desk.captured) == 3


async def test_end_while_a_call_waits_for_its_segment(desk: Desk, caller: Caller) -> None:
    """An INVITE behind the last BYE waits until the earlier journal is closed, under one id."""
    uuid = new_call_uuid()
    placed = await caller.plain(uuid=uuid)
    let_go = desk.capture.hold("event")  # the conversation is busy when the BYE arrives
    busy = asyncio.create_task(placed.command("pause"))
    await until(lambda: bool(desk.capture.events(Paused)))
    await placed.call.bye()
    gone_ns = time.monotonic_ns()
    next_one = asyncio.create_task(caller.plain(uuid=uuid))
    await until(lambda: desk.calls.begun == 2)
    assert desk.capture.count("open_call") == 1
    let_go.set()
    second = await next_one
    assert [name for name, _ in desk.capture.asked if name in ("open_call", "close_call")] == [
        "open_call", "close_call", "open_call"
    ]  # fmt: skip
    assert desk.calls.running[0].id == uuid
    await hang_up(second)
    await desk.idle()
    await asyncio.gather(busy, return_exceptions=True)
    assert [item.partition("-")[0] for item in desk.captured] == [uuid, uuid]
    first_end = next(said for _, said in desk.capture.asked if isinstance(said, Ended))
    assert first_end.at_ns <= gone_ns  # the BYE, and not when there was time for it


async def _let_go(desk: Desk, gate: asyncio.Event) -> None:
    await desk.reached("close_call")
    gate.set()


async def test_full_spool_takes_no_new_call(desk: Desk, caller: Caller) -> None:
    """503 with the reason while the disk is short; the running call's second party is taken."""
    uuid = new_call_uuid()
    placed = await caller.gir("conf-1", dn="7001", uuid=uuid)
    desk.calls.space = SpoolSpace(desk.spool.root, 1 << 60)
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    headers = dict(refused.value.headers)
    assert (refused.value.code, headers["Retry-After"]) == (503, "5")
    assert "less than the" in refused.value.cause
    assert desk.refusals.newest[0].cause == "spool-full"
    second = await caller.gir("conf-1", dn="7002", uuid=uuid)
    desk.calls.space = SpoolSpace(desk.spool.root)
    third = await caller.plain()
    for one in (placed, second, third):
        await hang_up(one)
