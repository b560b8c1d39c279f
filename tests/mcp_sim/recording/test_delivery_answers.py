"""Odd answers of stores and processors: late, cut, too long, redirecting, or none at all."""

from __future__ import annotations

import asyncio

import pytest

from mcp_sim.recording.spool.spool import State

from .delivery_scene import Scene
from .fake_destinations import saying

DATES = {
    "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
    "Retry-After": "Sun, 22 Nov 2026 10:05:00 GMT",
}
GARBAGE = [
    b"\x00\xff\xfe garbage\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"",
]


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (423, {"Retry-After": "50"}, 50),
        (429, {"Retry-After": "50"}, 50),
        (503, {"Retry-After": "50"}, 50),
        (503, {"Retry-After": "999999999"}, 3600),
        (503, DATES, 300),
        (503, {"Retry-After": "Sun, 22 Nov 2026 10:05:00 GMT", "Date": "yesterday"}, 10),
        (503, {"Retry-After": "soon"}, 10),
        (503, {"Retry-After": "-5"}, 10),
        (507, {}, 60),
        (507, {"Retry-After": "90"}, 90),
    ],
)
async def test_how_long_a_store_asks_us_to_wait(
    scene: Scene, status: int, headers: dict[str, str], seconds: float
) -> None:
    """Seconds or a date by the store's own clock, an hour at most; a full one gets a minute."""
    name = scene.ready()
    scene.store.script.append((status, headers))
    await scene.deliver()
    assert scene.progress(name).next_try == scene.time + seconds


async def test_a_full_store_is_named_as_full(scene: Scene) -> None:
    """A person who reads why the recording waits knows what to do."""
    name = scene.ready()
    scene.store.script.append(507)
    delivery = await scene.deliver()
    assert scene.progress(name).fault.endswith("it is full")
    assert delivery.stats.fault.endswith("it is full")


async def test_what_a_full_store_kept_of_ours_is_overwritten(scene: Scene) -> None:
    """A stump that a store left when it became full is ours, and no conflict."""
    name = scene.ready()
    path, sealed = scene.path(name), scene.sealed(name)
    scene.store.script.append(507)
    await scene.deliver()
    scene.store.objects[path] = sealed[:100]
    await scene.deliver_later()
    assert scene.store.objects[path] == sealed
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_stores_redirect_is_not_followed(scene: Scene, status: int) -> None:
    """Neither bytes nor password go to an address that is not the profile's."""
    name = scene.ready()
    scene.store.script.append((status, {"Location": f"{scene.processor.url}/stolen"}))
    await scene.deliver()
    progress = scene.progress(name)
    assert "another address is not followed" in progress.fault
    assert not progress.unconfirmed
    assert scene.processor.posts == []
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_a_processors_redirect_is_not_followed(scene: Scene) -> None:
    """The metadata goes to the address of the profile, or nowhere."""
    answer = (
        f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {scene.store.url}/recordings/stolen\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    async with saying(answer.encode()) as url:
        name = scene.ready(processor_url=f"{url}/x")
        await scene.deliver()
    assert "another address is not followed" in scene.progress(name).fault
    assert scene.store.count("POST") == 0


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda g: g[:12].hex())
@pytest.mark.parametrize("which", ["storage_url", "processor_url"])
async def test_garbage_is_no_answer(scene: Scene, which: str, garbage: bytes) -> None:
    """What is not HTTP, or breaks its bounds, is a reason to try again, never a success."""
    async with saying(garbage, last=True) as url:
        name = scene.ready(**{which: f"{url}/x"})
        await scene.deliver()
        assert scene.spool.state_of(name) is State.READY
        progress = scene.progress(name)
    assert url in progress.fault
    assert progress.unconfirmed == (which == "storage_url")


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"statusCode":0}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"statusCode":0}\r\n',
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
    ],
)
async def test_a_processors_answer_that_was_cut_is_no_success(scene: Scene, answer: bytes) -> None:
    """What is missing could have said no; the post may be repeated."""
    async with saying(answer, last=True) as url:
        name = scene.ready(processor_url=f"{url}/x")
        await scene.deliver()
    progress = scene.progress(name)
    assert progress.stored
    assert "was lost" in progress.fault


async def test_a_processors_answer_without_end_is_cut_off(scene: Scene) -> None:
    """64 KiB are read, no more; it is not the answer of a processor."""
    body = b'{"statusCode":0,"x":"' + b"x" * (1 << 20) + b'"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with saying(answer) as url:
        name = scene.ready(processor_url=f"{url}/x")
        await scene.deliver()
    assert "not an answer of a recording processor" in scene.progress(name).fault


async def test_a_store_that_does_not_finish_its_answer_is_asked_what_it_has(scene: Scene) -> None:
    """201 with half a body: nobody waits for the rest, and the object is still verified."""
    name = scene.ready()
    async with saying(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\nhalf") as url:
        other = scene.ready(2, storage_url=f"{url}/x")
        await scene.deliver(patience=5)
    # Asked by HEAD it says 201 as well, which is no answer to that.
    assert "answered 201 to HEAD" in scene.progress(other).fault
    assert scene.spool.state_of(name) is State.DELIVERED
    assert scene.processor.posts[0].path == "/api/contact-centers/x/recordings"
    assert len(scene.processor.posts) == 1


async def test_an_object_that_is_longer_than_ours_is_not_read_to_its_end(scene: Scene) -> None:
    """412, no digest, no length by HEAD: what is read back is bounded by what we sent."""
    scene.store.digests = scene.store.lengths = False
    name = scene.ready()
    scene.store.objects[scene.path(name)] = scene.sealed(name) + b"x" * (8 << 20)
    delivery = await scene.deliver()
    assert "holds another object" in scene.why(name)
    assert (delivery.stats.failed, delivery.stats.conflicts) == (1, 1)


async def test_the_processors_conflict_is_told_and_counted(scene: Scene) -> None:
    """409 for an id that it has with another digest: kept in `failed`, with the reason."""
    name = scene.ready()
    scene.processor.script.append((409, '{"statusMessage":"x has another digest"}'))
    delivery = await scene.deliver()
    assert scene.spool.state_of(name) is State.FAILED
    assert "x has another digest (it has another recording of that id)" in scene.why(name)
    assert (delivery.stats.failed, delivery.stats.conflicts) == (1, 1)


async def test_a_put_without_an_answer_is_found_at_the_next_try(scene: Scene) -> None:
    """The store has the object but was too slow to say so: one object, put once."""
    name = scene.ready()
    answer = asyncio.Event()
    scene.store.script.append(answer)
    await scene.deliver(patience=0.3)
    answer.set()
    progress = scene.progress(name)
    assert "did not answer in time" in progress.fault
    assert progress.unconfirmed
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED
    assert scene.store.count("PUT") == 1


@pytest.mark.parametrize("upset", ["late", "cut"])
@pytest.mark.parametrize("step", ["PUT", "MKCOL", "HEAD", "GET"])
async def test_any_step_that_is_late_or_cut_may_be_repeated(
    scene: Scene, step: str, upset: str
) -> None:
    """One object, one recording; also when the late request is served after all, behind ours."""
    name = scene.ready()
    path, sealed = scene.path(name), scene.sealed(name)
    scene.store.digests = False
    scene.store.collections.clear()
    served = asyncio.Event()
    scene.store.upsets[step] = served if upset == "late" else "cut"
    await scene.deliver(patience=0.3)
    # aiohttp itself repeats what only reads, on a new connection.
    at_once = upset == "cut" and step in ("HEAD", "GET")
    assert scene.spool.state_of(name) is (State.DELIVERED if at_once else State.READY)
    assert len(scene.processor.posts) == int(at_once)
    await scene.deliver_later()
    served.set()
    for _ in range(3):
        await asyncio.sleep(0)  # the late request is served
    assert scene.store.upsets == {}
    assert scene.store.objects == {path: sealed}
    assert len(scene.processor.posts) == 1
    assert scene.spool.state_of(name) is State.DELIVERED
