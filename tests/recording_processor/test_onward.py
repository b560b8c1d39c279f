"""Onward delivery: what was filed reaches the web services, whatever they do meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from recording_processor.intake import read_post
from service_shell.settings import SettingsError
from tests.recording_processor.irws import (
    PASSWORD,
    Answer,
    close_early,
    hang,
    many,
    open_irws,
    status,
)
from tests.recording_processor.onward_room import (
    FOLDER,
    SECONDS,
    onward_room,
    onward_settings,
    outbox_only,
)
from tests.recording_processor.samples import ALIAS, CCID, ENVELOPE, media_file, post

SECRETS = {
    "rp.speechminer_auth": "u:hush-password",
    "rp.callrec_dest": "http://elsewhere",
    "RP.Speechminer_Auth": "u:hush-password",
    "httpauthorization": "mcp:hush-password",
}


async def test_what_is_filed_goes_onward(tmp_path: Path) -> None:
    """The web services get id, ccid, region, numbers, events and media files, signed in."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        await room.file("CALL1", partitions=["/sales"])
        await room.until()
        (body,) = irws.taken
        (media,) = body["mediaFiles"]
        assert (body["id"], body["ccid"], body["region"]) == ("CALL1", CCID, "1")
        assert body["callerPhoneNumber"] == "+16175550101"
        assert body["dialedPhoneNumber"] == "8005550199"
        assert [event["event"] for event in body["eventHistory"]] == ["Joined"] * 2 + ["Left"] * 2
        posted = media_file("CALL1")
        for name in ("mediaId", "mediaDescriptor", "startTime", "duration", "masks", "lab"):
            assert media[name] == posted[name], name
        assert (media["pkcs7"], media["certAlias"]) == (ENVELOPE, [ALIAS])
        assert (media["callUUID"], media["partitions"], media["accessgroups"]) == (
            "CALL1",
            ["/sales"],
            [],
        )
        assert room.counted("sent") == 1


async def test_nothing_waits_where_it_is_off(tmp_path: Path) -> None:
    """Without web services a post leaves nothing in the outbox."""
    async with outbox_only(tmp_path, used=False) as catalogue:
        await catalogue.file(read_post(post(media_file("CALL1"))))
        assert (await catalogue.outbox.counts()).waiting == 0


async def test_a_repeated_post_goes_once(tmp_path: Path) -> None:
    """What the catalogue had already is not sent again; a new media file is, alone."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        for media_id in ("a.wav", "a.wav", "b.wav", "a.wav"):
            await room.file("CALL1", media_id=media_id)
        await room.until()
        assert irws.taken_ids() == [("CALL1", ["a.wav"]), ("CALL1", ["b.wav"])]


async def test_no_password_goes_onward(tmp_path: Path) -> None:
    """`rp.…` and passwords are in no body, however they are spelt, and in no kept file."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        extra = {"rp.speechminer_auth": "u:hush-password", "deep": [{"x_auth": "hush-password"}]}
        await room.file("CALL1", parameters=SECRETS, **extra)
        await room.until()
        irws.always = status(400)
        await room.file("CALL2", parameters=SECRETS, **extra)
        await room.until(failed=1)
        for text in (json.dumps(irws.taken), room.files()[0].read_text()):
            assert "hush-password" not in text
            assert "rp." not in text.lower()
            assert '"connId"' in text


FAILURES: dict[str, Answer] = {
    "500": status(500),
    "503": status(503, **{"Retry-After": "0"}),
    "404": status(404),
    "201": status(201),
    "307": status(307, Location="http://127.0.0.1:1/elsewhere"),
    "429": status(429, **{"Retry-After": "Fri, 02 Jan 2026 10:00:00 GMT"}),
    "odd retry-after": status(503, **{"Retry-After": "soon"}),
    "closed without an answer": close_early(),
    "closed in the answer": close_early(b'{"statusCode":0'),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_that_passes(tmp_path: Path, failure: str) -> None:
    """Whatever passes is tried again until it is taken, and counted."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.plan += many(FAILURES[failure], 5)
        await room.file("CALL1")
        await room.until()
        assert irws.taken_ids() == [("CALL1", ["CALL1_2026-01-02-0a1b2c3d-00000001-00000001.wav"])]
        assert irws.tries >= 6
        assert room.counted("later") >= 5


async def test_a_slow_answer_is_not_waited_for(tmp_path: Path) -> None:
    """An answer that does not come in time is a failure that passes."""
    over = asyncio.Event()
    async with open_irws() as irws, onward_room(tmp_path, irws.url, timeout=0.3) as room:
        irws.plan.append(hang(over))
        await room.file("CALL1")
        await room.until()
        over.set()
        assert room.counted("later") >= 1
        assert len(irws.taken) == 1


async def test_web_services_that_are_down(tmp_path: Path) -> None:
    """While nothing listens, posts wait; tried are few of them; then all arrive."""
    # Bound, so that nobody else takes the port, but not listening.
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    async with onward_room(tmp_path, f"http://127.0.0.1:{port}", tries=1000) as room:
        for number in range(20):
            await room.file(f"C{number}")
        async with asyncio.timeout(SECONDS):
            while room.counted("later") < 6:
                await asyncio.sleep(0.01)
        assert room.onward.delivery.fault == "the web services cannot be reached"
        assert (await room.catalogue.outbox.counts()).waiting == 20
        async with open_irws(port) as irws:
            await room.until()
            assert sorted(name for name, _ in irws.taken_ids()) == sorted(
                f"C{number}" for number in range(20)
            )
            assert len(irws.taken) == 20
        assert room.onward.delivery.fault == ""
    held.close()


async def test_the_token_against_forgery(tmp_path: Path) -> None:
    """The header that a GET names carries its token; when it has expired a new one is fetched."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url, csrf=True) as room:
        irws.csrf = True
        await room.file("C1")
        await room.file("C2")
        await room.until()
        assert irws.gets == 1
        irws.token = "expired"
        await room.file("C3")
        await room.until()
        assert irws.gets == 2
        assert sorted(name for name, _ in irws.taken_ids()) == ["C1", "C2", "C3"]
        assert room.counted("later") == 0


async def test_a_corrected_password_is_used(tmp_path: Path) -> None:
    """A refused sign-in is tried again with what the password's file says by then."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url, tries=1000) as room:
        irws.password = "another-secret"
        await room.file("CALL1")
        async with asyncio.timeout(SECONDS):
            while irws.tries < 3:
                await asyncio.sleep(0.01)
        (tmp_path / "irws.password").write_text("another-secret")
        await room.until()
        assert len(irws.taken) == 1


async def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """What was planned by a clock ahead of ours does not wait for the time it named."""
    async with outbox_only(tmp_path) as catalogue:
        await catalogue.file(read_post(post(media_file("CALL1"))))
        async with catalogue.database.writing() as connection:
            await connection.exec_driver_sql("UPDATE onward_posts SET next_try = 4102444800000")
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        await room.until()
        assert len(irws.taken) == 1


async def test_a_second_media_file_never_overtakes(tmp_path: Path) -> None:
    """Files of one recording go in their order, although others pass by."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.plan += many(status(500), 2)
        for media_id in ("a.wav", "b.wav", "c.wav"):
            await room.file("CALL1", media_id=media_id)
        for number in range(8):
            await room.file(f"OTHER{number}")
        await room.until()
        files = [media for name, media in irws.taken_ids() if name == "CALL1"]
        assert files == [["a.wav"], ["b.wav"], ["c.wav"]]
        assert len(irws.taken) == 11


@pytest.mark.parametrize("code", [400, 409, 413, 422])
async def test_a_never_becomes_a_file(tmp_path: Path, code: int) -> None:
    """What is refused for good is one whole private file, and is not sent again by itself."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.always = status(code)
        await room.file("CALL1")
        await room.until(failed=1)
        (file,) = room.files()
        assert file.parent.name == FOLDER
        assert file.name == "CALL1_20260102T100000.000Z.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert json.loads(file.read_bytes())["id"] == "CALL1"
        assert irws.tries == 1
        assert [each.name for each in file.parent.iterdir()] == [file.name]


async def test_exhausted_tries_become_a_file(tmp_path: Path) -> None:
    """After so many tries a post is kept as a file; what is behind it waits, and goes after it."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url, tries=2) as room:
        irws.plan += many(status(500), 2)
        await room.file("CALL1", media_id="a.wav")
        await room.until(failed=1)
        await room.file("CALL1", media_id="b.wav")
        await room.file("CALL2")
        await room.until(waiting=1, failed=1)
        assert [name for name, _ in irws.taken_ids()] == ["CALL2"]
        result = await room.onward.replay.start()
        assert (result.replayed, result.kept, result.fault) == (1, 0, None)
        await room.until()
        assert irws.taken_ids()[1:] == [("CALL1", ["a.wav"]), ("CALL1", ["b.wav"])]
        assert room.files() == []
        assert room.counted("replayed") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://irws"},
        {"url": "http://user:password@irws"},
        {"url": "http://irws/?a=1"},
        {"url": "http://irws:99999"},
        {"user": ""},
        {"password_file": "/nowhere/at/all"},
        {"failed": "/proc/nowhere"},
    ],
)
async def test_settings_that_cannot_be_used(tmp_path: Path, settings: dict[str, Any]) -> None:
    """An address, a password file, a folder that cannot be: one sentence, without the password."""
    with pytest.raises(SettingsError, match=r"^onward") as refused:
        async with onward_room(tmp_path, settings.pop("url", "http://127.0.0.1:1"), **settings):
            pass
    assert PASSWORD not in str(refused.value)
    assert "password@" not in str(refused.value)


async def test_a_disk_that_is_full_keeps_it_waiting(tmp_path: Path) -> None:
    """Where a file cannot be written, the post stays in the outbox and is tried again."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url) as room:
        irws.always = status(400)
        (room.failed / FOLDER).write_text("a file where the folder should be")
        await room.file("CALL1")
        async with asyncio.timeout(SECONDS):
            while irws.tries < 2:
                await asyncio.sleep(0.01)
        assert (await room.catalogue.outbox.counts()).failed == 0
        (room.failed / FOLDER).unlink()
        await room.until(failed=1)
        assert len(room.files()) == 1


async def test_nothing_secret_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither a log line nor a repr has the password or the token."""
    async with open_irws() as irws, onward_room(tmp_path, irws.url, csrf=True) as room:
        irws.csrf = True
        irws.plan.append(status(403))
        irws.plan.append(status(422))
        await room.file("CALL1")
        await room.until(failed=1)
        told = repr(room.onward.delivery.__dict__) + repr(room.onward.replay.__dict__)
        settings = repr(onward_settings(tmp_path, irws.url))
    shown = capfd.readouterr()
    for text in (told, settings, shown.out, shown.err):
        assert PASSWORD not in text
        assert "'t1'" not in text
