"""The end of a platform: running calls finish, and the next start takes up what is left."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mcp_sim.calls import new_call_uuid
from mcp_sim.sip import CallRefused
from tests.mcp_sim.front.callers import calling, hang_up
from tests.mcp_sim.front.recorder import check_span, recovered, running_recorder, served, until


async def test_calls_finish(tmp_path: Path) -> None:
    """A drain waits for the running call, lets its second party in, and refuses all others."""
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        uuid = new_call_uuid()
        first = await caller.gir(uuid, "1", uuid=uuid)
        drain = asyncio.create_task(recorder.front.drain(20))
        await until(lambda: not recorder.front.reception.open)
        with pytest.raises(CallRefused) as refused:
            await caller.plain()
        headers = dict(refused.value.headers)
        assert (refused.value.code, headers["Retry-After"]) == (503, "5")
        assert headers["Reason"] == 'SIP;cause=503;text="the platform is stopping"'
        second = await caller.gir(uuid, "2", uuid=uuid)
        assert not drain.done()
        ended = await hang_up(first, second)
        await drain
        await recorder.pipeline.drain(10)
        [media] = recorder.posted(uuid)
        check_span(media, first.began, ended)


async def test_calls_that_do_not_finish(tmp_path: Path) -> None:
    """After the grace period calls are stopped and hung up; their recordings are whole."""
    async with running_recorder(tmp_path) as recorder, calling(recorder.address) as caller:
        placed = [await caller.siprec() for _ in range(3)]
        before = time.time()
        await recorder.front.drain(0.05)
        ended = (before, time.time())
        for p in placed:
            assert (await p.call.wait_ended()).by == "bye"
        await recorder.pipeline.drain(10)
        for p in placed:
            [media] = recorder.posted(p.uuid)
            check_span(media, p.began, ended)
            assert not recovered(media)
        assert recorder.in_spool() == {}


async def test_what_is_not_delivered_waits(tmp_path: Path) -> None:
    """An end without any grace loses nothing: the next start renders and delivers what is left."""
    async with served() as destinations, AsyncExitStack() as outlives:
        async with running_recorder(tmp_path, destinations=destinations) as recorder:
            caller = await outlives.enter_async_context(calling(recorder.address))
            placed = await caller.plain()
        assert (await placed.call.wait_ended()).by == "bye"
        async with running_recorder(tmp_path, destinations=destinations) as recorder:
            assert not recovered(await recorder.recording(placed.uuid))
            await until(lambda: recorder.in_spool() == {})
