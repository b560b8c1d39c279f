"""One recording at the end, never none and never two: what races, lies and losses do to it."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from mcp_sim.recording.spool.folders import ITEM, PROGRESS
from mcp_sim.recording.spool.spool import State

from .delivery_scene import Scene

HTML = "<!doctype html><title>It works!</title>"


async def test_what_was_delivered_during_a_listing_is_not_tried_again(scene: Scene) -> None:
    """A listing of the spool may be older than a delivery's end; nothing is put aside for that."""
    name = scene.ready()
    await scene.deliver()
    assert scene.spool.state_of(name) is State.DELIVERED
    stale, newest = [[name]], scene.spool.items
    with patch.object(scene.spool, "items", lambda s: stale.pop() if stale else newest(s)):
        delivery = await scene.deliver()
    assert not stale
    assert scene.spool.state_of(name) is State.DELIVERED
    assert (delivery.stats.failed, delivery.stats.retries) == (0, 0)
    assert (scene.store.count("PUT"), len(scene.processor.posts)) == (1, 1)


async def test_many_that_end_at_once_forget_the_oldest_together(scene: Scene) -> None:
    """Several deliveries clear the old descriptions at the same time: none is disturbed by it."""
    scene.spool._keep_delivered = 0
    names = [scene.ready(segment) for segment in range(1, 17)]
    async with scene.delivery(concurrency=16) as delivery:
        assert await delivery.drain(60)
    assert delivery.stats.delivered == len(names) == len(scene.processor.posts)
    assert (delivery.stats.failed, delivery.stats.retries) == (0, 0)
    assert scene.spool.items(State.READY) == scene.spool.items(State.FAILED) == []


async def test_what_the_store_lost_meanwhile_is_stored_again(scene: Scene) -> None:
    """201 and verified, then gone while the processor was down: metadata never comes before it."""
    name = scene.ready()
    path, sealed = scene.path(name), scene.sealed(name)
    scene.processor.script.append((503, "{}"))
    await scene.deliver()
    assert scene.progress(name).stored
    scene.store.objects.clear()
    await scene.deliver_later()
    assert scene.store.objects == {path: sealed}
    assert scene.spool.state_of(name) is State.DELIVERED
    puts = [request for request in scene.store.requests if request.method == "PUT"]
    assert [put.headers.get("If-None-Match") for put in puts] == ["*", "*"]


async def test_what_the_store_cut_meanwhile_is_a_conflict(scene: Scene) -> None:
    """Another object under the name after ours was confirmed: it is not overwritten."""
    name = scene.ready()
    path = scene.path(name)
    scene.processor.script.append((503, "{}"))
    await scene.deliver()
    scene.store.objects[path] = b"somebody else's"
    await scene.deliver_later()
    assert scene.store.objects[path] == b"somebody else's"
    assert "holds another object" in scene.why(name)
    assert len(scene.processor.posts) == 1


async def test_a_store_that_is_down_at_the_retry_holds_up_the_metadata(scene: Scene) -> None:
    """Whether the object is still there must be known before the spool lets go of it."""
    name = scene.ready()
    scene.processor.script.append((503, "{}"))
    await scene.deliver()
    scene.store.account = ("mcp", "changed")
    await scene.deliver_later()
    progress = scene.progress(name)
    assert (progress.tries, progress.stored) == (2, True)
    assert "401 to HEAD" in progress.fault
    assert len(scene.processor.posts) == 1


@pytest.mark.parametrize("body", ["", "{}", '{"id":"x"}', '{"statusCode":0}', " \r\n"])
async def test_what_counts_as_success(scene: Scene, body: str) -> None:
    """200 with nothing, or with JSON that does not say no."""
    name = scene.ready()
    scene.processor.script.append((200, body))
    await scene.deliver()
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize(
    "body", [HTML, "ok", "[]", '"ok"', '{"statusCode":"0"}', '{"statusCode":4}']
)
async def test_what_some_other_server_says_is_no_success(scene: Scene, body: str) -> None:
    """A wrong address that answers 200 to everything must not cost the recording."""
    name = scene.ready()
    scene.processor.script.append((200, body))
    await scene.deliver()
    assert scene.spool.state_of(name) is State.READY
    assert "the processor answered 200" in scene.progress(name).fault
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize(
    ("status", "code", "state"), [(200, 0, State.DELIVERED), (200, 4, State.READY)]
)
async def test_an_answer_in_pieces_is_read_to_its_end(
    scene: Scene, status: int, code: int, state: State
) -> None:
    """What the answer says is not guessed from its first segment."""
    scene.processor.in_pieces = True
    scene.processor.script.append((status, f'{{"statusMessage":"in the end","statusCode":{code}}}'))
    name = scene.ready()
    await scene.deliver()
    assert scene.spool.state_of(name) is state
    if state is State.READY:
        assert "in the end" in scene.progress(name).fault


@pytest.mark.parametrize("which", ["storage_url", "processor_url"])
async def test_a_password_in_an_address_goes_nowhere(scene: Scene, which: str) -> None:
    """Neither the spool nor a fault nor the destinations get what stands before the host."""
    urls = {
        "storage_url": f"{scene.store.url}/recordings",
        "processor_url": f"{scene.processor.url}/api/contact-centers/x/recordings",
    }
    name = scene.ready(**{which: urls[which].replace("http://", "http://user:hunter2@")})
    scene.processor.script.append((503, "{}"))
    await scene.deliver()
    folder = scene.spool.folder(name, State.READY)
    for file in (ITEM, PROGRESS):
        assert b"hunter2" not in (folder / file).read_bytes()
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED
    requests = [*scene.store.requests, *scene.processor.posts]
    assert not [request for request in requests if "hunter2" in str(request)]


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
@pytest.mark.parametrize("which", ["storage_url", "processor_url"])
async def test_a_host_that_cannot_be_is_put_aside(scene: Scene, which: str, host: str) -> None:
    """A name that no resolver could ask for is a reason, not a fault of this program."""
    name = scene.ready(**{which: f"http://{host}/x"})
    await scene.deliver()
    assert "is not a URL" in scene.why(name)
