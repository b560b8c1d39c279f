"""Every way in which a delivery fails leads to its cause, by the sentence that it really says."""

from __future__ import annotations

import pytest

from mcp_sim.recording.delivery.delivery import DeliveryCredentials
from mcp_sim.recording.spool.folders import ITEM, MEDIA
from mcp_sim.recording.spool.item import SpoolItem
from mcp_sim.recording.spool.spool import State
from reclab.recover.causes import Cause
from reclab.recover.faults import cause_of
from tests.mcp_sim.recording.delivery_scene import Scene
from tests.mcp_sim.recording.fake_destinations import ACCOUNT, POST_ACCOUNT

NOWHERE = "http://127.0.0.1:9"


async def said(scene: Scene, name: str) -> str:
    """What the one try of an item said."""
    await scene.deliver()
    if scene.spool.state_of(name) is State.FAILED:
        return scene.why(name)
    return scene.progress(name).fault


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (400, Cause.STORAGE_REFUSED),
        (401, Cause.STORAGE_CREDENTIALS),
        (403, Cause.STORAGE_CREDENTIALS),
        (405, Cause.STORAGE_ADDRESS),
        (413, Cause.STORAGE_REFUSED),
        (423, Cause.STORAGE_DOWN),
        (302, Cause.STORAGE_ADDRESS),
        (500, Cause.STORAGE_DOWN),
        (503, Cause.STORAGE_DOWN),
        (507, Cause.STORAGE_DOWN),
    ],
)
async def test_answers_of_a_store(scene: Scene, status: int, cause: Cause) -> None:
    """A status of the store to a PUT."""
    name = scene.ready()
    scene.store.script.append(status)
    assert cause_of(await said(scene, name)) is cause


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ((400, '{"statusCode":2,"statusMessage":"mediaFiles is missing"}'), Cause.INDEXER_REFUSED),
        ((401, ""), Cause.PROCESSOR_CREDENTIALS),
        ((403, ""), Cause.PROCESSOR_CREDENTIALS),
        ((404, '{"statusCode":6,"statusMessage":"no"}'), Cause.PROCESSOR_ADDRESS),
        ((200, "<html>Welcome</html>"), Cause.PROCESSOR_ADDRESS),
        ((301, ""), Cause.PROCESSOR_ADDRESS),
        ((409, '{"statusCode":2,"statusMessage":"another digest"}'), Cause.CONFLICT),
        ((503, '{"statusCode":4}'), Cause.PROCESSOR_DOWN),
        ("cut", Cause.PROCESSOR_DOWN),
    ],
)
async def test_answers_of_a_processor(
    scene: Scene, answer: tuple[int, str] | str, cause: Cause
) -> None:
    """An answer of the processor to a post, or none."""
    name = scene.ready()
    scene.processor.script.append(answer)
    assert cause_of(await said(scene, name)) is cause


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ({"storage_url": f"{NOWHERE}/recordings"}, Cause.STORAGE_DOWN),
        ({"storage_url": "http://[/recordings"}, Cause.STORAGE_ADDRESS),
        ({"processor_url": f"{NOWHERE}/posts"}, Cause.PROCESSOR_DOWN),
        ({"processor_url": "ftp://example/posts"}, Cause.PROCESSOR_ADDRESS),
    ],
)
async def test_nothing_answers(scene: Scene, address: dict[str, str], cause: Cause) -> None:
    """No connection is an outage, and what is no URL is a wrong address."""
    name = scene.ready(**address)
    assert cause_of(await said(scene, name)) is cause


async def test_wrong_passwords(scene: Scene) -> None:
    """Each destination's own refusal of the sign-in."""

    async def credentials(_item: SpoolItem) -> DeliveryCredentials:
        return DeliveryCredentials(ACCOUNT, ("mcp", "wrong"))

    scene.credentials = credentials
    name = scene.ready()
    assert cause_of(await said(scene, name)) is Cause.PROCESSOR_CREDENTIALS
    assert POST_ACCOUNT[1] not in scene.progress(name).fault


async def test_another_object_is_there(scene: Scene) -> None:
    """Somebody else's object of that name is a conflict."""
    name = scene.ready()
    scene.store.objects[scene.path(name)] = b"another"
    assert cause_of(await said(scene, name)) is Cause.CONFLICT


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        (MEDIA, b"another", Cause.MEDIA_DAMAGED),
        (MEDIA, None, Cause.MEDIA_MISSING),
        (ITEM, b"{", Cause.METADATA_UNPARSABLE),
        (ITEM, None, Cause.METADATA_MISSING),
    ],
)
async def test_what_lies_in_the_spool_is_ruined(
    scene: Scene, file: str, content: bytes | None, cause: Cause
) -> None:
    """A file that is gone, or not what was sealed."""
    name = scene.ready()
    path = scene.spool.folder(name, State.READY) / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert cause_of(await said(scene, name)) is cause


def test_anything_else() -> None:
    """A sentence of nobody has no cause, and may be tried again."""
    assert cause_of("the moon was in the wrong place") is Cause.OTHER
    assert Cause.OTHER.recoverable


def test_slugs() -> None:
    """They are what programs rely on; the documents' classes are those of the two kinds."""
    slugs = {cause.slug: cause.recoverable for cause in Cause}
    assert len(slugs) == len(Cause)
    assert {slug for slug, recoverable in slugs.items() if not recoverable} == {
        "conflict", "metadata-unparsable", "metadata-incomplete", "metadata-missing",
        "media-missing", "media-damaged", "key-gone", "spool-key-gone",
    }  # fmt: skip
