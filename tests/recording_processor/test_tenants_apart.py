"""An account that is limited to tenants: whatever lies outside is answered like what is not there.

Every route that speaks of recordings or profiles is asked for another tenant's and for unknown
ones, by an account of all the roles at once; the answers must be the same to the last byte.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import pytest

from recording_format.ivr_profile import Tenant
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storage
from tests.recording_format.authority import recorder
from tests.recording_processor.asking import POST, ask, file, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in, with_account
from tests.recording_processor.samples import CCID, Json, envelope, media_file, post, profile
from tests.recording_processor.upstreams import Upstream, open_upstream, serve

OLD = envelope([recorder(1).recording()])
EVERY_ROLE = ["operator", "admin", "listener", "crypto", "mcp"]
UNKNOWN_PLAY = "00000000-0000-4000-8000-000000000000"


class Two(NamedTuple):
    """A processor with a recording and a profile of each of two tenants, and `north` of one."""

    client: Client
    store: Upstream
    crypto: Upstream
    plays: dict[str, str]


@pytest.fixture
async def two(
    client_of: ClientOf, catalogue: Catalogue, settings: ProcessorSettings
) -> AsyncIterator[Two]:
    """Thirty recordings of South, all newer than North's one; profile 101 North's, 102 South's."""
    tenants = {"North": 2, "South": 3}
    await catalogue.provision([Tenant(name=n, dbid=d) for n, d in tenants.items()], [])
    settings = with_account(settings, "north", EVERY_ROLE, ["North", "Nowhere"])
    async with open_upstream() as store, open_upstream() as crypto:
        store.answer = crypto.answer = serve(b"sound")
        storage = Storage(url=f"{store.url}/recordings")
        settings = msgspec.structs.replace(settings, storages=[storage], crypto_url=crypto.url)
        async with client_of(settings) as client:
            plays = {}
            for number in range(31):
                tenant = "South" if number else "North"
                name = tenant if number < 2 else f"R{number}"
                media = media_file(
                    name,
                    tenant=tenant,
                    pkcs7=OLD,
                    certAlias=["alias"],
                    store=f"{store.url}/recordings",
                    start=f"2026-01-02T10:{number:02d}:00Z",
                    stop="2026-01-02T12:00:00Z",
                )
                await file(client, media)
            for dbid, (name, number) in enumerate(tenants.items(), start=101):
                body = {**profile(dbid), "tenant": {"name": name, "dbid": number}}
                await ask(client, "PUT", f"/lab/profiles/{dbid}", body)
                found = await get(client, f"/api/v2/recordings/{name}")
                path = found["recording"]["mediaFiles"][0]["playPath"]
                plays[name] = path.rpartition("/")[2]
            yield Two(client, store, crypto, plays)


async def answer(
    client: Client, method: str, path: str, body: object = None
) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of an answer to `north`; without the time of day."""
    async with client.request(method, path, json=body, headers=sign_in("north")) as got:
        headers = {name: value for name, value in got.headers.items() if name != "Date"}
        return got.status, await got.read(), headers


def recording_routes(name: str, play: str) -> list[tuple[str, str, object]]:
    """Return every question about one recording."""
    play_id = play.partition(".")[0]
    change = {"pkcs7": OLD, "certAlias": ["alias"], "expect": "0" * 64}
    return [
        ("GET", f"/api/v2/recordings/{name}", None),
        ("HEAD", f"/api/v2/recordings/{name}", None),
        ("GET", f"/api/v2/ops/contact-centers/{CCID}/recordings/{name}", None),
        ("GET", f"/api/v2/recordings/{name}/play/{play}", None),
        ("HEAD", f"/api/v2/recordings/{name}/play/{play}", None),
        ("GET", f"/api/v2/ops/contact-centers/{CCID}/recordings/{name}/play/{play}", None),
        ("GET", f"/console/recordings/{name}/play/{play}", None),
        ("GET", f"/lab/recordings/{name}/envelopes/{play_id}.pem", None),
        ("PUT", f"/lab/recordings/{name}/envelopes/{play_id}", change),
    ]


async def test_another_s_recording_is_as_good_as_none(two: Two) -> None:
    """By every address: the same answer as for an unknown recording; nothing is fetched."""
    theirs = recording_routes("South", two.plays["South"])
    unknown = recording_routes("Nobody", two.plays["South"])
    for (method, path, body), (_, other_path, _) in zip(theirs, unknown, strict=True):
        status, said, headers = await answer(two.client, method, path, body)
        assert status == 404, path
        assert (status, said, headers) == await answer(two.client, method, other_path, body)
    assert two.store.asked == two.crypto.asked == []


async def test_one_s_own_recording_is_there(two: Two) -> None:
    """The same addresses answer for the account's own tenant, so the test above means something."""
    for method, path, body in recording_routes("North", two.plays["North"]):
        status, said, _ = await answer(two.client, method, path, body)
        # The last one is a replacement by the very same envelope.
        assert status == 200, (path, said)
    assert two.store.asked
    assert two.crypto.asked


async def test_a_guessed_play_name_of_another_s(two: Two) -> None:
    """Another tenant's play name does not play under one's own recording."""
    for prefix in ("/api/v2", "/console"):
        theirs = f"{prefix}/recordings/North/play/{two.plays['South']}"
        guessed = f"{prefix}/recordings/North/play/{UNKNOWN_PLAY}.wav.bin"
        got = await answer(two.client, "GET", theirs)
        assert got[0] == 404
        assert got == await answer(two.client, "GET", guessed)


@pytest.mark.parametrize(
    "query", ["callerPhoneNumber=*", "callerPhoneNumber=%2B1*", "userName=agent1", "limit=1"]
)
async def test_a_search_finds_one_s_own_only(two: Two, query: str) -> None:
    """The limit is part of the question: the first page has all that is theirs, no more follows."""
    query += "" if "limit" not in query else "&startTime=2000-01-01"
    told = await get(two.client, f"/api/v2/recordings?{query}", role="north")
    assert [each["id"] for each in told["recordings"]] == ["North"]
    assert (told["next"], told["previous"]) == (None, None)


async def test_a_cursor_of_another_account_opens_nothing(two: Two) -> None:
    """A cursor that somebody else was given pages through one's own recordings only."""
    path = "/api/v2/recordings?callerPhoneNumber=*&limit=5"
    cursor = (await get(two.client, path, role="operator"))["next"]
    told = await get(two.client, f"/api/v2/recordings?next={cursor}", role="north")
    assert [each["id"] for each in told["recordings"]] == ["North"]


async def test_the_page_shows_one_s_own_only(two: Two) -> None:
    """The console lists the account's tenants, and pages as if there were nothing else."""
    async with two.client.get("/", headers=sign_in("north")) as got:
        text = await got.text()
    assert "North" in text
    assert "South" not in text
    assert 'rel="next"' not in text


def profile_routes(dbid: int, body: Json) -> list[tuple[str, str, object]]:
    """Return every question about one profile."""
    one = f"/lab/profiles/{dbid}"
    return [
        ("GET", one, None),
        ("DELETE", one, None),
        ("GET", f"{one}/versions", None),
        ("GET", f"{one}/versions/2", None),
        ("POST", f"{one}/certificates", {"certificate": recorder(1).pem}),
        ("DELETE", f"{one}/certificates/certificates-1", body),
    ]


async def test_another_s_profile_is_as_good_as_none(two: Two) -> None:
    """Read, changed, deleted, its history, its certificates: all as for an unknown profile."""
    theirs, unknown = (profile_routes(dbid, {}) for dbid in (102, 999))
    for (method, path, body), (_, other_path, _) in zip(theirs, unknown, strict=True):
        got = await answer(two.client, method, path, body)
        assert got[0] == 404, path
        assert got == await answer(two.client, method, other_path, body)
    mine = {**profile(102), "tenant": {"name": "North", "dbid": 2}}
    taken = await ask(two.client, "PUT", "/lab/profiles/102", mine, role="north", status=404)
    assert taken["statusMessage"] == "there is no such profile"
    kept = await get(two.client, "/lab/profiles/102", role="admin")
    assert kept["tenant"]["name"] == "South"


async def test_lists_hold_one_s_own_only(two: Two) -> None:
    """Profiles, deployments and tenants are those that the account reaches."""
    told = await get(two.client, "/lab/profiles", role="north")
    assert [each["dbid"] for each in told["profiles"]] == [101]
    told = await get(two.client, "/lab/deployments", role="north")
    assert [each["dbid"] for each in told["profiles"]] == [101]
    told = await get(two.client, "/lab/tenants", role="north")
    assert told["tenants"] == [{"name": "North", "dbid": 2}]


async def test_no_profile_is_given_to_another_tenant(two: Two) -> None:
    """A profile of a tenant that is not reached cannot be made, nor one's own be moved there.

    Nor does the refusal tell the other tenant's name.
    """
    for dbid, name in ((3, "South"), (3, "x"), (9, "South")):
        tenant = {"name": name, "dbid": dbid}
        for method, path in (("PUT", "/lab/profiles/101"), ("POST", "/lab/profiles")):
            body = {**profile(101), "dbid": None, "tenant": tenant}
            told = await ask(two.client, method, path, body, role="north", status=400)
            sentence = f"tenant.dbid: {dbid} is not a tenant of this processor"
            assert told["statusMessage"] == sentence


async def test_a_limited_administrator_names_no_dbid(two: Two) -> None:
    """Neither another's, present or past, nor an unknown one: calls would go to the new profile.

    And the answers do not tell which of them there are or were.
    """
    await ask(two.client, "PUT", "/lab/profiles/150", {**profile(150), "name": "gone"})
    await ask(two.client, "DELETE", "/lab/profiles/150")
    mine = {**profile(), "tenant": {"name": "North", "dbid": 2}, "name": "mine"}
    for dbid in (102, 150, 999):
        body = {**mine, "dbid": dbid}
        told = await ask(two.client, "PUT", f"/lab/profiles/{dbid}", body, role="north", status=404)
        assert told["statusMessage"] == "there is no such profile"
        told = await ask(two.client, "POST", "/lab/profiles", body, role="north", status=400)
        assert told["statusMessage"].startswith("dbid: leave it out")
    free = {**mine, "dbid": None}
    made = await ask(two.client, "POST", "/lab/profiles", free, role="north", status=201)
    path, again = f"/lab/profiles/{made['dbid']}", {**mine, "dbid": made["dbid"]}
    await ask(two.client, "POST", "/lab/profiles", again, role="north", status=409)
    await ask(two.client, "DELETE", path, role="north")
    await ask(two.client, "PUT", path, again, role="north")


async def test_a_limited_administrator_does_what_is_its_own(two: Two) -> None:
    """Within the account's tenants everything works."""
    body = {**profile(101), "tenant": {"name": "North", "dbid": 2}, "name": "changed"}
    await ask(two.client, "PUT", "/lab/profiles/101", body, role="north")
    certificates = "/lab/profiles/101/certificates"
    await ask(two.client, "POST", certificates, {"certificate": recorder(1).pem}, role="north")
    told = await get(two.client, "/lab/profiles/101/versions", role="north")
    assert [each["changedBy"] for each in told["versions"]] == ["north", "north", "admin"]
    await ask(two.client, "DELETE", "/lab/profiles/101", role="north")


async def test_a_profile_that_has_moved_away(two: Two) -> None:
    """The old tenant's administrator reads its own versions of it, not the later ones."""
    body = {**profile(101), "tenant": {"name": "South", "dbid": 3}, "name": "moved"}
    await ask(two.client, "PUT", "/lab/profiles/101", body)
    await get(two.client, "/lab/profiles/101", role="north", status=404)
    told = await get(two.client, "/lab/profiles/101/versions", role="north")
    assert [each["version"] for each in told["versions"]] == [1]
    await get(two.client, "/lab/profiles/101/versions/3", role="north", status=404)


async def test_another_s_recordings_are_not_counted(two: Two) -> None:
    """Who needs a recipient is told of the account's tenants only."""
    need = "/lab/recordings/need"
    told = await ask(two.client, "POST", need, {"tenant": "North", "alias": "alias"}, role="north")
    assert told == {"statusCode": 0, "recordings": 1, "orphaned": 1}
    for tenant in ("South", "Unknown"):
        body = {"tenant": tenant, "alias": "alias"}
        told = await ask(two.client, "POST", need, body, role="north", status=404)
        assert told["statusMessage"] == "there is no such tenant"


async def test_a_limited_platform_files_its_own_only(two: Two) -> None:
    """Metadata of another tenant is refused from an account that does not reach it."""
    for tenant, status in (("North", 200), ("South", 404), ("Unknown", 404)):
        body = post(media_file(f"new {tenant}", tenant=tenant))
        async with two.client.post(POST, data=body, headers=sign_in("north")) as got:
            assert got.status == status, tenant


@pytest.mark.parametrize(
    "odd", ["{0}", "{0}?{1}", "{0}#{1}", "x%2F{1}", "x%2f..%2F{0}/", "{0}%3F{1}", "{1}/"]
)
async def test_a_limited_platform_names_its_own_objects_only(two: Two, odd: str) -> None:
    """A recording of one's own is no way to what another tenant has in the store."""
    found = await get(two.client, "/api/v2/recordings/South")
    path = found["recording"]["mediaFiles"][0]["mediaDescriptor"]["path"]
    folder, _, theirs = path.rpartition("/")
    media = media_file("mine", tenant="North", pkcs7=None, certAlias=None, lab=None)
    media["mediaDescriptor"]["path"] = f"{folder}/{odd.format(theirs, media['mediaId'])}"
    async with two.client.post(POST, data=post(media), headers=sign_in("north")) as got:
        told = await got.json()
    assert got.status == 400
    sentence = "mediaFiles[0].mediaDescriptor.path does not end in the media file's own id"
    assert told["statusMessage"] == sentence
    media = media_file("mine", media_id=theirs.removesuffix(".bin"), tenant="North", pkcs7=None)
    media["mediaDescriptor"]["path"] = path
    async with two.client.post(POST, data=post(media), headers=sign_in("north")) as got:
        assert got.status in (400, 409)


@pytest.mark.parametrize("odd", ["{0}", "{0}?{1}", "x%2f..%2F{0}/"])
async def test_a_limited_platform_names_its_own_copies_only(two: Two, odd: str) -> None:
    """Neither is its copy in a second store, from where it is played when the first lacks it."""
    found = await get(two.client, "/api/v2/recordings/South")
    path = found["recording"]["mediaFiles"][0]["mediaDescriptor"]["path"]
    folder, _, theirs = path.rpartition("/")
    media = media_file("mine", tenant="North")
    media["lab"]["copyPath"] = f"{folder}/{odd.format(theirs, media['mediaId'])}"
    async with two.client.post(POST, data=post(media), headers=sign_in("north")) as got:
        told = await got.json()
    assert got.status == 400
    sentence = "mediaFiles[0].lab.copyPath does not end in the media file's own id"
    assert told["statusMessage"] == sentence
    media["lab"]["copyPath"] = f"{folder}/{media['mediaId']}.bin"
    async with two.client.post(POST, data=post(media), headers=sign_in("north")) as got:
        assert got.status == 200
