"""A capture process is killed: its calls are ended and rendered, and new calls work."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_sim.calls import new_call_uuid
from mcp_sim.recording.spool.folders import JOURNAL, State
from mcp_sim.sip import CallRefused
from tests.mcp_sim.front.callers import Caller, burst, calling, hang_up, speak
from tests.mcp_sim.front.recorder import Recorder, channels, recovered, running_recorder, until


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[Recorder]:
    """A recorder of its own: what is killed here is missed by nobody else."""
    async with running_recorder(tmp_path) as running:
        yield running


@pytest.fixture
async def caller(recorder: Recorder) -> AsyncIterator[Caller]:
    async with calling(recorder.address) as far_end:
        yield far_end


def kill_capture(recorder: Recorder) -> int:
    """kill -9 of the only capture process; return its id."""
    [pid] = recorder.front.fleet.pids
    os.kill(pid, signal.SIGKILL)
    return pid


def journal(recorder: Recorder) -> Path:
    """The journal of the only call."""
    [item] = recorder.in_spool()[State.CAPTURING]
    return recorder.spool.folder(item, State.CAPTURING) / JOURNAL


async def new_capture(recorder: Recorder, killed: int) -> None:
    """Wait until another process is up."""
    await until(lambda: recorder.front.fleet.pids not in ([], [killed]))


async def test_killed_in_a_call(recorder: Recorder, caller: Caller) -> None:
    """Everybody is hung up; what was on disk is one recording, marked recovered; calls go on."""
    uuid = new_call_uuid()
    customer = await caller.gir(uuid, "+1617", uuid=uuid)
    agent = await caller.gir(uuid, "7001", uuid=uuid)
    await customer.command(None, uuid, {"recordDN": "7001", "connId": "00ff"})
    size = (path := journal(recorder)).stat().st_size
    await speak(agent.ports[0], 10)
    await until(lambda: path.stat().st_size > size)
    pid = kill_capture(recorder)
    killed = time.time()
    assert {(await p.call.wait_ended()).by for p in (customer, agent)} == {"bye"}
    media = await recorder.recording(uuid)
    assert recovered(media)
    assert channels(media) == {"+1617": "left", "7001": "right"}
    assert media.parameters["connId"] == "00ff"
    assert customer.asked - 0.001 <= media.started.timestamp() <= customer.answered + 0.001
    assert media.started.timestamp() < media.stopped.timestamp() <= killed + 0.001
    span = (media.stopped - media.started).total_seconds() * 1000
    assert abs(int(media.duration) - span) <= 1
    await new_capture(recorder, pid)
    again = await caller.gir(uuid, "7001", uuid=uuid)
    await hang_up(again)
    older, newer = await recorder.recordings(uuid, 2)
    assert (recovered(older), recovered(newer)) == (True, False)
    assert recorder.front.fleet.deaths == 1
    await until(lambda: recorder.in_spool() == {})


async def test_killed_while_paused(recorder: Recorder, caller: Caller) -> None:
    """A pause that the death ended is in `masks`, without a resume."""
    placed = await caller.plain()
    await placed.command("pause")
    size = (path := journal(recorder)).stat().st_size
    burst(placed.ports[0], 5)
    await until(lambda: path.stat().st_size > size)
    kill_capture(recorder)
    await placed.call.wait_ended()
    media = await recorder.recording(placed.uuid)
    assert recovered(media)
    assert [mask.type for mask in media.masks] == ["paused"]


async def test_killed_between_calls(recorder: Recorder, caller: Caller) -> None:
    """Until the next process is up callers are asked to come again; then they are taken."""
    pid = kill_capture(recorder)
    await until(lambda: pid not in recorder.front.fleet.pids)
    with pytest.raises(CallRefused) as refused:
        await caller.plain()
    assert refused.value.code == 503
    assert "Retry-After" in dict(refused.value.headers)
    await new_capture(recorder, pid)
    placed = await caller.plain()
    await hang_up(placed)
    assert not recovered(await recorder.recording(placed.uuid))


async def test_killed_while_calls_are_set_up(recorder: Recorder, caller: Caller) -> None:
    """Of calls that were just being set up, each is recorded or refused; none is left behind."""
    tries = [asyncio.create_task(caller.siprec()) for _ in range(8)]
    await until(lambda: len(recorder.front.calls) > 0)
    kill_capture(recorder)
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, CallRefused):
            assert outcome.code == 503
        else:
            assert not isinstance(outcome, BaseException)
            await outcome.call.wait_ended()
    assert await recorder.front.calls.wait_idle(10)
    await until(lambda: recorder.in_spool() == {})


async def test_killed_while_a_call_ends(recorder: Recorder, caller: Caller) -> None:
    """A BYE and the death at once: one recording, whole or recovered."""
    placed = await caller.siprec()
    await placed.command(None)  # behind which the call's beginning is on disk
    hanging = asyncio.create_task(hang_up(placed))
    await asyncio.sleep(0)
    kill_capture(recorder)
    await hanging
    await recorder.recording(placed.uuid)
    await until(lambda: recorder.in_spool() == {})


async def test_one_of_two_processes(tmp_path: Path) -> None:
    """Calls are spread over the processes; only those of the killed one end."""
    async with (
        running_recorder(tmp_path, processes=2) as recorder,
        calling(recorder.address) as caller,
    ):
        placed = [await caller.plain() for _ in range(4)]
        running = recorder.front.calls.running
        pids = [call.capture.pid for call in running]
        assert sorted(map(pids.count, set(pids))) == [2, 2]
        os.kill(pids[0], signal.SIGKILL)
        hit = [p for p, pid in zip(placed, pids, strict=True) if pid == pids[0]]
        rest = [p for p, pid in zip(placed, pids, strict=True) if pid != pids[0]]
        for p in hit:
            await p.call.wait_ended()
            assert recovered(await recorder.recording(p.uuid))
        await hang_up(*rest)
        for p in rest:
            assert not recovered(await recorder.recording(p.uuid))
