"""Envelopes over HTTP: replaced without a change of anything else, and counted by recipient."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest

from recording_format.certificates import certificate_alias
from recording_format.envelope import Envelope
from recording_format.session_key import SessionKey
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.search import read_search
from tests.recording_format.authority import recorder
from tests.recording_processor.asking import ask, file, get
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import Json, envelope, media_file

ONE, TWO = recorder(1).recording(), recorder(2).recording()
ALIAS_ONE, ALIAS_TWO = (certificate_alias(each, "Environment", 1) for each in (ONE, TWO))
OLD, NEW = envelope([ONE]), envelope([ONE, TWO])
NEED = "/lab/recordings/need"


def digest(text: str) -> str:
    """Return the SHA-256 of an envelope's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def change(**changed: object) -> Json:
    """Return the body that makes NEW of OLD."""
    body = {"pkcs7": NEW, "certAlias": [ALIAS_ONE, ALIAS_TWO], "expect": digest(OLD)}
    return {**body, **changed}


def original(recording_id: str = "CALL1", **changed: Any) -> Json:
    """Return a media file under the envelope OLD."""
    return media_file(recording_id, **{"pkcs7": OLD, "certAlias": [ALIAS_ONE], **changed})


async def only_file(client: Client, recording_id: str = "CALL1") -> Json:
    """Return the one media file of a recording, as it is answered."""
    answer = await get(client, f"/api/v2/recordings/{recording_id}", role="crypto")
    (found,) = answer["recording"]["mediaFiles"]
    return dict(found)


async def path_of(client: Client, recording_id: str = "CALL1") -> str:
    """Return the address of the envelope of a recording's one media file."""
    play_name = (await only_file(client, recording_id))["playPath"].rpartition("/")[2]
    return f"/lab/recordings/{recording_id}/envelopes/{play_name.partition('.')[0]}"


@pytest.mark.parametrize("role", ["crypto", "admin"])
async def test_a_rewrap_changes_the_envelope_alone(client: Client, role: str) -> None:
    """Envelope and aliases are the new ones, everything else of the media file is as it was."""
    await file(client, original())
    before, path = await only_file(client), await path_of(client)
    assert (await ask(client, "PUT", path, change(), role=role))["changed"] is True
    after = await only_file(client)
    assert (after.pop("pkcs7"), after.pop("certAlias")) == (NEW, [ALIAS_ONE, ALIAS_TWO])
    del before["pkcs7"], before["certAlias"]
    assert after == before
    async with client.get(f"{path}.pem", headers=sign_in("crypto")) as answer:
        assert await answer.text() == NEW


async def test_a_rewrap_twice_is_one(client: Client) -> None:
    """The same replacement again is success without a change, though the digest is the old one."""
    await file(client, original())
    path = await path_of(client)
    assert (await ask(client, "PUT", path, change()))["changed"] is True
    assert (await ask(client, "PUT", path, change()))["changed"] is False


@pytest.mark.parametrize("changed", [{}, {"lab": None}])
async def test_the_platform_s_repetition_does_not_undo_a_rewrap(
    client: Client, changed: Json
) -> None:
    """The original post once more is success, with digests or without, and the new stays."""
    await file(client, original(**changed))
    await ask(client, "PUT", await path_of(client), change())
    for _ in range(2):
        await file(client, original(**changed))
    found = await only_file(client)
    assert (found["pkcs7"], found["certAlias"]) == (NEW, [ALIAS_ONE, ALIAS_TWO])
    second = media_file("CALL1", media_id="second.wav", pkcs7=OLD, certAlias=[ALIAS_ONE])
    await file(client, original(**changed), second)
    files = (await get(client, "/api/v2/recordings/CALL1"))["recording"]["mediaFiles"]
    assert {each["mediaId"]: each["pkcs7"] for each in files} == {
        found["mediaId"]: NEW,
        "second.wav": OLD,
    }


async def test_other_metadata_is_a_conflict_after_a_rewrap_too(client: Client) -> None:
    """What would have been a conflict before a re-wrap still is one after it."""
    await file(client, original(lab=None))
    await ask(client, "PUT", await path_of(client), change())
    await file(client, original(lab=None, size="1"), status=409)


async def test_a_lost_race_is_412(client: Client) -> None:
    """When somebody else has replaced the envelope meanwhile, the later one is told."""
    await file(client, original())
    path = await path_of(client)
    await ask(client, "PUT", path, change())
    third = envelope([ONE, TWO])
    answer = await ask(client, "PUT", path, change(pkcs7=third), status=412)
    assert answer["statusMessage"] == "expect: the media file has another envelope by now"
    assert (await only_file(client))["pkcs7"] == NEW


@pytest.mark.parametrize(
    ("changed", "status", "sentence"),
    [
        ({"pkcs7": envelope([ONE, TWO], iv=b"\1" * 16)}, 409, "pkcs7: its IV or its cipher"),
        (
            {"pkcs7": envelope([ONE, TWO], key=SessionKey(bytes(16)))},
            409,
            "pkcs7: its IV or its cipher",
        ),
        ({"pkcs7": "?"}, 400, "pkcs7: "),
        ({"pkcs7": NEW + NEW}, 400, "pkcs7: "),
        ({"pkcs7": 1}, 400, "pkcs7: expected `str`"),
        ({"certAlias": []}, 400, "certAlias: there are not from 1"),
        ({"certAlias": [ALIAS_ONE]}, 400, "certAlias: there are 1 aliases for 2 recipients"),
        ({"certAlias": [ALIAS_ONE, ""]}, 400, "certAlias[1]: it is empty"),
        ({"expect": ""}, 412, "expect: "),
        ({"lab": {}}, 400, "lab: it is unknown"),
    ],
)
async def test_a_replacement_that_cannot_be_is_refused(
    client: Client, changed: Json, status: int, sentence: str
) -> None:
    """Another IV or cipher, a ruined envelope, missing aliases: refused, and nothing changes."""
    await file(client, original())
    path = await path_of(client)
    answer = await ask(client, "PUT", path, change(**changed), status=status)
    assert answer["statusMessage"].startswith(sentence)
    found = await only_file(client)
    assert (found["pkcs7"], found["certAlias"]) == (OLD, [ALIAS_ONE])


async def test_a_ruined_envelope_is_not_replaced(client: Client) -> None:
    """Where the present envelope cannot be read nobody can tell whether the new one fits."""
    await file(client, original(pkcs7="ruined"))
    body = change(expect=digest("ruined"))
    answer = await ask(client, "PUT", await path_of(client), body, status=409)
    assert answer["statusMessage"].startswith("the present envelope cannot be read")


async def test_what_has_no_envelope_is_not_found(client: Client) -> None:
    """An unknown recording, media file or one that is not encrypted: 404."""
    await file(client, original(), media_file("CALL1", media_id="p.wav", pkcs7=None, certAlias=[]))
    files = (await get(client, "/api/v2/recordings/CALL1"))["recording"]["mediaFiles"]
    (plain,) = (each for each in files if "pkcs7" not in each)
    play_id = plain["playPath"].rpartition("/")[2].partition(".")[0]
    for path in (
        f"CALL1/envelopes/{play_id}",
        "CALL1/envelopes/00000000-0000-4000-8000-000000000000",
        f"CALL2/envelopes/{play_id}",
    ):
        await ask(client, "PUT", f"/lab/recordings/{path}", change(), status=404)


async def test_who_may_replace_and_count(client: Client) -> None:
    """Only admin and crypto."""
    await file(client, original())
    path = await path_of(client)
    for role in ("mcp", "operator", "listener", "processor"):
        await ask(client, "PUT", path, change(), role=role, status=403)
        body = {"tenant": "Environment", "alias": ALIAS_ONE}
        await ask(client, "POST", NEED, body, role=role, status=403)


async def test_the_recipients_follow(client: Client, catalogue: Catalogue) -> None:
    """Who is a recipient is counted by the new envelope, not by the one that was posted."""
    await file(client, original())
    assert await need(client, ALIAS_TWO) == (0, 0)
    await ask(client, "PUT", await path_of(client), change())
    assert await need(client, ALIAS_TWO, ALIAS_ONE) == (1, 0)
    only_two = Envelope.from_pem(NEW).without_recipient(ONE).to_pem()
    body = {"pkcs7": only_two, "certAlias": [ALIAS_TWO], "expect": digest(NEW)}
    await ask(client, "PUT", await path_of(client), body)
    assert await need(client, ALIAS_ONE) == (0, 0)
    assert await need(client, ALIAS_TWO) == (1, 1)
    wanted = read_search([], default_limit=9, maximum_limit=9, anything=True)
    (found,) = (await catalogue.find(wanted, tenants=None)).recordings
    assert found.media_files[0].document["certAlias"] == [ALIAS_TWO]


async def need(client: Client, alias: str, *others: str, tenant: str = "Environment") -> object:
    """Return (recordings, orphaned)."""
    body = {"tenant": tenant, "alias": alias, "others": list(others)}
    told = await ask(client, "POST", NEED, body, role="crypto")
    return told["recordings"], told["orphaned"]


async def test_who_needs_a_recipient(client: Client) -> None:
    """A recording counts once, and is orphaned when one of its files has no other recipient."""
    both: Json = {"pkcs7": NEW, "certAlias": ["a", "b"]}
    await file(client, media_file("CALL1", media_id="1.wav", **both))
    await file(client, media_file("CALL2", media_id="2.wav", pkcs7=OLD, certAlias=["a"]))
    await file(
        client,
        media_file("CALL3", media_id="3.wav", **both),
        media_file("CALL3", media_id="4.wav", pkcs7=OLD, certAlias=["a"]),
    )
    other: Json = {"tenant": "South", "pkcs7": OLD, "certAlias": ["a"]}
    await file(client, media_file("CALL4", media_id="5.wav", **other))
    assert await need(client, "a") == (3, 3)
    assert await need(client, "a", "b") == (3, 2)
    assert await need(client, "a", "c", "d") == (3, 3)
    assert await need(client, "b", "a") == (2, 0)
    assert await need(client, "a", tenant="South") == (1, 1)
    assert await need(client, "nobody") == (0, 0)
    assert await need(client, "a", tenant="Nowhere") == (0, 0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"alias": "a"}, "tenant: it is missing"),
        ({"tenant": "T", "alias": ""}, "alias: expected `str` of length >= 1"),
        ({"tenant": "T", "alias": "a", "others": "b"}, "others: expected `array`"),
        ({"tenant": "T", "alias": "a", "others": ["b"] * 1001}, "others: expected `array`"),
        ([], "expected `object`"),
    ],
)
async def test_a_wrong_question_is_refused(client: Client, body: object, sentence: str) -> None:
    """What is missing or of another type is told by its path."""
    answer = await ask(client, "POST", NEED, body, status=400)
    assert answer["statusMessage"].startswith(sentence)


async def test_a_body_without_end_is_413(client: Client) -> None:
    """A body over the limit is refused, by its declared length already."""
    headers = {**sign_in("crypto"), "Content-Type": "application/json"}
    body = io.BytesIO(bytes((4 << 20) + 1))
    async with client.post(NEED, data=body, headers=headers) as answer:
        assert answer.status == 413
