"""Delivery to a store that refuses, breaks off, forgets, or keeps something else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mcp_sim.recording.spool.folders import MEDIA, PROGRESS
from mcp_sim.recording.spool.spool import State

from .delivery_scene import Scene
from .fake_destinations import ACCOUNT


async def test_a_missing_collection_is_made(scene: Scene) -> None:
    """409 to the PUT: the collection and those above it are made, and the PUT is sent again."""
    scene.store.collections.clear()
    name = scene.ready(storage_url=f"{scene.store.url}/a/b/recordings")
    path = scene.path(name)
    await scene.deliver()
    assert scene.store.collections == {"/a", "/a/b", "/a/b/recordings"}
    assert path in scene.store.objects
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_a_put_that_was_cut_after_it_arrived_is_not_repeated(scene: Scene) -> None:
    """The connection broke behind the last byte: the next try finds the object and goes on."""
    name = scene.ready()
    scene.store.script.append("cut")
    await scene.deliver()
    progress = scene.progress(name)
    assert (progress.tries, progress.unconfirmed, progress.stored) == (1, True, False)
    assert "connection to the store" in progress.fault
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED
    assert scene.store.count("PUT") == 1


async def test_our_own_unconfirmed_put_may_be_overwritten(scene: Scene) -> None:
    """A stump of our own under the name: the retry goes over it without a condition."""
    name = scene.ready()
    path, sealed = scene.path(name), scene.sealed(name)
    scene.store.script.append("cut-before")
    await scene.deliver()
    scene.store.objects[path] = sealed[:1000]
    await scene.deliver_later()
    assert scene.store.objects[path] == sealed
    last = [request for request in scene.store.requests if request.method == "PUT"][-1]
    assert "If-None-Match" not in last.headers
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_another_object_of_that_name_is_a_conflict(scene: Scene) -> None:
    """412 to our first PUT and other bytes there: nothing is overwritten, a person must look."""
    name = scene.ready()
    path = scene.path(name)
    scene.store.objects[path] = b"somebody else's"
    delivery = await scene.deliver()
    assert scene.store.objects[path] == b"somebody else's"
    failed = scene.spool.folder(name, State.FAILED)
    assert "holds another object" in scene.why(name)
    assert (failed / MEDIA).exists()
    assert (delivery.stats.failed, scene.processor.posts) == (1, [])


async def test_the_same_object_of_that_name_is_success(scene: Scene) -> None:
    """412, but the store holds exactly this object: it was delivered before."""
    name = scene.ready()
    scene.store.objects[scene.path(name)] = scene.sealed(name)
    await scene.deliver()
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize("status", [401, 403, 404, 405, 423, 429, 500, 502, 503, 507])
async def test_what_the_store_refuses_for_now_is_tried_again(scene: Scene, status: int) -> None:
    """Sign-in, locks, a full disk, faults: the recording waits in the spool and is delivered."""
    name = scene.ready()
    scene.store.script += [status, status] if status == 404 else [status]
    delivery = await scene.deliver()
    progress = scene.progress(name)
    assert progress.tries == 1
    assert (str(status) in progress.fault) or status == 404
    assert (delivery.stats.retries, delivery.stats.delivered) == (1, 0)
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize("status", [401, 403, 423, 429])
async def test_after_a_clear_refusal_the_condition_stays(scene: Scene, status: int) -> None:
    """The store took nothing, so the next PUT still must not overwrite anything."""
    name = scene.ready()
    scene.store.script.append(status)
    await scene.deliver()
    assert not scene.progress(name).unconfirmed
    await scene.deliver_later()
    puts = [request for request in scene.store.requests if request.method == "PUT"]
    assert [put.headers.get("If-None-Match") for put in puts] == ["*", "*"]


@pytest.mark.parametrize("status", [400, 411, 413, 414])
async def test_what_the_store_never_takes_is_put_aside(scene: Scene, status: int) -> None:
    """The recording is kept in `failed` with the answer."""
    name = scene.ready()
    scene.store.script.append(status)
    await scene.deliver()
    text = scene.why(name)
    assert f"the store answered {status} to PUT" in text


async def test_a_wrong_password_is_named_but_never_shown(scene: Scene) -> None:
    """The fault says that the sign-in was refused; once it is mended, everything arrives."""
    name = scene.ready()
    scene.store.account = ("mcp", "changed")
    await scene.deliver()
    fault = scene.progress(name).fault
    assert "the sign-in was refused" in fault
    assert "password" not in fault
    scene.store.account = ACCOUNT
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED


async def test_a_store_that_keeps_other_bytes_is_found_out(scene: Scene) -> None:
    """A wrong digest after a 201: no metadata is posted, and the object is put again."""
    name = scene.ready()
    path, sealed = scene.path(name), scene.sealed(name)
    scene.store.script.append("spoil")
    await scene.deliver()
    assert scene.processor.posts == []
    fault = scene.progress(name).fault
    assert "does not hold what it took" in fault
    await scene.deliver_later()
    assert scene.store.objects[path] == sealed
    assert scene.spool.state_of(name) is State.DELIVERED


@pytest.mark.parametrize("lengths", [True, False])
async def test_a_store_without_digests_is_read_back(scene: Scene, lengths: bool) -> None:
    """The object is fetched and compared; a spoilt one is found out there too."""
    scene.store.digests, scene.store.lengths = False, lengths
    name = scene.ready()
    scene.store.script.append("spoil")
    await scene.deliver()
    assert scene.spool.state_of(name) is State.READY
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED
    assert scene.store.count("GET") >= 2


async def test_a_file_that_was_changed_in_the_spool_is_not_delivered(scene: Scene) -> None:
    """One flipped byte: the store's digest shows it, and the item is put aside as broken."""
    name = scene.ready()
    path = scene.spool.folder(name, State.READY) / MEDIA
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    await scene.deliver()
    text = scene.why(name)
    assert "was changed in the spool" in text
    assert scene.processor.posts == []


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_file_that_was_cut_in_the_spool_is_not_sent(scene: Scene, encrypted: bool) -> None:
    """Too short a file is put aside at once, with the sizes."""
    name = scene.ready(encrypted=encrypted)
    path = scene.spool.folder(name, State.READY) / MEDIA
    path.write_bytes(path.read_bytes()[:-16])
    await scene.deliver()
    text = scene.why(name)
    assert "bytes instead of" in text
    assert scene.store.objects == {}


@pytest.mark.parametrize("which", [1, 2])
async def test_too_many_open_files_do_not_store_over_another_object(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """A progress that cannot be read for now is not one that was torn: it is read again later."""
    name = scene.ready()
    path = scene.path(name)
    scene.store.objects[path] = b"somebody else's"
    read, reads = Path.read_bytes, 0

    def without_a_file(file: Path) -> bytes:
        nonlocal reads
        reads += file.name == PROGRESS
        if file.name == PROGRESS and reads == which:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", without_a_file)
    await scene.deliver()
    assert reads >= which
    await scene.deliver_later()
    assert scene.store.objects == {path: b"somebody else's"}
    assert "holds another object" in scene.why(name)
