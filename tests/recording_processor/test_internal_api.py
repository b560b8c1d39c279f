"""A processor in the place of the web services: behind another one, and asked wrongly."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from recording_processor.forgery_token import ForgeryTokens
from recording_processor.settings import ProcessorSettings
from service_shell.accounts import Account, hash_password
from tests.recording_processor.asking import SEARCH, ask, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in, with_account
from tests.recording_processor.irws import PASSWORD, PATH, USER
from tests.recording_processor.onward_room import onward_room
from tests.recording_processor.samples import CCID, Json, media_file


def body(**changed: object) -> Json:
    """Return a recording as another processor passes it on; None leaves a key out."""
    whole: Json = {
        "id": "CALL1",
        "ccid": CCID,
        "region": "7",
        "callerPhoneNumber": "+1",
        "eventHistory": [],
        "mediaFiles": [media_file("CALL1") | {"callUUID": "CALL1", "partitions": ["/sales"]}],
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def guarded(settings: ProcessorSettings) -> ProcessorSettings:
    """Settings of a stand-in that another processor may sign in to, and that asks for a token."""
    account = Account(name=USER, roles=["processor"], password_hash=hash_password(PASSWORD))
    guard = msgspec.structs.replace(settings.internal_api, csrf=True)
    return msgspec.structs.replace(
        settings, accounts=[*settings.accounts, account], internal_api=guard
    )


async def test_two_processors_in_a_row(
    tmp_path: Path, client_of: ClientOf, guarded: ProcessorSettings
) -> None:
    """What one files, the other has: the same media files, parties and envelopes."""
    async with client_of(guarded) as client:
        url = str(client.make_url("")).rstrip("/")
        async with onward_room(tmp_path, url, csrf=True) as room:
            await room.file("CALL1", media_id="a.wav", parameters={"rp.speechminer_auth": "u:p"})
            await room.file("CALL1", media_id="b.wav")
            await room.until()
            first = await room.catalogue.recording("CALL1", tenants=None)
        second = (await get(client, f"{SEARCH}/CALL1"))["recording"]
    assert [media["mediaId"] for media in second["mediaFiles"]] == ["a.wav", "b.wav"]
    for media, one in zip(second["mediaFiles"], first.media_files, strict=True):
        for name in ("pkcs7", "certAlias", "lab", "duration", "size", "type"):
            assert media[name] == one.document[name], name
        assert "rp.speechminer_auth" not in media["parameters"]
    assert second["callerPhoneNumber"] == first.caller
    assert len(second["eventHistory"]) == 8


async def test_the_same_again_is_success(client: Client) -> None:
    """Repeated it changes nothing; its own facts go before those of the parameters."""
    for _ in range(2):
        assert await ask(client, "POST", PATH, body(), role="processor") == {
            "statusCode": 0,
            "id": "CALL1",
        }
    recording = (await get(client, f"{SEARCH}/CALL1"))["recording"]
    assert recording["callerPhoneNumber"] == "+1"
    assert recording["dialedPhoneNumber"] == "8005550199"
    assert [media["partitions"] for media in recording["mediaFiles"]] == [["/sales"]]
    other = media_file("CALL1")
    other["lab"]["sha256"] = "0" * 64
    await ask(client, "POST", PATH, body(mediaFiles=[other]), role="processor", status=409)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"id": None}, "id is missing"),
        ({"id": "OTHER"}, "id differs from mediaFiles[0].parameters.id"),
        ({"ccid": None}, "ccid is missing"),
        ({"ccid": "other"}, "ccid is not that of the address"),
        ({"region": None}, "region is missing"),
        ({"region": 7}, "region is not text"),
        ({"callerPhoneNumber": {}}, "callerPhoneNumber is not text"),
        ({"mediaFiles": []}, "mediaFiles is missing or empty"),
        ({"mediaFiles": [{}]}, "mediaFiles[0].mediaDescriptor"),
    ],
)
async def test_what_is_missing_is_named(client: Client, changed: Json, sentence: str) -> None:
    """A body without what is mandatory is 400 and says what."""
    told = await ask(client, "POST", PATH, body(**changed), role="processor", status=400)
    assert sentence in told["statusMessage"]


async def test_who_may_post(client_of: ClientOf, settings: ProcessorSettings) -> None:
    """Only the role `processor`, to its own contact centre, for its own tenants."""
    limited = with_account(settings, "north", ["processor"], ["North"])
    async with client_of(limited) as client:
        for role in ("mcp", "admin", "operator", "listener", "crypto"):
            await ask(client, "POST", PATH, body(), role=role, status=403)
        await ask(client, "POST", PATH, body(), role="north", status=404)
        other = PATH.replace(CCID, "other")
        await ask(client, "POST", other, body(), role="processor", status=404)
        await get(client, f"{SEARCH}/CALL1", status=404)


async def test_a_token_where_it_is_asked_for(
    client_of: ClientOf, guarded: ProcessorSettings
) -> None:
    """Without the account's own token a post is 403; a GET gives it in the header that it names."""
    async with client_of(guarded) as client:
        for given in ({}, {"X-CSRF-TOKEN": "x"}, {"X-CSRF-TOKEN": "ä"}):
            await ask(client, "POST", PATH, body(), role="processor", status=403, headers=given)
        async with client.get(PATH, headers=sign_in("processor")) as answer:
            given = {answer.headers["X-CSRF-HEADER"]: answer.headers["X-CSRF-TOKEN"]}
        await ask(client, "POST", PATH, body(), role="processor", headers=given)


def test_a_token_expires() -> None:
    """It holds for half an hour at least and for an hour at most, for its account only."""
    now = 0.0
    tokens = ForgeryTokens(lambda: now)
    token = tokens.current("a")
    assert tokens.fits("a", token)
    assert not tokens.fits("b", token)
    assert not tokens.fits("a", "\udcff")
    assert not ForgeryTokens(lambda: now).fits("a", token)
    now = 1800.0
    assert tokens.fits("a", token)
    now = 3600.0
    assert not tokens.fits("a", token)
