"""What capture refuses, or does not do in time: told to who asked, and nothing is lost or left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_sim import call as call_module
from mcp_sim import conversation as conversation_module
from mcp_sim.recording.capture.client import (
    CaptureDiedError,
    CaptureDiskError,
    CaptureFullError,
    CaptureTimeoutError,
)
from mcp_sim.recording.plan import LegsPlaced, Paused, Started
from mcp_sim.sip import CallRefused
from tests.mcp_sim.front.callers import TWO, Caller, Stream, calling, hang_up, sdp
from tests.mcp_sim.front.fake_capture import Desk, front_desk
from tests.mcp_sim.front.phone import Phone, phone
from tests.mcp_sim.front.recorder import until


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with front_desk(tmp_path) as running:
        yield running


@pytest.fixture
async def caller(desk: Desk) -> AsyncIterator[Caller]:
    async with calling(desk.address) as far_end:
        yield far_end


async def test_journal_that_cannot_be_opened(desk: Desk, caller: Caller) -> None:
    """A disk that refuses: 503 with Retry-After and the reason; nothing is left behind."""
    desk.capture.fail("open_call", CaptureDiskError("the disk is full"))
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    headers = dict(refused.value.headers)
    assert (refused.value.code, headers["Retry-After"]) == (503, "5")
    assert headers["Reason"] == 'SIP;cause=503;text="the disk is full"'
    await desk.idle()
    assert (desk.in_spool, desk.captured) == ([], [])


async def test_folder_that_is_in_the_way(desk: Desk, caller: Caller) -> None:
    """A spool that takes no folder: 503; no journal was asked for and none is closed."""
    (desk.spool.root / "capturing").rmdir()
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    assert refused.value.code == 503
    (desk.spool.root / "capturing").mkdir()
    await hang_up(await caller.plain())


async def test_capture_gone_right_behind_the_answer(desk: Desk, caller: Caller) -> None:
    """When t0 cannot be written, the caller is hung up and what there is is handed on."""
    desk.capture.fail("event", CaptureDiedError("gone"))  # LegsPlaced refuses the call
    with pytest.raises(CallRefused):
        await caller.plain()
    await desk.idle()

    written: list[object] = []
    step = desk.capture._step

    async def dies_at_start(name: str, said: object) -> None:
        written.append(said)
        if isinstance(said, Started):
            raise CaptureDiedError("gone")
        await step(name, said)

    desk.capture._step = dies_at_start  # type: ignore[method-assign]  # one step of a fake
    placed = await caller.plain()
    assert (await placed.call.wait_ended()).by == "bye"
    await desk.idle()
    assert len(desk.captured) == 1
    assert any(isinstance(said, LegsPlaced) for said in written)
    assert desk.refusals.newest[0].status == 503
    assert len(desk.refusals.newest) == 1  # the second call was taken


async def test_journal_that_is_not_closed_in_time(desk: Desk, caller: Caller) -> None:
    """While somebody may still write to it, a journal is not rendered: it waits in the spool."""
    desk.capture.fail("close_call", CaptureTimeoutError("no answer"))
    await hang_up(await caller.plain())
    await desk.idle()
    assert desk.captured == []
    assert len(desk.in_spool) == 1


async def test_journal_that_was_not_written_to_its_end(desk: Desk, caller: Caller) -> None:
    """What a full disk did take is rendered."""
    desk.capture.fail("close_call", CaptureDiskError("the disk is full"))
    await hang_up(await caller.plain())
    await desk.idle()
    assert len(desk.captured) == 1


async def test_change_that_is_refused_halfway(desk: Desk, caller: Caller) -> None:
    """Of two new streams one finds no port: neither is taken, those before go on."""
    placed = await caller.siprec()
    [call] = desk.calls.running
    before = [leg.number for leg in call.legs.open]
    full = CaptureFullError("no port is free")
    desk.capture.faults["open_leg"] = [full]
    response = await placed.reinvite(TWO[0], Stream("2", port=0), Stream("3"), Stream("4"))
    assert response.code == 503
    assert response.header("Retry-After") is not None
    assert [leg.number for leg in call.legs.open] == before
    let_one = desk.capture.hold("close_leg")
    let_one.set()
    step = desk.capture._step

    async def second_fails(name: str, said: object) -> None:
        await step(name, said)
        if name == "open_leg" and desk.capture.count("open_leg") == 5:
            raise full

    desk.capture._step = second_fails  # type: ignore[method-assign]  # one step of a fake
    response = await placed.reinvite(*TWO, Stream("3"), Stream("4"))
    assert response.code == 503
    assert [leg.number for leg in call.legs.open] == before
    assert desk.capture.count("close_leg") == 1
    assert [leg.number for leg in call.legs.all] == before
    await hang_up(placed)


async def test_pause_that_was_not_written(desk: Desk, caller: Caller) -> None:
    """A pause that capture did not take is an error for who asked, and is no pause; the next is."""
    placed = await caller.plain()
    [call] = desk.calls.running
    desk.capture.fail("event", CaptureTimeoutError("no answer"))
    assert (await placed.command("pause")).code == 500
    await placed.reinvite(Stream())
    assert not call.paused
    assert (await placed.command("pause")).code == 200
    await until(lambda: call.paused)
    assert len(desk.capture.events(Paused)) == 2
    await hang_up(placed)


async def test_caller_that_answers_no_bye(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop does not wait for a caller who is gone; the recording is complete before."""
    monkeypatch.setattr(call_module, "_HANG_UP_SECONDS", 0.05)
    monkeypatch.setattr(conversation_module, "_HANG_UP_SECONDS", 0.05)
    async with phone(desk.address) as far_end:
        await answered(far_end)
        [call] = desk.calls.running
        async with asyncio.timeout(5):
            await call.stop("a test")
        assert desk.captured == [call.item]


async def answered(far_end: Phone) -> None:
    """Have a call taken."""
    await far_end.invite(sdp(Stream()))
    assert (await far_end.final())[0] == 200
    await far_end.ack()
