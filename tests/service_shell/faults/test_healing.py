"""Ending the faults lets go on at once what stalls or crawls; so does the end of the service."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest

from service_shell.faults.fault import StoreFault
from tests.service_shell.faults.breakable import (
    CONTENT,
    PATIENCE,
    Breakable,
    Outcome,
    breakable,
    get,
    head,
    put,
)

HOURS = 80_000.0


async def struck(service: Breakable, number: int = 1) -> None:
    """Wait until so many strikes were counted."""
    async with asyncio.timeout(PATIENCE):
        while sum(service.switch.struck.values()) < number:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "fault",
    [
        StoreFault(kind="stall", seconds=HOURS),
        StoreFault(kind="latency", seconds=HOURS),
        StoreFault(kind="bandwidth", bytes_per_second=1),
    ],
    ids=lambda fault: fault.kind,
)
async def test_delete_heals_what_is_under_way(fault: StoreFault) -> None:
    """An upload and a download that would take hours are whole as soon as the faults are ended."""
    async with breakable() as service:
        service.put(fault)
        down = asyncio.create_task(service.exchange(get("/large")))
        up = asyncio.create_task(service.exchange(put("/x", CONTENT)))
        await struck(service, 2)
        healed = await service.exchange(get("/faults", who="faults", method="DELETE"))
        assert json.loads(healed.reply.body)["plan"]["faults"] == []
        assert (await down).reply.body == CONTENT
        assert (await up).reply.status == 201
        assert service.stored["/x"] == CONTENT


async def test_another_plan_heals_too_and_an_addition_does_not() -> None:
    """A stalled request goes on when its plan is replaced, not when a fault is added to it."""
    async with breakable() as service:
        service.put(StoreFault(kind="stall", seconds=HOURS, match="* /small"))
        stalled = asyncio.create_task(service.exchange(get("/small")))
        await struck(service)
        service.switch.add(StoreFault(kind="status", match="GET /large"))
        assert (await service.reply("/large")).status == 503
        assert not stalled.done()
        service.put(StoreFault(kind="status", match="PUT /*"))
        assert (await stalled).reply.status == 200


@pytest.mark.parametrize("kind", ["stall", "latency"])
async def test_a_client_that_gives_up_is_forgotten(kind: Literal["stall", "latency"]) -> None:
    """No request is kept for a client that went away."""
    async with breakable() as service:
        service.put(StoreFault(kind=kind, seconds=HOURS))
        before = len(asyncio.all_tasks())
        _, writer = await asyncio.open_connection(service.host, service.port)
        writer.write(get("/small"))
        await struck(service)
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.05)


async def test_the_end_of_the_service_waits_for_no_fault() -> None:
    """At its end the service answers what stalls, well within its grace."""
    answers: list[Outcome] = []
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        async with breakable(grace=PATIENCE) as service:
            service.put(StoreFault(kind="stall", seconds=HOURS))
            stalled = tasks.create_task(service.exchange(get("/small")))
            await struck(service)
        answers.append(await stalled)
    assert answers[0].reply.status == 200
    assert asyncio.get_running_loop().time() - began < PATIENCE


async def test_a_cut_that_is_healed_cuts_nothing() -> None:
    """An upload that was to be cut later on is whole when the faults end before."""
    async with breakable() as service:
        service.put(StoreFault(kind="cut", after_bytes=10))
        reader, writer = await asyncio.open_connection(service.host, service.port)
        writer.write(head("PUT", "/x", "Connection: close", f"Content-Length: {len(CONTENT)}"))
        writer.write(CONTENT[:10])
        await service.entered.wait()
        service.switch.clear()
        writer.write(CONTENT[10:])
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).startswith(b"HTTP/1.1 201")
        writer.close()
        assert service.stored["/x"] == CONTENT
