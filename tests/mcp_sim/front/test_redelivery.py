"""A person's retry: what waits goes now, to where its profile sends it by now, and never over
something else.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from mcp_sim import redelivery
from mcp_sim.app import open_delivery
from mcp_sim.config import DeliverySettings
from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook, ProfileEdition
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.spool.folders import CRASHES, ITEM, JOURNAL
from mcp_sim.recording.spool.spool import Spool, State
from mcp_sim.redelivery import Redelivery, RetryAnswer
from recording_format.metadata import decode_metadata
from tests.mcp_sim.front.pki import profile, with_options
from tests.mcp_sim.recording.delivery_scene import Scene, right_credentials
from tests.mcp_sim.recording.fake_destinations import (
    ACCOUNT,
    POST_ACCOUNT,
    FakeProcessor,
    FakeStore,
    serving,
)

NOWHERE, POSTS = "http://127.0.0.1:9", "/api/contact-centers/x/recordings"
SELDOM = DeliverySettings(first_retry=3600, longest_retry=3600, circuit_failures=1)


@dataclass
class Renders:
    """Takes note of what shall be rendered."""

    seen: list[str] = field(default_factory=list)

    async def render(self, item: str) -> bool:
        self.seen.append(item)
        return False


@dataclass
class Desk:
    """A spool whose recordings wait, and who retries them."""

    scene: Scene
    book: ProfileBook
    renders: Renders = field(default_factory=Renders)

    def publish(self, store: str = "", processor: str = "", second: str = "") -> None:
        """Put a profile in force that names these, or the right places."""
        options = {
            "recordingclient.recdest": store or f"{self.scene.store.url}/recordings/",
            "recordingclient.callrec_dest": processor or f"{self.scene.processor.url}{POSTS}",
            "recordingclient.httpauthorization": ":".join(ACCOUNT),
            "recordingclient.callrec_authorization": ":".join(POST_ACCOUNT),
        }
        if second:
            options["recordingclient.recdest2"] = second
        edition = ProfileEdition(self.book.version + 1, [with_options(profile(), options)])
        self.book.update(edition)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[tuple[Pipeline, Redelivery]]:
        """The platform's pipeline, as a process that was just started has it."""
        async with aiohttp.ClientSession() as http:
            spool = self.scene.spool
            delivery = open_delivery(SELDOM, self.scene.keyring, spool, self.book, http)
            pipeline = Pipeline(spool, cast("RenderPool", self.renders), delivery)
            async with pipeline.running():
                yield pipeline, Redelivery(spool, pipeline, self.book)

    async def tried(self) -> None:
        """Let everything be tried once; the next try is an hour away."""
        async with self.working() as (pipeline, _):
            await pipeline.drain(30)

    async def retried(self, names: Sequence[str] | None = None) -> RetryAnswer:
        """Retry at once after a start, and let it be done."""
        async with self.working() as (pipeline, retrying):
            answer = await retrying.retry(names)
            await pipeline.drain(30)
            return answer


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A spool, a store, a processor, and the profile that names them."""
    store, processor = FakeStore(), FakeProcessor()
    with Spool(tmp_path / "spool", wait=0) as spool:
        async with serving(store), serving(processor):
            scene = Scene(spool, SpoolKeyring.generate(), store, processor, right_credentials)
            made = Desk(scene, ProfileBook())
            made.publish()
            yield made


async def test_what_waits_for_its_next_try_goes_now(desk: Desk) -> None:
    """An hour's pause and an open circuit are over at once, also right after a start."""
    desk.scene.store.script.extend([500, 500])
    names = [desk.scene.ready(1), desk.scene.ready(2)]
    await desk.tried()
    assert desk.scene.progress(names[0]).tries == 1
    answer = await desk.retried()
    assert sorted(answer.retried) == sorted(names)
    assert answer.addresses == []
    assert {desk.scene.spool.state_of(name) for name in names} == {State.DELIVERED}


async def test_corrected_addresses_are_followed(desk: Desk) -> None:
    """A recording goes where the profile sends it by now, and its metadata say so."""
    name = desk.scene.ready(storage_url=f"{NOWHERE}/old", processor_url=f"{NOWHERE}/posts")
    await desk.tried()
    before = desk.scene.item(name)
    assert before.object_url.startswith(f"{NOWHERE}/old/")
    answer = await desk.retried()
    assert [(one.destination, one.before, one.after) for one in answer.addresses] == [
        ("store", f"{NOWHERE}/old", f"{desk.scene.store.url}/recordings"),
        ("processor", f"{NOWHERE}/posts", f"{desk.scene.processor.url}{POSTS}"),
    ]
    [(path, stored)] = desk.scene.store.objects.items()
    assert path == f"/recordings/{before.object_url.rpartition('/')[2]}"
    [post] = desk.scene.processor.posts
    [media] = decode_metadata(post.body).media_files
    assert media.media_descriptor.path == f"{desk.scene.store.url}{path}"
    assert (media.lab is not None, len(stored)) == (True, before.size)


async def test_what_is_stored_stays_in_its_store(desk: Desk) -> None:
    """The processor's address is replaced, that of a store which has the object is not."""
    name = desk.scene.ready(processor_url=f"{NOWHERE}/posts")
    await desk.tried()
    assert desk.scene.progress(name).stored
    desk.publish(store=f"{NOWHERE}/elsewhere")
    answer = await desk.retried()
    assert [one.destination for one in answer.addresses] == ["processor"]


async def test_a_conflict_is_never_stored_over(desk: Desk) -> None:
    """Another object of that name survives every retry; once a person removed it, ours goes."""
    name = desk.scene.ready()
    path = desk.scene.path(name)
    desk.scene.store.objects[path] = b"somebody else's"
    await desk.tried()
    assert "holds another object" in desk.scene.why(name)
    for _ in range(2):
        answer = await desk.retried()
        assert answer.returned == [name]
        assert desk.scene.store.objects[path] == b"somebody else's"
        assert desk.scene.spool.state_of(name) is State.FAILED
    del desk.scene.store.objects[path]
    await desk.retried([name])
    assert desk.scene.spool.state_of(name) is State.DELIVERED
    assert len(desk.scene.processor.posts) == 1


async def test_what_was_refused_gets_another_try(desk: Desk) -> None:
    """An indexer that refused once, and takes it now, has one recording."""
    desk.scene.processor.script.append((400, '{"statusCode":2,"statusMessage":"no"}'))
    name = desk.scene.ready()
    await desk.tried()
    assert desk.scene.spool.state_of(name) is State.FAILED
    assert (await desk.retried()).returned == [name]
    assert desk.scene.spool.state_of(name) is State.DELIVERED


async def test_a_copy_follows_its_profile_too(desk: Desk) -> None:
    """Both stores' addresses are corrected, and the metadata tell both."""
    name = desk.scene.ready(
        storage_url=f"{NOWHERE}/old", second_storage_url=f"{NOWHERE}/old-copies"
    )
    await desk.tried()
    copies = f"{desk.scene.store.url}/copies"
    desk.publish(second=copies)
    answer = await desk.retried([name])
    assert [one.destination for one in answer.addresses] == ["store", "second store"]
    assert desk.scene.spool.state_of(name) is State.DELIVERED
    assert sorted(path.split("/")[1] for path in desk.scene.store.objects) == [
        "copies", "recordings"
    ]  # fmt: skip
    [post] = desk.scene.processor.posts
    [media] = decode_metadata(post.body).media_files
    assert media.lab is not None
    assert media.lab.copy_path.startswith(f"{copies}/")


async def test_what_arrived_of_an_item_is_not_sent_again(desk: Desk) -> None:
    """A recording is filed once, however often the copy of it is in conflict and retried."""
    name = desk.scene.ready(second_storage_url=f"{desk.scene.store.url}/recordings/copies")
    desk.publish(second=f"{desk.scene.store.url}/recordings/copies")
    path = desk.scene.path(name).replace("/recordings/", "/recordings/copies/")
    desk.scene.store.collections.add("/recordings/copies")
    desk.scene.store.objects[path] = b"somebody else's"
    await desk.tried()
    assert "holds another object" in desk.scene.why(name)
    await desk.retried()
    assert desk.scene.spool.state_of(name) is State.FAILED
    assert desk.scene.store.objects[path] == b"somebody else's"
    del desk.scene.store.objects[path]
    await desk.retried()
    assert desk.scene.spool.state_of(name) is State.DELIVERED
    assert len(desk.scene.processor.posts) == 1


async def test_only_the_named_are_retried(desk: Desk) -> None:
    """Others keep waiting, or stay aside."""
    desk.scene.processor.script.extend([(400, ""), (400, "")])
    names = [desk.scene.ready(1), desk.scene.ready(2)]
    await desk.tried()
    assert (await desk.retried([names[0]])).returned == [names[0]]
    states = [desk.scene.spool.state_of(name) for name in names]
    assert states == [State.DELIVERED, State.FAILED]


async def test_what_cannot_be_delivered_stays_aside(desk: Desk) -> None:
    """Without readable metadata it is left; with its journal it is rendered once more."""
    names = [desk.scene.ready(number) for number in (1, 2, 3)]
    for name in names:
        folder = desk.scene.spool.folder(name, State.READY)
        (folder / ITEM).write_bytes(b"{")
        desk.scene.spool.fail(name, "its metadata cannot be read")
    item = desk.scene.spool.folder(names[1], State.FAILED)
    (item / JOURNAL).write_bytes(b"journal")
    (item / CRASHES).write_text("2")
    (desk.scene.spool.folder(names[2], State.FAILED) / ITEM).unlink()
    answer = await desk.retried()
    assert (answer.left, answer.rendering) == ([names[0], names[2]], [names[1]])
    assert desk.renders.seen == [names[1]]
    assert not (desk.scene.spool.folder(names[1], State.RENDERING) / CRASHES).exists()


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.parametrize("aside", [False, True])
async def test_a_retry_that_is_cut(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: int, *, aside: bool
) -> None:
    """Wherever it ends, the next retry brings the one recording to the right place."""
    name = desk.scene.ready(storage_url=f"{NOWHERE}/old", processor_url=f"{NOWHERE}/posts")
    await desk.tried()
    if aside:
        desk.scene.spool.fail(name, "somebody put it aside")
    left = step

    def cut(written: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(errno.EIO, "the disk is gone")
            written(*arguments)

        return write

    with monkeypatch.context() as patch:
        for function in ("write_progress", "write_item"):
            patch.setattr(redelivery, function, cut(getattr(redelivery, function)))
        patch.setattr(desk.scene.spool, "take_back", cut(desk.scene.spool.take_back))
        await desk.retried()
    assert left <= 0 or not aside
    await desk.retried()
    assert desk.scene.spool.state_of(name) is State.DELIVERED
    [path] = desk.scene.store.objects
    [post] = desk.scene.processor.posts
    [media] = decode_metadata(post.body).media_files
    assert media.media_descriptor.path == f"{desk.scene.store.url}{path}"


async def test_a_delivery_under_way_is_left_alone(desk: Desk) -> None:
    """An item is not given another address while it is being sent to the one that it has."""
    answered = asyncio.Event()
    desk.scene.store.script.append(answered)
    name = desk.scene.ready()
    async with desk.working() as (pipeline, retrying):
        async with asyncio.timeout(30):
            while not desk.scene.store.objects:
                await asyncio.sleep(0.01)
        desk.publish(store=f"{NOWHERE}/elsewhere")
        assert (await retrying.retry()).addresses == []
        answered.set()
        await pipeline.drain(30)
    assert desk.scene.spool.state_of(name) is State.DELIVERED


async def test_a_second_store_that_is_down_keeps_nobody_from_a_retry(desk: Desk) -> None:
    """What the indexer refused once is retried, although its copy still waits for its store."""
    desk.scene.processor.script.append((400, '{"statusCode":2,"statusMessage":"no"}'))
    name = desk.scene.ready(second_storage_url=f"{NOWHERE}/copies")
    await desk.tried()
    assert desk.scene.progress(name).given_up
    answer = await desk.retried([name])
    assert answer.retried == [name]
    assert len(desk.scene.processor.posts) == 2  # the one that was refused, and this one
    progress = desk.scene.progress(name)
    assert (progress.settled, progress.given_up) == (True, "")
    assert desk.scene.store.count("PUT") == 2
    assert desk.scene.spool.state_of(name) is State.READY


async def test_what_was_stored_before_it_was_refused_stays_in_its_store(desk: Desk) -> None:
    """One object, wherever the profile sends new ones by now: only the indexer is corrected."""
    desk.scene.processor.script.append((400, ""))
    name = desk.scene.ready(processor_url=f"{desk.scene.processor.url}{POSTS}/old")
    path = desk.scene.path(name)
    await desk.tried()
    assert desk.scene.spool.state_of(name) is State.FAILED
    desk.publish(store=f"{desk.scene.store.url}/recordings/elsewhere")
    answer = await desk.retried()
    assert [one.destination for one in answer.addresses] == ["processor"]
    assert list(desk.scene.store.objects) == [path]
    assert desk.scene.spool.state_of(name) is State.DELIVERED
