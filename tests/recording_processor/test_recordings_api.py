"""Metadata in and recordings out, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from recording_processor.settings import ProcessorSettings
from tests.recording_processor.asking import POST, SEARCH, file, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in, with_limits
from tests.recording_processor.samples import (
    CCID,
    ENVELOPE,
    Json,
    media_file,
    post,
)


async def test_a_post_is_answered_with_the_recording_id(client: Client) -> None:
    """A post is answered with statusCode 0 and the recording's id."""
    assert await file(client, media_file("CALL1")) == {"statusCode": 0, "id": "CALL1"}


async def test_a_recording_reads_as_the_vendor_writes_it(client: Client) -> None:
    """A recording comes back with the vendor's fields, dates and paths, and keeps the lab's."""
    posted = media_file("CALL1", odd="kept")
    await file(client, posted)
    answer = await get(client, f"{SEARCH}/CALL1")
    recording = answer["recording"]
    media = recording["mediaFiles"][0]
    assert answer["statusCode"] == 0
    assert recording["callerPhoneNumber"] == "+16175550101"
    assert recording["dialedPhoneNumber"] == "8005550199"
    assert recording["startTime"] == "2026-01-02T10:00:00.000+0000"
    assert recording["stopTime"] == "2026-01-02T10:00:12.500+0000"
    assert (recording["callType"], recording["region"]) == ("Unknown", "1")
    assert media["mediaPath"].startswith("/recordings/CALL1/play/")
    assert media["mediaPath"].endswith(".wav.bin")
    assert media["playPath"] == media["mediaPath"]
    assert media["mediaUri"] == f"{client.make_url('/api/v2')}{media['mediaPath']}"
    assert media["originalMediaDescriptor"] == posted["mediaDescriptor"]
    assert media["startTime"] == "2026-01-02T10:00:00.000+0000"
    assert media["masks"][0] == {"time": "2026-01-02T10:00:05.000+0000", "type": "paused"}
    assert media["callUUID"] == "CALL1"
    same = ("mediaId", "type", "duration", "size", "tenant", "ivrprofile", "parameters", "pkcs7")
    for name in (*same, "certAlias", "lab", "odd"):
        assert media[name] == posted[name], name


async def test_the_event_history_names_the_parties(client: Client) -> None:
    """The caller and the agent are told as joined and left, in the order of time."""
    await file(client, media_file("CALL1"))
    history = (await get(client, f"{SEARCH}/CALL1"))["recording"]["eventHistory"]
    assert [(event["event"], event["contact"]["type"]) for event in history] == [
        ("Joined", "External"),
        ("Joined", "User"),
        ("Left", "External"),
        ("Left", "User"),
    ]
    assert history[1]["contact"] == {"type": "User", "userName": "agent1", "phoneNumber": "7001"}
    assert history[2]["occurredAt"] == "2026-01-02T10:00:12.500+0000"


async def test_a_password_in_the_metadata_stays_inside(client: Client) -> None:
    """`rp.speechminer_auth` is in no answer and not on the page."""
    await file(client, media_file("CALL1", parameters={"rp.speechminer_auth": "u:hush"}))
    for path in (f"{SEARCH}/CALL1", f"{SEARCH}?callerPhoneNumber=*", "/"):
        async with client.get(path, headers=sign_in("operator")) as answer:
            assert "hush" not in await answer.text()


async def test_the_same_post_again_is_success(client: Client) -> None:
    """A repeated post is answered 200 and adds nothing."""
    for _ in range(3):
        await file(client, media_file("CALL1"))
    recording = (await get(client, f"{SEARCH}/CALL1"))["recording"]
    assert len(recording["mediaFiles"]) == 1
    assert len(recording["eventHistory"]) == 4


async def test_another_digest_under_the_same_name_is_a_conflict(client: Client) -> None:
    """The same media id with another digest is 409, says so, and changes nothing."""
    await file(client, media_file("CALL1"))
    other = media_file("CALL1")
    other["lab"]["sha256"] = "0" * 64
    answer = await file(client, other, status=409)
    assert "already filed with another SHA-256 digest" in answer["statusMessage"]
    media = (await get(client, f"{SEARCH}/CALL1"))["recording"]["mediaFiles"][0]
    assert media["lab"]["sha256"] != "0" * 64


async def test_without_lab_the_whole_media_file_decides(client: Client) -> None:
    """A real MCP's repeat is success; with any field changed it is a conflict."""
    await file(client, media_file("CALL1", lab=None))
    await file(client, media_file("CALL1", lab=None))
    await file(client, media_file("CALL1", lab=None, size="1"), status=409)


async def test_a_conflict_keeps_nothing_of_its_post(client: Client) -> None:
    """One media file in conflict keeps its new neighbour out, too."""
    await file(client, media_file("CALL1"))
    other = media_file("CALL1", size="2", lab=None)
    await file(client, media_file("CALL1", media_id="new.wav"), other, status=409)
    recording = (await get(client, f"{SEARCH}/CALL1"))["recording"]
    assert len(recording["mediaFiles"]) == 1


async def test_a_media_id_belongs_to_one_recording(client: Client) -> None:
    """A media id of another recording is a conflict."""
    await file(client, media_file("CALL1", media_id="one.wav"))
    answer = await file(client, media_file("CALL2", media_id="one.wav"), status=409)
    assert "another recording" in answer["statusMessage"]
    await get(client, f"{SEARCH}/CALL2", status=404)


async def test_a_second_segment_joins_its_recording(client: Client) -> None:
    """The same `parameters.id` adds a media file, and the recording spans both."""
    later: Json = {"start": "2026-01-02T10:01:00.000Z", "stop": "2026-01-02T10:02:00.000Z"}
    await file(client, media_file("CALL1", media_id="b.wav", **later))
    await file(client, media_file("CALL1", media_id="a.wav"))
    recording = (await get(client, f"{SEARCH}/CALL1"))["recording"]
    assert [media["mediaId"] for media in recording["mediaFiles"]] == ["a.wav", "b.wav"]
    assert recording["startTime"] == "2026-01-02T10:00:00.000+0000"
    assert recording["stopTime"] == "2026-01-02T10:02:00.000+0000"


async def test_a_recording_stays_with_its_tenant(client: Client) -> None:
    """A media file of another tenant cannot join a recording."""
    await file(client, media_file("CALL1", media_id="a.wav"))
    await file(client, media_file("CALL1", media_id="b.wav", tenant="Other"), status=409)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"mediaId": None}, "mediaFiles[0].mediaId"),
        ({"startTime": "yesterday"}, "mediaFiles[0].startTime"),
        ({"parameters": None}, "mediaFiles[0].parameters"),
        (
            {"mediaDescriptor": {"path": "http://u:p@store/x.bin"}},
            "mediaFiles[0].mediaDescriptor.path",
        ),
        (
            {"mediaDescriptor": {"path": "http://[store/x.bin"}},
            "mediaFiles[0].mediaDescriptor.path",
        ),
        ({"size": "9" * 40}, "mediaFiles[0].size"),
    ],
)
async def test_bad_metadata_is_named_by_path(client: Client, change: Json, path: str) -> None:
    """Missing or wrong fields are 400 with their path, and nothing is stored."""
    answer = await file(client, {**media_file("CALL1"), **change}, status=400)
    assert answer["statusCode"] == 2
    assert answer["statusMessage"].startswith(path)
    assert ":p@" not in answer["statusMessage"]
    await get(client, f"{SEARCH}/CALL1", status=404)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"mediaFiles":[]}', b"\xff", b'"\\ud800x"'])
async def test_a_body_that_is_no_metadata_is_refused(client: Client, body: bytes) -> None:
    """Whatever is not metadata is 400, never 500."""
    async with client.post(POST, data=body, headers=sign_in("mcp")) as answer:
        assert answer.status == 400
        assert (await answer.json())["statusCode"] == 2


async def test_a_post_speaks_of_one_recording(client: Client) -> None:
    """Two ids, two tenants or one media id twice in a post are refused by path."""
    one = media_file("CALL1", media_id="a.wav")
    pairs = [
        (media_file("CALL2", media_id="b.wav"), "mediaFiles[1].parameters.id"),
        (media_file("CALL1", media_id="b.wav", tenant="T"), "mediaFiles[1].tenant"),
        (media_file("CALL1", media_id="a.wav"), "mediaFiles[1].mediaId"),
    ]
    for other, path in pairs:
        answer = await file(client, one, other, status=400)
        assert answer["statusMessage"].startswith(path)


async def test_another_domain_is_not_found(client: Client) -> None:
    """A post for another contact centre's domain is 404."""
    path = "/api/contact-centers/other.example/recordings"
    async with client.post(path, data=post(media_file()), headers=sign_in("mcp")) as answer:
        assert answer.status == 404


async def test_another_ccid_is_not_found(client: Client) -> None:
    """A recording is found under its own contact centre only."""
    await file(client, media_file("CALL1"))
    ops = "/api/v2/ops/contact-centers"
    assert (await get(client, f"{ops}/{CCID}/recordings/CALL1"))["statusCode"] == 0
    assert (await get(client, f"{ops}/other/recordings/CALL1", status=404))["statusCode"] == 6


async def test_an_unknown_recording_is_statuscode_6(client: Client) -> None:
    """An unknown recording is 404 with statusCode 6."""
    assert (await get(client, f"{SEARCH}/NOPE", status=404))["statusCode"] == 6


async def test_a_search_without_a_parameter_is_statuscode_2(client: Client) -> None:
    """A search needs a criterion; paging alone is none."""
    for query in ("", "?limit=10"):
        assert (await get(client, f"{SEARCH}{query}", status=400))["statusCode"] == 2


async def test_an_unknown_parameter_is_named(client: Client) -> None:
    """An unknown parameter of a search is 400 with statusCode 2 and its name."""
    answer = await get(client, f"{SEARCH}?startTime=2026-01-01&colour=red", status=400)
    assert answer["statusCode"] == 2
    assert "'colour'" in answer["statusMessage"]


async def test_a_wrong_password_is_401_and_a_wrong_role_403(client: Client) -> None:
    """Nobody: 401 with a challenge; the wrong role: 403 with statusCode 5."""
    async with client.get(f"{SEARCH}?startTime=2026-01-01") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    for role in ("mcp", "listener", "processor"):
        answer_json = await get(client, f"{SEARCH}?startTime=2026-01-01", role=role, status=403)
        assert answer_json["statusCode"] == 5
    async with client.post(POST, data=post(media_file()), headers=sign_in("operator")) as answer:
        assert answer.status == 403


async def test_a_body_over_the_limit_is_413(
    client_of: ClientOf, settings: ProcessorSettings
) -> None:
    """Too large a body is 413, with a declared length and without one; the limit itself passes."""
    body = post(media_file("CALL1"))
    async with client_of(with_limits(settings, metadata_bytes=len(body))) as client:

        async def stream() -> Any:
            yield body
            yield b" "

        for data in (body + b" ", stream()):
            async with client.post(POST, data=data, headers=sign_in("mcp")) as answer:
                assert answer.status == 413
                assert (await answer.json())["statusCode"] == 2
        await file(client, media_file("CALL1"))


async def test_the_envelope_is_given_as_posted(client: Client) -> None:
    """The envelope route answers the posted PEM; a plain recording has none."""
    await file(client, media_file("CALL1"))
    await file(client, media_file("CALL2", pkcs7=None, certAlias=None))
    for recording, status in (("CALL1", 200), ("CALL2", 404)):
        found = (await get(client, f"{SEARCH}/{recording}"))["recording"]["mediaFiles"][0]
        play_id = found["mediaPath"].rpartition("/")[2].partition(".")[0]
        path = f"/lab/recordings/{recording}/envelopes/{play_id}.pem"
        async with client.get(path, headers=sign_in("crypto")) as answer:
            assert answer.status == status
            assert (await answer.text() == ENVELOPE) == (status == 200)


async def test_an_odd_id_stays_inside_its_path(client: Client) -> None:
    """An id with spaces, quotes, per cent signs and other alphabets is found by its quoted path."""
    identity = "a b%2F?#\"'<é>{id}"
    await file(client, media_file(identity, media_id="x.wav"))
    answer = await get(client, f"{SEARCH}?userName=agent1")
    path = answer["recordings"][0]["mediaFiles"][0]["mediaPath"]
    assert '"' not in path
    assert " " not in path
    found = await get(client, f"/api/v2{path.partition('/play/')[0]}")
    assert found["recording"]["id"] == identity
