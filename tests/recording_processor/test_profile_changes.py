"""One IVR profile over HTTP: read, changed under a condition, made, deleted, and its history."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from recording_processor.catalogue.profiles import Author
from recording_processor.precondition import Precondition
from recording_processor.provisioning import decode_profile
from tests.recording_processor.asking import ask, get
from tests.recording_processor.conftest import Client, open_catalogue, sign_in
from tests.recording_processor.samples import Json, profile

LIST = "/lab/profiles"
ONE = f"{LIST}/101"


def other(kind: str) -> Json:
    """Return the sample profile with another media type."""
    return profile(101, {"recordingclient.type": f"fixed,audio/{kind}"})


async def put(client: Client, body: Json, *, status: int = 200, **headers: str) -> Json:
    """Put the profile 101 under some headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(client, "PUT", ONE, body, status=status, headers=named)


async def test_one_profile_comes_back_as_it_was_put(client: Client) -> None:
    """It is the JSON that was put, can be put again as it is, and its version is its ETag."""
    await put(client, profile(101))
    for role in ("mcp", "admin"):
        async with client.get(ONE, headers=sign_in(role)) as answer:
            assert answer.headers["ETag"] == '"1"'
            read = await answer.json()
            assert read == profile(101)
    assert (await put(client, read, If_Match='"1"'))["version"] == 1
    headers = {**sign_in("mcp"), "If-None-Match": '"1"'}
    async with client.get(ONE, headers=headers) as answer:
        assert answer.status == 304
    await get(client, f"{LIST}/102", role="admin", status=404)
    for role in ("operator", "listener", "crypto", "processor"):
        await get(client, ONE, role=role, status=403)


async def test_a_change_under_its_version(client: Client) -> None:
    """With If-Match only the version that was read is changed; the later of two is told."""
    await put(client, profile(101))
    assert (await put(client, other("mp3"), If_Match='"1"'))["version"] == 2
    answer = await put(client, other("wav"), If_Match='"1"', status=412)
    assert answer == {
        "statusCode": 2,
        "statusMessage": "If-Match: the profile has changed, its version is 2",
    }
    assert (await get(client, ONE, role="admin")) == other("mp3")
    assert (await put(client, other("wav"), If_Match='"1", "2"'))["version"] == 3
    assert (await put(client, other("mp3"), If_Match="*"))["version"] == 4


async def test_of_simultaneous_changes_one_wins(client: Client) -> None:
    """Ten changes of the same version: one is made, nine are told that it has changed."""
    await put(client, profile(101))
    headers = {**sign_in("admin"), "If-Match": '"1"'}

    async def change(number: int) -> int:
        body = {**profile(101), "name": f"name {number}"}
        async with client.put(ONE, json=body, headers=headers) as answer:
            return answer.status

    found = await asyncio.gather(*(change(number) for number in range(10)))
    assert sorted(found) == [200] + [412] * 9


async def test_only_a_new_one(client: Client) -> None:
    """With If-None-Match: * a profile is made, never changed; with If-Match: * never made."""
    await put(client, profile(101), If_Match="*", status=412)
    assert (await put(client, profile(101), If_None_Match="*"))["version"] == 1
    answer = await put(client, other("mp3"), If_None_Match="*", status=412)
    assert answer["statusMessage"] == "If-None-Match: the profile is there, its version is 1"


async def test_conditions_of_several_lines_are_one(client: Client) -> None:
    """A header that comes twice is one list (RFC 9110 §5.3): no line of it is passed over."""
    await put(client, profile(101))
    for name, status in (("If-Match", 200), ("If-None-Match", 412)):
        headers = [*sign_in("admin").items(), (name, '"9"'), (name, '"1"')]
        async with client.put(ONE, json=profile(101), headers=headers) as answer:
            assert answer.status == status, name


@pytest.mark.parametrize("header", ["1", '"', '"1" "2"', "", '"1",', "W/1"])
async def test_what_is_no_entity_tag_is_refused(client: Client, header: str) -> None:
    """A condition that cannot be read is never taken for one that holds."""
    await put(client, profile(101))
    await put(client, other("mp3"), If_Match=header, status=400)


def test_a_weak_tag_matches_no_change() -> None:
    """If-Match compares strongly, If-None-Match weakly (RFC 9110 §13.1)."""
    assert Precondition.read('W/"1", "2"', 'W/"1"') == Precondition(("2",), ("1",))


async def test_a_new_profile_gets_a_free_dbid(client: Client) -> None:
    """The first is 101, the next is behind every DBID that ever was, a deleted one's too."""
    body = profile(1)
    del body["dbid"]
    async with client.post(LIST, json={**body, "name": "a"}, headers=sign_in("admin")) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == ONE
        assert answer.headers["ETag"] == '"1"'
        assert (await answer.json())["dbid"] == 101
    named = await ask(client, "POST", LIST, {**body, "name": "b", "dbid": 500}, status=201)
    assert named["dbid"] == 500
    await ask(client, "DELETE", f"{LIST}/500")
    made = await ask(client, "POST", LIST, {**body, "name": "c"}, status=201)
    assert made["dbid"] == 501
    taken = await ask(client, "POST", LIST, {**body, "name": "d", "dbid": 101}, status=409)
    assert taken["statusMessage"] == "dbid: 101 is taken"
    same = await ask(client, "POST", LIST, {**body, "name": "a"}, status=409)
    assert "already has a profile 'a', DBID 101" in same["statusMessage"]
    await ask(client, "POST", LIST, {**body, "name": "e", "dbid": 0}, status=400)
    await ask(client, "POST", LIST, {**body, "name": "e", "dbid": 2**31 - 1}, status=201)
    full = await ask(client, "POST", LIST, {**body, "name": "f"}, status=409)
    assert full["statusMessage"].startswith("dbid: there is none free behind")


async def test_a_deleted_profile_vanishes(client: Client) -> None:
    """It is gone for readers, the platform's long poll sees it go, and its name is free again."""
    await put(client, profile(101))
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        path = f"{LIST}?after=1&wait=60"
        poll = group.create_task(get(client, path, role="mcp"))
        while "reclab_processor_long_polls 1.0" not in await metrics(client):
            pass
        answer = await ask(client, "DELETE", ONE)
    assert answer == {"statusCode": 0, "version": 2}
    assert poll.result() == {"version": 2, "profiles": []}
    await get(client, ONE, role="admin", status=404)
    await ask(client, "DELETE", ONE, status=404)
    await ask(client, "PUT", f"{LIST}/102", profile(102))
    again = await put(client, {**profile(101), "name": "again"}, If_None_Match="*")
    assert again["version"] == 4


async def metrics(client: Client) -> str:
    """Return the metrics."""
    async with client.get("/metrics") as answer:
        return await answer.text()


async def test_a_delete_under_its_version(client: Client) -> None:
    """With If-Match only the version that was read is deleted."""
    await put(client, profile(101))
    await put(client, other("mp3"))
    await ask(client, "DELETE", ONE, status=412, headers={"If-Match": '"1"'})
    await ask(client, "DELETE", ONE, headers={"If-Match": '"2"'})


async def test_the_history_tells_who_and_what(client: Client) -> None:
    """Every version with who made it and when, newest first, the deletion too, each to be read."""
    await put(client, profile(101))
    await put(client, other("mp3"))
    await ask(client, "DELETE", ONE)
    told = (await get(client, f"{ONE}/versions", role="admin"))["versions"]
    assert [(v["version"], v["deleted"], v["changedBy"]) for v in told] == [
        (3, True, "admin"),
        (2, False, "admin"),
        (1, False, "admin"),
    ]
    assert [v["changedAt"] for v in told] == sorted((v["changedAt"] for v in told), reverse=True)
    assert "secret" not in repr(told)
    for number, body in ((1, profile(101)), (2, other("mp3")), (3, other("mp3"))):
        old = await get(client, f"{ONE}/versions/{number}", role="admin")
        assert (old["version"], old["profile"]) == (number, body)
    for path in (f"{ONE}/versions/4", f"{ONE}/versions/{9 * 10**17}", f"{LIST}/102/versions"):
        await get(client, path, role="admin", status=404)
    for role in ("mcp", "operator", "crypto"):
        await get(client, f"{ONE}/versions", role=role, status=403)
        await get(client, f"{ONE}/versions/1", role=role, status=403)


async def test_only_admins_change(client: Client) -> None:
    """POST, PUT and DELETE take the role admin."""
    await put(client, profile(101))
    for role in ("mcp", "operator", "crypto", "listener"):
        for method, path in (("POST", LIST), ("PUT", ONE), ("DELETE", ONE)):
            await ask(client, method, path, profile(101), role=role, status=403)


async def test_notes_tell_what_is_unknown(client: Client) -> None:
    """An option that nothing here reads is kept, and told beside the problems."""
    option = "recordingclient.gvp.config.snmp.port"
    answer = await put(client, profile(101, {option: "fixed,161"}))
    (note,) = answer["notes"]
    assert (note["section"], note["option"]) == ("gvp.service-parameters", option)


async def test_no_change_logs_a_value(client: Client) -> None:
    """Making, changing and deleting log names and numbers, never an option's value."""
    with capture_logs() as logs:
        await ask(client, "POST", LIST, profile(101), status=201)
        await put(client, other("mp3"))
        await ask(client, "DELETE", ONE)
    events = [entry["event"] for entry in logs]
    assert events == ["A profile was made", "A profile was changed", "A profile was deleted"]
    assert "store-secret" not in repr(logs)


async def test_the_settings_do_not_bring_a_deleted_profile_back(tmp_path: Path) -> None:
    """What somebody has deleted stays deleted, whatever the provisioning file says at a start."""
    made = decode_profile(msgspec.json.encode(profile(101)), dbid=101)
    async with open_catalogue(tmp_path / "catalogue.sqlite3") as catalogue:
        assert (await catalogue.provision([], [made])).profiles == (made,)
        await catalogue.profiles.delete(101, Author("admin"))
    async with open_catalogue(tmp_path / "catalogue.sqlite3") as catalogue:
        assert (await catalogue.provision([], [made])).profiles == ()
        assert (await catalogue.profiles.all(None)).profiles == ()
