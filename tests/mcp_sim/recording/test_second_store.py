"""A copy in a second store: both get it, and neither store keeps anybody from the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mcp_sim.recording.spool.folders import MEDIA
from mcp_sim.recording.spool.item import Part, Progress, read_progress, write_progress
from mcp_sim.recording.spool.spool import State
from recording_format.metadata import decode_metadata

from .delivery_scene import Scene
from .fake_destinations import FakeStore, serving


@pytest.fixture
async def second() -> AsyncIterator[FakeStore]:
    """Give a second store that is up."""
    store = FakeStore()
    async with serving(store):
        yield store


def _ready(scene: Scene, second: FakeStore, segment: int = 1) -> str:
    return scene.ready(segment, second_storage_url=f"{second.url}/recordings/")


def _copy_progress(scene: Scene, name: str) -> Progress:
    return read_progress(scene.spool.folder(name, State.READY), Part.COPY)


async def test_both_stores_get_the_object_and_the_metadata_names_the_copy(
    scene: Scene, second: FakeStore
) -> None:
    """The same bytes twice, one post, and then the item is done."""
    name = _ready(scene, second)
    path, sealed = scene.path(name), scene.sealed(name)
    delivery = await scene.deliver()
    assert scene.store.objects == second.objects == {path: sealed}
    assert scene.spool.items(State.DELIVERED) == [name]
    (post,) = scene.processor.posts
    (media,) = decode_metadata(post.body).media_files
    assert media.lab is not None
    assert media.lab.copy_path == f"{second.url}{path}"
    assert media.media_descriptor.path == f"{scene.store.url}{path}"
    assert (delivery.stats.delivered, delivery.stats.copies) == (1, 1)


async def test_a_second_store_that_is_down_delays_its_copy_only(
    scene: Scene, second: FakeStore
) -> None:
    """The recording is found at once; its sound stays in the spool until the copy is made."""
    name = _ready(scene, second)
    path, sealed = scene.path(name), scene.sealed(name)
    second.script += [500] * 2
    await scene.deliver()
    assert len(scene.processor.posts) == 1
    assert scene.progress(name).settled
    assert not _copy_progress(scene, name).settled
    await scene.deliver_later()
    assert scene.sealed(name) == sealed
    await scene.deliver_later()
    assert second.objects == {path: sealed}
    assert scene.spool.items(State.DELIVERED) == [name]
    assert not (scene.spool.folder(name, State.DELIVERED) / MEDIA).exists()
    assert (scene.store.count("PUT"), len(scene.processor.posts)) == (1, 1)


async def test_a_first_store_that_is_down_does_not_delay_the_copy(
    scene: Scene, second: FakeStore
) -> None:
    """The copy is made meanwhile; nothing is posted before the object is in its own store."""
    names = [_ready(scene, second, segment) for segment in range(1, 5)]
    scene.store.script += [500] * 3
    async with scene.delivery(concurrency=2, failures=2) as delivery:
        assert await delivery.drain(30)
        assert len(second.objects) == len(names)
        assert scene.processor.posts == []
        scene.time += 1000
        assert await delivery.drain(30)
        scene.time += 1000
        assert await delivery.drain(30)
    assert scene.spool.items(State.DELIVERED) == names
    assert len(scene.processor.posts) == len(names)
    assert second.count("PUT") == len(names)


async def test_what_the_second_store_never_takes_is_put_aside_after_the_recording_arrived(
    scene: Scene, second: FakeStore
) -> None:
    """A conflict there is told to a person, and costs the recording nothing."""
    name = _ready(scene, second)
    path = scene.path(name)
    second.objects[path] = b"another object"
    delivery = await scene.deliver()
    assert len(scene.processor.posts) == 1
    assert scene.spool.state_of(name) is State.FAILED
    assert f"another object as {second.url}{path}" in scene.why(name)
    assert (scene.spool.folder(name, State.FAILED) / MEDIA).exists()
    assert second.objects[path] == b"another object"
    assert (delivery.stats.delivered, delivery.stats.conflicts) == (1, 1)


async def test_what_the_first_store_never_takes_waits_for_its_copy(
    scene: Scene, second: FakeStore
) -> None:
    """The item is put aside only when both are settled, so that the copy is made all the same."""
    name = _ready(scene, second)
    scene.store.script.append(413)
    second.script.append(500)
    await scene.deliver()
    assert scene.spool.state_of(name) is State.READY
    assert "413" in scene.progress(name).given_up
    await scene.deliver_later()
    assert len(second.objects) == 1
    assert scene.spool.state_of(name) is State.FAILED
    assert "413" in scene.why(name)
    assert scene.store.count("PUT") == 1


async def test_an_item_whose_parts_are_settled_moves_without_a_request(
    scene: Scene, second: FakeStore
) -> None:
    """A process killed between the last word and the move: the next one only moves the item."""
    name = _ready(scene, second)
    folder = scene.spool.folder(name, State.READY)
    for part in Part:
        write_progress(folder, Progress(settled=True), part)
    delivery = await scene.deliver()
    assert scene.spool.items(State.DELIVERED) == [name]
    assert scene.store.requests == second.requests == scene.processor.posts == []
    assert delivery.stats.delivered == 0


async def test_what_arrived_is_not_brought_again_by_the_next_process(
    scene: Scene, second: FakeStore
) -> None:
    """After a restart only the part that is missing is tried."""
    name = _ready(scene, second)
    second.script.append(500)
    await scene.deliver()
    before = len(scene.store.requests)
    scene.time += 1000
    delivery = await scene.deliver()
    assert scene.spool.items(State.DELIVERED) == [name]
    assert len(scene.store.requests) == before
    assert delivery.stats.copies == 1
