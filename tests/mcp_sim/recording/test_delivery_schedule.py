"""When deliveries are tried: again, later, at once, side by side, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mcp_sim.recording.delivery.delivery import DeliveryCredentials
from mcp_sim.recording.render.messages import RenderSettings
from mcp_sim.recording.render.render import render
from mcp_sim.recording.spool.folders import ITEM
from mcp_sim.recording.spool.item import SpoolItem
from mcp_sim.recording.spool.spool import State

from .delivery_scene import Scene
from .fake_destinations import ACCOUNT, POST_ACCOUNT, silence
from .recorded_call import course, make_plan, record


async def test_a_damaged_description_is_put_aside(scene: Scene) -> None:
    """An item that cannot be read does not stop the others."""
    one, other = scene.ready(1), scene.ready(2)
    (scene.spool.folder(one, State.READY) / ITEM).write_bytes(b"{")
    await scene.deliver()
    assert scene.spool.state_of(one) is State.FAILED
    assert scene.spool.state_of(other) is State.DELIVERED


async def test_retries_wait_longer_each_time_and_survive_a_restart(scene: Scene) -> None:
    """10, 20, 40, 80, at most 100 seconds: each new delivery goes on where the last one was."""
    name = scene.ready()
    scene.store.script += [500] * 6
    waits = []
    for _ in range(6):
        await scene.deliver()
        due = scene.progress(name).next_try
        waits.append(due - scene.time)
        scene.time = due - 1
        await scene.deliver()
        assert scene.progress(name).next_try == due
        scene.time = due
    assert waits == [10, 20, 40, 80, 100, 100]
    await scene.deliver()
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_retry_after_is_respected(scene: Scene) -> None:
    """A store that says when it will be back is not asked before."""
    name = scene.ready()
    scene.store.script += [500, 503]
    await scene.deliver()
    scene.time += 10
    await scene.deliver()
    assert scene.progress(name).next_try == scene.time + 20


async def test_a_clock_set_back_does_not_delay_for_ever(scene: Scene) -> None:
    """An item that waits for a far day is tried after the longest wait all the same."""
    name = scene.ready()
    scene.store.script.append(500)
    await scene.deliver()
    scene.time -= 1_000_000
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 1
        scene.time += 101
        assert await delivery.drain(30)
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_many_recordings_are_delivered_at_a_bounded_rate(scene: Scene) -> None:
    """All arrive, each once, and never more at a time than allowed."""
    names = [scene.ready(segment) for segment in range(1, 13)]
    async with scene.delivery(concurrency=3) as delivery:
        watch = asyncio.create_task(_highest(lambda: delivery.stats.running))
        assert await delivery.drain(30)
        assert not watch.done()
        watch.cancel()
    assert scene.spool.items(State.DELIVERED) == names
    assert len(scene.store.objects) == len(scene.processor.posts) == 12
    assert delivery.stats.delivered == 12


async def _highest(read: Callable[[], int]) -> None:
    while True:
        assert read() <= 3
        await asyncio.sleep(0)


async def test_an_item_that_comes_later_is_delivered_when_woken(scene: Scene) -> None:
    """Delivery sleeps while nothing is there, and `wake` is all that it needs."""
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        name = scene.ready()
        delivery.wake()
        assert await delivery.drain(30)
        assert scene.spool.state_of(name) is State.DELIVERED


async def test_a_drain_ends_with_its_grace(scene: Scene) -> None:
    """A store that keeps us waiting does not hold up the end; the item stays for later."""
    async with silence() as url, scene.delivery() as delivery:
        name = scene.ready(storage_url=f"{url}/recordings")
        assert not await delivery.drain(0.2)
    assert scene.spool.state_of(name) is State.READY
    assert scene.progress(name).unconfirmed


async def test_a_fault_of_ours_with_one_item_does_not_stop_the_others(scene: Scene) -> None:
    """Whatever goes wrong with one recording, the next one is delivered."""

    async def fault(item: SpoolItem) -> DeliveryCredentials:
        if item.recording_id == "BAD":
            raise ZeroDivisionError
        return DeliveryCredentials(ACCOUNT, POST_ACCOUNT)

    scene.credentials = fault
    good = scene.ready(1)
    plan = make_plan("BAD", segment=2)
    bad = record(scene.spool, scene.keyring, course(1000), plan=plan)
    render(scene.spool, bad, scene.keyring, RenderSettings())
    await scene.deliver()
    assert scene.spool.state_of(good) is State.DELIVERED
    assert scene.spool.state_of(bad) is State.READY


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_jump_of_the_wall_clock_changes_no_wait(scene: Scene, jump: float) -> None:
    """A day back freezes nothing for a day, a day ahead makes nothing due before its time."""
    name = scene.ready()
    scene.store.script.append(500)
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        scene.ahead += jump
        scene.time += 9
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 1
        scene.time += 1
        assert await delivery.drain(30)
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_jump_before_a_restart_costs_one_wait_at_most(scene: Scene, jump: float) -> None:
    """The next process tries at once, or after the longest wait: not after a day."""
    name = scene.ready()
    scene.store.script.append(500)
    await scene.deliver()
    scene.ahead += jump
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        scene.time += 100
        assert await delivery.drain(30)
    assert scene.spool.state_of(name) is State.DELIVERED
