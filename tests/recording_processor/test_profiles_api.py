"""IVR profiles over HTTP: versions, ETag, the long poll, and who may."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.profile_feed import ProfileFeed
from recording_processor.provisioning import decode_profile
from recording_processor.settings import ProcessorSettings
from tests.recording_processor.asking import get
from tests.recording_processor.conftest import (
    Client,
    ClientOf,
    open_catalogue,
    sign_in,
    with_limits,
)
from tests.recording_processor.samples import Json, profile

LIST = "/lab/profiles"


async def put(client: Client, body: Json, *, role: str = "admin", status: int = 200) -> Json:
    """Put a profile under its own DBID."""
    path = f"{LIST}/{body['dbid']}"
    async with client.put(path, json=body, headers=sign_in(role)) as answer:
        assert answer.status == status, await answer.text()
        told: Json = await answer.json()
        return told


async def test_a_profile_comes_back_as_it_was_put(client: Client) -> None:
    """The list holds the profile as it was put, under a version that counts the changes."""
    assert await get(client, LIST, role="mcp") == {"version": 0, "profiles": []}
    first = await put(client, profile(101))
    assert (first["statusCode"], first["version"]) == (0, 1)
    await put(client, profile(102, name="other"))
    listed = await get(client, LIST, role="mcp")
    assert listed == {"version": 2, "profiles": [profile(101), profile(102, name="other")]}


async def test_a_put_without_a_change_makes_no_version(client: Client) -> None:
    """The same profile again is success under the same version."""
    await put(client, profile(101))
    assert (await put(client, profile(101)))["version"] == 1
    assert (await put(client, profile(101, {"recordingclient.type": "fixed,audio/mp3"})))[
        "version"
    ] == 2


async def test_a_ruined_certificate_is_kept_and_reported(client: Client) -> None:
    """A ruined certificate stands in the answer's problems by name, and is kept as it came."""
    body = profile(101)
    body["sections"]["recording-certificates"] = {"certificates-1": "BEGIN ruined"}
    (problem,) = (await put(client, body))["problems"]
    assert problem["option"] == "certificates-1"
    assert (await get(client, LIST, role="mcp"))["profiles"] == [body]


async def test_a_profile_that_cannot_be_is_refused(client: Client) -> None:
    """A wrong option is 400 by its path, an unknown tenant too, a name twice 409; nothing stays."""
    wrong = profile(101, {"recordingclient.type": "fixed,audio/ogg"})
    answer = await put(client, wrong, status=400)
    assert answer["statusMessage"].startswith(
        "sections.gvp.service-parameters.recordingclient.type"
    )
    for tenant, path in (
        ({"name": "T", "dbid": 9}, "tenant.dbid"),
        ({"name": "T", "dbid": 1}, "tenant.name"),
    ):
        answer = await put(client, {**profile(101), "tenant": tenant}, status=400)
        assert answer["statusMessage"].startswith(path)
    await put(client, profile(101))
    await put(client, profile(102), status=409)
    assert (await get(client, LIST, role="mcp"))["version"] == 1


async def test_the_roles_of_profiles(client: Client) -> None:
    """Only mcp and admin read profiles, only admin changes them."""
    for role in ("operator", "listener", "crypto", "processor"):
        await get(client, LIST, role=role, status=403)
    for role in ("mcp", "operator", "listener"):
        await put(client, profile(101), role=role, status=403)


async def test_an_etag_saves_the_body(client: Client) -> None:
    """With the present ETag the answer is 304; after a change it is the new list."""
    await put(client, profile(101))
    async with client.get(LIST, headers=sign_in("mcp")) as answer:
        etag = answer.headers["ETag"]
    headers = {**sign_in("mcp"), "If-None-Match": etag}
    async with client.get(LIST, headers=headers) as answer:
        assert answer.status == 304
        assert await answer.read() == b""
    await put(client, profile(102, name="other"))
    async with client.get(LIST, headers=headers) as answer:
        assert answer.status == 200


async def waiting(client: Client, count: int) -> None:
    """Return when `count` readers wait for a change."""
    async with asyncio.timeout(10):
        while True:
            async with client.get("/metrics") as answer:
                if f"reclab_processor_long_polls {count}.0" in await answer.text():
                    return


async def test_a_long_poll_wakes_at_once(client: Client) -> None:
    """All waiting readers get the new version as soon as it is there, long before their time."""
    await put(client, profile(101))
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        polls = [
            group.create_task(get(client, f"{LIST}?after=1&wait=60", role="mcp")) for _ in range(3)
        ]
        await waiting(client, 3)
        await put(client, profile(102, name="other"))
    assert [poll.result()["version"] for poll in polls] == [2, 2, 2]


async def test_a_long_poll_that_is_behind_does_not_wait(client: Client) -> None:
    """A reader with an older version, or another catalogue's newer one, is answered at once."""
    await put(client, profile(101))
    async with asyncio.timeout(20):
        for after in (0, 7):
            assert (await get(client, f"{LIST}?after={after}&wait=60", role="mcp"))["version"] == 1
        headers = {**sign_in("mcp"), "If-None-Match": '"another-1"'}
        async with client.get(f"{LIST}?after=1&wait=60", headers=headers) as answer:
            assert answer.status == 200


async def test_a_long_poll_ends_in_time(client: Client) -> None:
    """Without a change the present list is answered when the time is over, or 304 by ETag."""
    await put(client, profile(101))
    path = f"{LIST}?after=1&wait=1"
    async with client.get(path, headers=sign_in("mcp")) as answer:
        assert (await answer.json())["version"] == 1
        etag = answer.headers["ETag"]
    headers = {**sign_in("mcp"), "If-None-Match": etag}
    async with client.get(path, headers=headers) as answer:
        assert answer.status == 304


async def test_the_end_of_the_service_answers_long_polls(client: Client, feed: ProfileFeed) -> None:
    """When the service ends, waiting readers are answered, and nobody waits any more."""
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        poll = group.create_task(get(client, f"{LIST}?after=0&wait=60", role="mcp"))
        await waiting(client, 1)
        feed.close()
        await poll
        await get(client, f"{LIST}?after=0&wait=60", role="mcp")


async def test_long_polls_are_bounded(client_of: ClientOf, settings: ProcessorSettings) -> None:
    """Beyond the limit a reader that would wait is refused with 503 and Retry-After."""
    async with (
        client_of(with_limits(settings, long_polls=1)) as client,
        asyncio.TaskGroup() as group,
    ):
        poll = group.create_task(get(client, f"{LIST}?after=0&wait=60", role="mcp"))
        await waiting(client, 1)
        await get(client, f"{LIST}?after=0&wait=60", role="mcp", status=503)
        await put(client, profile(101))
        await poll


@pytest.mark.parametrize("query", ["after=x", "wait=61", "wait=-1", "colour=red", "after="])
async def test_a_wrong_poll_is_refused(client: Client, query: str) -> None:
    """A parameter that is unknown or no number is 400."""
    await get(client, f"{LIST}?{query}", role="mcp", status=400)


async def test_passwords_are_in_no_log(client: Client) -> None:
    """Changing a profile, well or wrongly, logs no option's value."""
    with capture_logs() as logs:
        await put(client, profile(101))
        await put(client, profile(101, {"recordingclient.type": "fixed,x"}), status=400)
    assert logs
    assert "store-secret" not in repr(logs)


async def test_a_body_over_the_limit_is_413(
    client_of: ClientOf, settings: ProcessorSettings
) -> None:
    """A profile that is too large is 413."""
    async with client_of(with_limits(settings, profile_bytes=1024)) as client:
        body = profile(101)
        body["sections"]["recording-certificates"]["certificates-1"] = "x" * 2000
        await put(client, body, status=413)


async def test_provisioning_adds_only_what_is_missing(tmp_path: Path) -> None:
    """What the catalogue has stays as it is, and a restart changes no version."""

    def made(kind: str) -> list[Json]:
        return [
            profile(101, {"recordingclient.type": f"fixed,audio/{kind}"}),
            profile(102, name="b"),
        ]

    async def provision(catalogue: Catalogue, kind: str) -> list[int]:
        read = [decode_profile(msgspec.json.encode(body), dbid=body["dbid"]) for body in made(kind)]
        return [found.dbid for found in (await catalogue.provision([], read)).profiles]

    async with open_catalogue(tmp_path / "catalogue.sqlite3") as catalogue:
        assert await provision(catalogue, "wav") == [101, 102]
    async with open_catalogue(tmp_path / "catalogue.sqlite3") as catalogue:
        assert await provision(catalogue, "mp3") == []
        listed = await catalogue.profiles.all(None)
        assert listed.version == 2
        assert listed.profiles[0].fixed("recordingclient.type") == "audio/wav"
