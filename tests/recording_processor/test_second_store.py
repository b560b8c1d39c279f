"""A recording whose copy lies in a second store is read from there when the first has it not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import msgspec
import pytest

from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storage
from service_shell.accounts import basic_header
from tests.recording_processor.archived import file_all, made, zip_of
from tests.recording_processor.asking import POST, file, get
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import media_file, post
from tests.recording_processor.upstreams import Upstream, open_upstream, refuse, serve

DATA = os.urandom(100_000)
COPY_ACCOUNT = basic_header("copies", "copy-secret")


@pytest.fixture
async def store() -> AsyncIterator[Upstream]:
    """The first store."""
    async with open_upstream() as opened:
        yield opened


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    """The second store; it has an account of its own."""
    async with open_upstream() as opened:
        opened.answer = serve(DATA, account=COPY_ACCOUNT)
        yield opened


@pytest.fixture
def settings(settings: ProcessorSettings, store: Upstream, second: Upstream) -> ProcessorSettings:
    """The plain settings with both stores."""
    storages = [
        Storage(url=f"{store.url}/recordings", name="processor", password="store-secret"),
        Storage(url=f"{second.url}/copies", name="copies", password="copy-secret"),
    ]
    return msgspec.structs.replace(settings, storages=storages)


async def play_path(client: Client, store: Upstream, copy: str) -> str:
    """File a recording with a copy; return its play path."""
    media = media_file("CALL1", store=f"{store.url}/recordings")
    media["lab"]["copyPath"] = copy
    await file(client, media)
    recording = (await get(client, "/api/v2/recordings/CALL1"))["recording"]
    return f"/api/v2{recording['mediaFiles'][0]['mediaPath']}"


@pytest.mark.parametrize("status", [404, 401, 500])
async def test_the_copy_is_played_when_the_store_does_not_serve(
    client: Client, store: Upstream, second: Upstream, status: int
) -> None:
    """Lost, refused or broken in the first store: the bytes come from the second."""
    path = await play_path(client, store, f"{second.url}/copies/x.bin")
    store.answer = refuse(status)
    async with client.get(path, headers=sign_in("crypto")) as answer:
        assert answer.status == 200
        assert await answer.read() == DATA
    assert [asked.path for asked in second.asked] == ["/copies/x.bin"]


async def test_the_first_store_is_asked_first(
    client: Client, store: Upstream, second: Upstream
) -> None:
    """While it serves, the copy is not touched."""
    path = await play_path(client, store, f"{second.url}/copies/x.bin")
    store.answer = serve(DATA[::-1], account=basic_header("processor", "store-secret"))
    async with client.get(path, headers=sign_in("crypto")) as answer:
        assert await answer.read() == DATA[::-1]
    assert second.asked == []


async def test_no_copy_outside_the_storages_is_fetched(
    client: Client, store: Upstream, second: Upstream
) -> None:
    """The copy's address comes from outside too: only storages of the settings are asked."""
    path = await play_path(client, store, f"{second.url}/elsewhere/x.bin")
    store.answer = refuse(404)
    async with client.get(path, headers=sign_in("crypto")) as answer:
        assert answer.status == 502
        assert "in no storage" in (await answer.json())["statusMessage"]
    assert second.asked == []


async def test_an_archive_takes_the_copy(client: Client, store: Upstream, second: Upstream) -> None:
    """What the first store lost is archived from the second, proven by the same digests."""
    kept = made("CALL1", store.url)
    kept.media["lab"]["copyPath"] = f"{second.url}/copies/x.bin"
    second.answer = serve(kept.stored, account=COPY_ACCOUNT)
    store.answer = refuse(404)
    await file_all(client, kept)
    archive = await zip_of(client)
    (stored,) = [name for name in archive.namelist() if name.endswith(".bin")]
    assert archive.read(stored).endswith(kept.stored)
    assert len(second.asked) == 1


async def test_without_either_the_first_store_is_blamed(
    client: Client, store: Upstream, second: Upstream
) -> None:
    """An archive says what is wrong with the recording's own place."""
    kept = made("CALL1", store.url)
    kept.media["lab"]["copyPath"] = f"{second.url}/copies/x.bin"
    store.answer, second.answer = refuse(404), refuse(500)
    await file_all(client, kept)
    archive = await zip_of(client)
    text = b"".join(archive.read(name) for name in archive.namelist())
    assert b"the store does not hold the media file" in text


async def test_a_password_in_the_url_of_a_copy_is_refused(client: Client, store: Upstream) -> None:
    """It would be answered to every reader, and go onward."""
    media = media_file("CALL1", store=f"{store.url}/recordings")
    media["lab"]["copyPath"] = f"http://copies:secret@127.0.0.1/copies/{media['mediaId']}.bin"
    async with client.post(POST, data=post(media), headers=sign_in("mcp")) as answer:
        told = await answer.json()
    assert answer.status == 400
    assert told["statusMessage"] == "mediaFiles[0].lab.copyPath holds a name or a password"
