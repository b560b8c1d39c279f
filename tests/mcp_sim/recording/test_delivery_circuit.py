"""A destination that is down or silent: who waits for it, who does not, and when it goes on."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from mcp_sim.recording.delivery.delivery import DeliveryCredentials
from mcp_sim.recording.delivery.route import origin_of
from mcp_sim.recording.spool.item import SpoolItem
from mcp_sim.recording.spool.spool import State

from .delivery_scene import Scene
from .fake_destinations import ACCOUNT, POST_ACCOUNT, silence


async def test_a_store_that_is_down_is_not_asked_for_each_item(scene: Scene) -> None:
    """After three failures in a row the rest waits as it is: no try, no progress written."""
    names = [scene.ready(segment) for segment in range(1, 8)]
    scene.store.script += [500] * 100
    async with scene.delivery(concurrency=1, failures=3) as delivery:
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 3
        assert delivery.stats.destinations[origin_of(scene.store.url)]
        assert [scene.progress(name).tries for name in names] == [1, 1, 1, 0, 0, 0, 0]
        scene.time += 4
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 3
        scene.time += 1
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 4
        scene.time += 10
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 5
    assert scene.processor.posts == []


async def test_a_success_wakes_all_that_waited(scene: Scene) -> None:
    """One probe that works, and everything arrives though nothing else is due."""
    names = [scene.ready(segment) for segment in range(1, 8)]
    scene.store.script += [500] * 3
    with structlog.testing.capture_logs() as lines:
        async with scene.delivery(concurrency=1, failures=3) as delivery:
            assert await delivery.drain(30)
            scene.time += 5
            assert await delivery.drain(30)
            assert scene.spool.items(State.DELIVERED) == names
            assert not any(delivery.stats.destinations.values())
    told = [line for line in lines if "to a destination" in line["event"]]
    assert [line["event"] for line in told] == [
        "Deliveries to a destination were stopped",
        "Deliveries to a destination were resumed",
    ]
    assert {line["destination"] for line in told} == {origin_of(scene.store.url)}
    assert "500" in told[0]["reason"]
    assert len(scene.processor.posts) == 7


async def test_a_store_that_never_answers_does_not_starve_another(scene: Scene) -> None:
    """The silent one holds half of the slots; the other's recordings go through the rest."""
    async with silence() as url, scene.delivery(concurrency=4, patience=60) as delivery:
        for segment in range(1, 9):
            scene.ready(segment, storage_url=f"{url}/recordings")
        good = [scene.ready(segment) for segment in range(9, 15)]
        assert not await delivery.drain(0)
        async with asyncio.timeout(20):
            while delivery.stats.delivered < len(good):
                assert delivery.stats.running <= 4
                await asyncio.sleep(0.01)
        assert (delivery.stats.running, delivery.stats.waiting) == (2, 6)
    assert scene.spool.items(State.DELIVERED) == good


async def test_an_open_circuit_holds_up_nobody_else(scene: Scene) -> None:
    """A store that refuses connections: its items wait, those of the other one arrive."""
    bad = [scene.ready(n, storage_url="http://127.0.0.1:1/recordings") for n in range(1, 6)]
    good = [scene.ready(n) for n in range(6, 10)]
    async with scene.delivery(concurrency=2, failures=2) as delivery:
        assert await delivery.drain(30)
        assert delivery.stats.destinations["http://127.0.0.1:1"]
        assert delivery.stats.retries == 2
    assert scene.spool.items(State.DELIVERED) == good
    assert scene.spool.items(State.READY) == bad


async def test_a_processor_that_is_down_holds_up_the_uploads_too(scene: Scene) -> None:
    """Nothing is put again and again; after one good probe each recording is there once."""
    names = [scene.ready(segment) for segment in range(1, 6)]
    scene.processor.script += [(503, "{}")] * 3
    async with scene.delivery(concurrency=1, failures=2) as delivery:
        assert await delivery.drain(30)
        assert (scene.store.count("PUT"), len(scene.processor.posts)) == (2, 2)
        assert delivery.stats.destinations[origin_of(scene.processor.url)]
        for pause in (5, 10):
            scene.time += pause
            assert await delivery.drain(30)
    assert scene.spool.items(State.DELIVERED) == names
    assert (scene.store.count("PUT"), len(scene.processor.posts)) == (5, 8)


async def test_the_circuit_respects_retry_after(scene: Scene) -> None:
    """A store that says when it will be back is not probed before."""
    for segment in (1, 2):
        scene.ready(segment)
    scene.store.script.append((503, {"Retry-After": "600"}))
    async with scene.delivery(concurrency=1, failures=1) as delivery:
        assert await delivery.drain(30)
        scene.time += 599
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 1
        scene.time += 1
        assert await delivery.drain(30)
    assert len(scene.spool.items(State.DELIVERED)) == 2


async def test_a_restart_asks_anew(scene: Scene) -> None:
    """An open circuit is not kept on disk: the next process sees for itself, by the schedule."""
    names = [scene.ready(segment) for segment in (1, 2, 3)]
    scene.store.script += [500]
    async with scene.delivery(concurrency=1, failures=1) as delivery:
        assert await delivery.drain(30)
        assert delivery.stats.destinations[origin_of(scene.store.url)]
    async with scene.delivery(concurrency=1, failures=1) as delivery:
        assert await delivery.drain(30)
        assert scene.spool.items(State.DELIVERED) == names[1:]


class Wallet:
    """Credentials that a person can change."""

    def __init__(self, storage: tuple[str, str], posts: tuple[str, str] = POST_ACCOUNT) -> None:
        self.now = DeliveryCredentials(storage, posts)

    async def credentials(self, _item: SpoolItem) -> DeliveryCredentials:
        """Give what is in force."""
        return self.now


@pytest.mark.parametrize("failures", [2, 100])
@pytest.mark.parametrize("which", ["store", "processor"])
async def test_a_corrected_password_helps_at_once(scene: Scene, which: str, failures: int) -> None:
    """No restart, no second of waiting: whether the circuit had opened by then or not."""
    wrong = ("mcp", "wrong")
    wallet = Wallet(wrong) if which == "store" else Wallet(ACCOUNT, wrong)
    scene.credentials = wallet.credentials
    names = [scene.ready(segment) for segment in range(1, 6)]
    async with scene.delivery(concurrency=1, failures=failures) as delivery:
        assert await delivery.drain(30)
        assert scene.spool.items(State.READY) == names
        wallet.now = DeliveryCredentials(ACCOUNT, POST_ACCOUNT)
        delivery.credentials_changed()
        assert await delivery.drain(30)
    assert scene.spool.items(State.DELIVERED) == names
    assert len(scene.store.objects) == 5


async def test_an_edition_that_changes_no_password_wakes_nothing(scene: Scene) -> None:
    """A store that refuses us is not asked more often because somebody edits profiles."""
    scene.credentials = Wallet(("mcp", "wrong")).credentials
    scene.ready()
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        for _ in range(3):
            delivery.credentials_changed()
            assert await delivery.drain(30)
    assert scene.store.count("PUT") == 1


async def test_a_password_corrected_during_a_try_is_not_missed(scene: Scene) -> None:
    """The try that was under way fails with the old one; the next begins at once."""
    wallet = Wallet(("mcp", "wrong"))
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(item: SpoolItem) -> DeliveryCredentials:
        found = await wallet.credentials(item)
        if not asked.is_set():
            asked.set()
            await answer.wait()
        return found

    scene.credentials = slowly
    name = scene.ready()
    async with scene.delivery() as delivery:
        async with asyncio.timeout(10):
            await asked.wait()
        wallet.now = DeliveryCredentials(ACCOUNT, POST_ACCOUNT)
        delivery.credentials_changed()
        answer.set()
        assert await delivery.drain(30)
    assert scene.spool.state_of(name) is State.DELIVERED
    assert [r.method for r in scene.store.requests] == ["PUT", "PUT", "HEAD"]


async def test_a_password_corrected_after_a_restart_helps_at_once(scene: Scene) -> None:
    """What the process before had failed with is not known any more: it is tried."""
    wallet = Wallet(("mcp", "wrong"))
    scene.credentials = wallet.credentials
    name = scene.ready()
    await scene.deliver()
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 1
        wallet.now = DeliveryCredentials(ACCOUNT, POST_ACCOUNT)
        delivery.credentials_changed()
        assert await delivery.drain(30)
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_an_edition_after_a_restart_keeps_the_schedule(scene: Scene) -> None:
    """No password helps a store that was full or down: what it asked for is still respected."""
    scene.ready()
    scene.store.script.append((503, {"Retry-After": "90"}))
    await scene.deliver()
    async with scene.delivery() as delivery:
        assert await delivery.drain(30)
        delivery.credentials_changed()
        assert await delivery.drain(30)
    assert scene.store.count("PUT") == 1


async def test_anothers_right_password_wakes_no_wrong_one(scene: Scene) -> None:
    """The circuit closes; what was refused for its own password keeps its schedule."""

    async def by_profile(item: SpoolItem) -> DeliveryCredentials:
        wrong = item.profile_dbid == 999
        return DeliveryCredentials(("mcp", "wrong") if wrong else ACCOUNT, POST_ACCOUNT)

    scene.credentials = by_profile
    wrong, right = scene.ready(1, profile_dbid=999), scene.ready(2)
    async with scene.delivery(concurrency=1, failures=1) as delivery:
        assert await delivery.drain(30)
        scene.time += 5
        assert await delivery.drain(30)
        assert not any(delivery.stats.destinations.values())
    assert scene.spool.state_of(right) is State.DELIVERED
    assert scene.progress(wrong).tries == 1


async def test_two_profiles_at_one_store_with_one_wrong_password(scene: Scene) -> None:
    """The right one's recordings all arrive, and do not wake those that are wrong for ever."""

    async def by_profile(item: SpoolItem) -> DeliveryCredentials:
        wrong = item.profile_dbid == 999
        return DeliveryCredentials(("mcp", "wrong") if wrong else ACCOUNT, POST_ACCOUNT)

    scene.credentials = by_profile
    wrong = [scene.ready(n, profile_dbid=999) for n in (1, 2, 3)]
    right = [scene.ready(n) for n in (4, 5, 6)]
    async with scene.delivery(concurrency=1, failures=2) as delivery:
        assert await delivery.drain(30)
        assert scene.store.count("PUT") == 2
        scene.time += 5
        assert await delivery.drain(30)
        assert scene.spool.items(State.DELIVERED) == []
        scene.time += 10
        assert await delivery.drain(30)
        scene.time += 20
        assert await delivery.drain(30)
    assert scene.spool.items(State.DELIVERED) == right
    assert scene.spool.items(State.READY) == wrong
