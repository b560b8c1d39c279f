"""Delivery when all goes well, and when the processor or an address does not."""

from __future__ import annotations

import pytest

from mcp_sim.recording.delivery.delivery import DeliveryCredentials
from mcp_sim.recording.delivery.errors import DestinationError
from mcp_sim.recording.spool.folders import ITEM
from mcp_sim.recording.spool.item import SpoolItem
from mcp_sim.recording.spool.spool import State
from recording_format.metadata import decode_metadata

from .delivery_scene import PAYLOADS, Scene
from .fake_destinations import ACCOUNT, POST_ACCOUNT, silence
from .synthetic_call import heard


async def test_a_recording_is_stored_verified_and_posted(scene: Scene) -> None:
    """The sealed bytes come first, with their length and on condition; then the metadata."""
    name = scene.ready()
    item, path, sealed = scene.item(name), scene.path(name), scene.sealed(name)
    delivery = await scene.deliver()
    assert scene.store.objects == {path: sealed}
    put, head = scene.store.requests
    assert (put.method, put.headers["If-None-Match"]) == ("PUT", "*")
    assert put.headers["Content-Length"] == str(len(sealed))
    assert (head.method, head.headers["Want-Repr-Digest"]) == ("HEAD", "sha-256=10")
    (post,) = scene.processor.posts
    assert post.path == "/api/contact-centers/x/recordings"
    assert post.body == bytes(item.metadata)
    assert scene.spool.state_of(name) is State.DELIVERED
    assert (delivery.stats.delivered, delivery.stats.delivered_bytes) == (1, len(sealed))


async def test_what_was_delivered_leaves_its_description_only(scene: Scene) -> None:
    """The sound goes from the spool when both have confirmed."""
    name = scene.ready()
    await scene.deliver()
    folder = scene.spool.folder(name, State.DELIVERED)
    assert {path.name for path in folder.iterdir()} == {ITEM}


async def test_an_unencrypted_recording_arrives_in_clear(scene: Scene) -> None:
    """It lies sealed in the spool, and the store gets the plain file under its plain name."""
    name = scene.ready(encrypted=False, cert_aliases=[])
    path = scene.path(name)
    sound = heard(PAYLOADS).tobytes()[:400]
    assert path.endswith(".wav")
    assert sound not in scene.sealed(name)
    await scene.deliver()
    stored = scene.store.objects[path]
    assert stored[:4] == b"RIFF"
    assert len(stored) == 44 + 8000 * 4
    (media,) = decode_metadata(scene.processor.posts[0].body).media_files
    assert (media.encrypted, media.size_bytes) == (False, len(stored))


async def test_secret_parameters_are_posted(scene: Scene) -> None:
    """The password that the spool keeps sealed reaches the processor."""
    scene.ready(parameters={"rp.speechminer_auth": "user:secret"})
    await scene.deliver()
    (media,) = decode_metadata(scene.processor.posts[0].body).media_files
    assert media.parameters["rp.speechminer_auth"] == "user:secret"


@pytest.mark.parametrize(
    "answer",
    [(401, ""), (404, "{}"), (500, "oops"), (503, "{}"), (200, '{"statusCode":4}'), "cut"],
)
async def test_a_processor_that_fails_is_asked_again(
    scene: Scene, answer: tuple[int, str] | str
) -> None:
    """The object is stored once; only the metadata is posted again."""
    name = scene.ready()
    scene.processor.script.append(answer)
    await scene.deliver()
    progress = scene.progress(name)
    assert (progress.tries, progress.stored) == (1, True)
    await scene.deliver_later()
    assert scene.spool.state_of(name) is State.DELIVERED
    assert (scene.store.count("PUT"), len(scene.processor.posts)) == (1, 2)


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "mediaFiles[0].mediaId is missing"), (409, "another digest"), (422, "no")],
)
async def test_metadata_that_is_refused_is_put_aside(
    scene: Scene, status: int, message: str
) -> None:
    """The processor's own words stand in the reason."""
    name = scene.ready()
    body = f'{{"statusCode":2,"statusMessage":"{message}"}}'
    scene.processor.script.append((status, body))
    await scene.deliver()
    text = scene.why(name)
    assert f"the processor answered {status}: {message}" in text


async def test_a_silent_processor_is_given_up_for_now(scene: Scene) -> None:
    """No answer in time is a reason to try again, not to wait for ever."""
    name = scene.ready()
    async with silence() as url:
        other = scene.ready(2, processor_url=f"{url}/")
        await scene.deliver(patience=0.3)
    assert scene.spool.state_of(name) is State.DELIVERED
    fault = scene.progress(other).fault
    assert "did not answer in time" in fault


async def test_a_destination_that_is_down_is_named(scene: Scene) -> None:
    """Nobody listens: the reason says so, with the address."""
    name = scene.ready(storage_url="http://127.0.0.1:1/recordings")
    await scene.deliver()
    progress = scene.progress(name)
    assert "127.0.0.1:1/recordings" in progress.fault
    assert "not reached" in progress.fault
    assert not progress.unconfirmed


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/y", "http://[::1", ""])
@pytest.mark.parametrize("which", ["storage_url", "processor_url"])
async def test_a_url_that_is_none_is_put_aside(scene: Scene, which: str, url: str) -> None:
    """A profile with nonsense for a URL: the recording is kept, with a reason."""
    name = scene.ready(**{which: url})
    await scene.deliver()
    text = scene.why(name)
    assert "is not a URL" in text


async def test_missing_credentials_are_a_reason_to_wait(scene: Scene) -> None:
    """Who knows the passwords may fail for now: the item waits with the reason."""

    async def unknown(_item: SpoolItem) -> DeliveryCredentials:
        raise DestinationError("profile 101 is not known")

    name = scene.ready()
    scene.credentials = unknown
    await scene.deliver()
    assert scene.progress(name).fault == "profile 101 is not known"


def test_credentials_do_not_show_themselves() -> None:
    """No password in a repr."""
    assert "password" not in repr(DeliveryCredentials(ACCOUNT, POST_ACCOUNT))
