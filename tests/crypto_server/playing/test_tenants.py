"""Two tenants in one crypto server: nobody hears the other's recordings, whatever they try."""

from __future__ import annotations

import asyncio
import base64
from urllib.parse import urlsplit

import pytest

from recording_format.envelope import Envelope
from service_shell.accounts import Account, basic_header, hash_password
from tests.crypto_server.conftest import RunningServer, StartServer, refusal
from tests.crypto_server.fake_processor import CCID, FakeProcessor
from tests.crypto_server.keys import KeyPair, key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav

RED, BLUE = "Red", "Blue"
ACCOUNTS = [
    Account("rita", ["listener"], hash_password("rita's password"), tenants=[RED]),
    Account("bob", ["listener"], hash_password("bob's password"), tenants=[BLUE]),
    Account("both", ["listener"], hash_password("both's password"), tenants=[RED, BLUE]),
    Account("all", ["listener"], hash_password("all's password")),
    Account("near", ["listener"], hash_password("near's password"), tenants=["blue", "Blue "]),
    Account("admin", ["admin", "crypto"], hash_password("admin's password"), tenants=[BLUE]),
]
RED_SOUND, BLUE_SOUND, BLUE_PLAIN = wav(3000, seed=1), wav(3000, seed=2), wav(3000, seed=3)
RED_ID, BLUE_ID, PLAIN_ID, NO_ID = "00RED", "00BLUE", "00BLUEPLAIN", "00NOBODY"


def red_key() -> KeyPair:
    """Return the key that tenant Red has."""
    return key_pair("red")


def blue_key() -> KeyPair:
    """Return the key that tenant Blue has."""
    return key_pair("blue")


def made() -> dict[str, MadeRecording]:
    """Return a recording of Red, one of Blue, and one of Blue that is not encrypted."""
    return {
        RED_ID: encrypted(RED_SOUND, red_key(), recording_id=RED_ID, tenant=RED),
        BLUE_ID: encrypted(BLUE_SOUND, blue_key(), recording_id=BLUE_ID, tenant=BLUE),
        PLAIN_ID: plain(BLUE_PLAIN, recording_id=PLAIN_ID).changed(tenant=BLUE),
    }


def paths(recording: MadeRecording, recording_id: str) -> list[str]:
    """Return every path of the contract, and tricks with it, for an id and a file's name."""
    name = recording.name
    screen = name.replace(".wav", ".mp4")
    centre = f"/rcs/contact-centers/{CCID}"
    own = f"/rcs/recordings/{RED_ID}/play/{made()[RED_ID].name}"
    return [
        f"/rcs/recordings/{recording_id}/play/{name}",
        f"/rcs/recordings/{recording_id}/play/{name}?tenant={RED}",
        f"/rcs/recordings/{recording_id}/play/{name}?tenant={BLUE}&account=bob",
        f"/rcs/recordings/{recording_id}/play/{name.removesuffix('.bin')}",
        f"/rcs/recordings/{recording_id}/play/{name.removesuffix('.bin')}.bin",
        f"/rcs/recordings/{recording_id}/play/{name.replace('.wav', '.mp3')}",
        f"/rcs/recordings/{recording_id}/play/{name}/",
        f"/rcs/recordings/{recording_id}/play/{name};tenant={RED}",
        f"/rcs/recordings/{recording_id}/play/%2e%2e%2f{name}",
        f"/rcs/recordings/{recording_id}%2fplay%2f{name}",
        f"/rcs/recordings/{RED_ID}/play/{name}",
        f"/rcs/recordings/{RED_ID}/../{recording_id}/play/{name}",
        f"/rcs/recordings/{RED_ID}/play/../../{recording_id}/play/{name}",
        f"/rcs/recordings/{RED_ID}%2f..%2f{recording_id}/play/{name}",
        f"/rcs/recordings/./{recording_id}/play/{name}",
        f"/rcs//recordings/{recording_id}/play/{name}",
        f"//rcs/recordings/{recording_id}/play/{name}",
        f"/rcs/recordings/{recording_id}%00/play/{name}",
        f"/rcs/recordings/{recording_id.lower()}/play/{name}",
        f"/RCS/recordings/{recording_id}/play/{name}",
        f"{own}/../../../{recording_id}/play/{name}",
        f"{own}?/rcs/recordings/{recording_id}/play/{name}",
        f"{centre}/user-recordings/{recording_id}/play/{name}",
        f"{centre}-other/user-recordings/{recording_id}/play/{name}",
        f"/rcs/contact-centers/%2e%2e/user-recordings/{recording_id}/play/{name}",
        f"/rcs/contact-centers/{RED_ID}/user-recordings/{recording_id}/play/{name}",
        f"/rcs/screen-recordings/{recording_id}/content/{screen}",
        f"/rcs/screen-recordings/{recording_id}/content/{name}",
        f"{centre}/user-screen-recordings/{recording_id}/content/{screen}",
        f"{centre}/user-screen-recordings/{recording_id}/content/{name}",
        f"/api/v2/recordings/{recording_id}/play/{name}",
    ]


HEADERS: list[dict[str, str]] = [
    {},
    {"Range": "bytes=0-"},
    {"Range": "bytes=0-99"},
    {"Range": "bytes=-100"},
    {"Range": "bytes=9999-"},
    {"Range": "bytes=0-0", "If-Range": '"x"'},
    {"If-Match": "*"},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Sun, 22 Nov 2026 10:00:00 GMT"},
    {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "bob", "X-Forwarded-Host": "blue"},
    {"Forwarded": "for=127.0.0.1;by=bob", "X-Real-IP": "127.0.0.1", "X-Remote-User": "bob"},
    {"X-Original-URL": f"/rcs/recordings/{BLUE_ID}", "X-Rewrite-URL": f"/{BLUE_ID}"},
    {"X-HTTP-Method-Override": "GET", "X-Tenant": BLUE, "Tenant": BLUE},
    {"Cookie": "rcs_session=bob", "Host": "blue.example"},
]


def as_rita() -> list[str]:
    """Return every form of Authorization that names rita, or tries to be somebody else."""
    rita, bob = basic_header("rita", "rita's password"), basic_header("bob", "bob's password")
    return [
        rita,
        rita.replace("Basic", "basic"),
        rita.replace("Basic ", "Basic  "),
        basic_header("bob", "rita's password"),
        basic_header("bob", ""),
        basic_header("bob:bob's password", "rita's password"),
        basic_header("rita", "rita's password:bob"),
        basic_header("near", "near's password"),
        basic_header("admin", "admin's password"),
        f"{rita}, {bob[:-4]}",
        bob.replace("Basic", "Bearer"),
        bob[:-2],
        'Digest username="bob"',
        "Basic " + base64.b64encode(b"bob").decode(),
        "",
    ]


async def ask(
    server: RunningServer,
    target: str,
    *authorizations: str,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send exactly this over a connection of its own; return status, headers and body."""
    at = urlsplit(server.url)
    lines = {"Host": at.netloc, **(headers or {}), "Connection": "close"}
    head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    head += [f"Authorization: {authorization}" for authorization in authorizations]
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
        answer = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
    first, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = first.decode("latin-1").split("\r\n")
    told = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    told.pop("date", None)
    return int(status.split()[1]), told, body


def silent(body: bytes) -> bool:
    """Tell whether nothing of a sound is in an answer."""
    parts = [sound[at : at + 40] for sound in (BLUE_SOUND, BLUE_PLAIN) for at in (44, 1000, 2900)]
    return not any(part in body for part in parts)


def add_keys(server: RunningServer) -> None:
    """Give each tenant its key."""
    server.add_key(red_key(), RED)
    server.add_key(blue_key(), BLUE)


async def test_each_hears_its_own(start_server: StartServer, processor: FakeProcessor) -> None:
    """Who may reach a tenant hears its recordings by each path, whole and in parts."""
    recordings = made()
    processor.recordings += recordings.values()
    centre = f"/rcs/contact-centers/{CCID}/user-recordings"
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        for who, heard in {
            "rita": {RED_ID},
            "bob": {BLUE_ID, PLAIN_ID},
            "both": set(recordings),
            "all": set(recordings),
            "near": set(),
        }.items():
            sign_in = basic_header(who, f"{who}'s password")
            for recording_id, recording in recordings.items():
                for path in (
                    recording.path,
                    recording.path.replace("/rcs/recordings", centre),
                ):
                    status, _, body = await ask(server, path, sign_in)
                    part = {"Range": "bytes=100-199"}
                    status_of_part, _, sound = await ask(server, path, sign_in, headers=part)
                    if recording_id in heard:
                        assert (status, body) == (200, recording.plaintext)
                        assert (status_of_part, sound) == (206, recording.plaintext[100:200])
                    else:
                        assert (status, status_of_part) == (404, 404)


@pytest.mark.parametrize("recording_id", [BLUE_ID, PLAIN_ID])
async def test_the_others_recording_is_answered_like_an_unknown_one(
    start_server: StartServer, processor: FakeProcessor, recording_id: str
) -> None:
    """Each path, method and header: the very answer of an id that does not exist."""
    recordings = made()
    processor.recordings += recordings.values()
    rita = basic_header("rita", "rita's password")
    tried = 0
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        wanted = recordings[recording_id]
        for theirs, unknown in zip(paths(wanted, recording_id), paths(wanted, NO_ID), strict=True):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
                for headers in HEADERS if method == "GET" else HEADERS[:2]:
                    got = await ask(server, theirs, rita, method=method, headers=headers)
                    expected = await ask(server, unknown, rita, method=method, headers=headers)
                    own = theirs.split("?")[0] == recordings[RED_ID].path
                    assert got == expected, (method, theirs, headers)
                    assert own or got[0] in (400, 404, 405), (method, theirs, headers, got)
                    assert silent(got[2])
                    tried += 1
    assert tried > 700
    assert not any(recording_id in path for path in processor.asked if "/play/" in path)


@pytest.mark.parametrize("authorization", as_rita())
async def test_no_form_of_sign_in_opens_the_others_recording(
    start_server: StartServer, processor: FakeProcessor, authorization: str
) -> None:
    """Other forms, other people's names, two headers at once: 401, 403 or 404, never a sound."""
    recordings = made()
    processor.recordings += recordings.values()
    stranger = basic_header("bob", "a guess")
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        for recording_id in (BLUE_ID, PLAIN_ID):
            path = recordings[recording_id].path
            for forms in ([authorization], [authorization, stranger], [stranger, authorization]):
                for headers in HEADERS[:3]:
                    status, _, body = await ask(server, path, *forms, headers=headers)
                    assert status in (400, 401, 403, 404), forms
                    assert silent(body)
    assert processor.ranges == []


async def test_the_audit_tells_what_the_answer_does_not(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """The line says forbidden-tenant and whose it was; the answer and its code say unknown."""
    recordings = made()
    processor.recordings += recordings.values()
    rita = basic_header("rita", "rita's password")
    forwarded = {"X-Forwarded-For": "192.0.2.1", "Range": "bytes=0-5"}
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        status, _, body = await ask(server, recordings[BLUE_ID].path, rita, headers=forwarded)
        assert (status, refusal(body)[0]) == (404, 6)
        await ask(server, recordings[BLUE_ID].path.replace(BLUE_ID, NO_ID), rita)
        metrics = (await server.get("/metrics", who=None))[2]
    theirs, unknown = server.lines()
    assert (theirs["outcome"], theirs["tenant"], theirs["who"]) == (
        "forbidden-tenant",
        BLUE,
        "rita",
    )
    assert (theirs["forwarded_for"], theirs["status"], theirs["bytes"]) == ("192.0.2.1", 404, 0)
    assert (unknown["outcome"], unknown["tenant"]) == ("unknown", None)
    assert b'playbacks_total{outcome="forbidden-tenant"} 1.0' in metrics


async def test_what_is_wrong_with_the_others_recording_shows_nowhere(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Ruined metadata, envelope, key or bytes: an account that may not reach it sees 404 alike."""
    good = made()[BLUE_ID]
    unknown = f"no recording of this id has a media file {good.name}"
    rita = basic_header("rita", "rita's password")
    ruined = [
        good.changed(size="many"),
        good.changed(lab={}),
        good.changed(pkcs7="x"),
        good.changed(pkcs7=None),
        good.changed(mediaId=None),
        good.changed(tenant=None),
        good.changed(tenant={"name": RED}),
        good.changed(tenant=""),
        good.with_stored(b""),
        encrypted(BLUE_SOUND, key_pair("nobody's"), recording_id=BLUE_ID, tenant=BLUE),
    ]
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        for recording in ruined:
            processor.recordings[:] = [recording]
            status, _, body = await ask(server, recording.path, rita)
            assert (status, refusal(body)) == (404, (6, unknown))
            every = basic_header("all", "all's password")
            assert (await ask(server, recording.path, every))[0] in (409, 500)


async def test_keys_of_the_other_tenant_open_nothing(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Blue's alias, or its whole key, in Red's keystore gives Red nothing that Blue has."""
    recordings = made()
    # Red's own key under a certificate of Blue's issuer and serial: the alias is Blue's.
    impostor = key_pair("blue", key_label="red")
    assert impostor.alias == blue_key().alias
    claimed = encrypted(BLUE_SOUND, blue_key(), recording_id="00CLAIMED", tenant=RED)
    processor.recordings += [*recordings.values(), claimed]
    rita, bob = basic_header("rita", "rita's password"), basic_header("bob", "bob's password")
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        # A recording that claims to be Red's, but is encrypted for Blue's key only.
        status, _, body = await ask(server, claimed.path, rita)
        assert (status, refusal(body)[0]) == (409, 4)
        server.add_key(impostor, RED)
        for path in (recordings[BLUE_ID].path, recordings[PLAIN_ID].path):
            assert (await ask(server, path, rita))[0] == 404
        status, _, body = await ask(server, claimed.path, rita)
        assert (status, silent(body)) == (500, True)
        # Blue is not disturbed by what lies under its alias in Red's folder.
        assert (await ask(server, recordings[BLUE_ID].path, bob))[2] == BLUE_SOUND
    assert len(Envelope.from_pem(claimed.media["pkcs7"]).recipients) == 1


async def test_blues_key_in_reds_folder_still_opens_no_recording_of_blue(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """The tenant of the recording decides, not who has which key."""
    recordings = made()
    processor.recordings += recordings.values()
    async with start_server(processor, accounts=ACCOUNTS) as server:
        add_keys(server)
        server.add_key(blue_key(), RED)
        rita = basic_header("rita", "rita's password")
        assert (await ask(server, recordings[BLUE_ID].path, rita))[0] == 404
        assert (await ask(server, recordings[RED_ID].path, rita))[2] == RED_SOUND
