"""Stored bytes from the store, and decrypted sound from crypto_server, streamed through."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storage
from service_shell.accounts import basic_header
from tests.recording_processor.asking import file, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in, with_limits
from tests.recording_processor.samples import CCID, Json, media_file
from tests.recording_processor.upstreams import (
    Upstream,
    break_off,
    hang,
    open_upstream,
    refuse,
    serve,
)

DATA = os.urandom(3_000_000)
STORE_ACCOUNT = basic_header("processor", "store-secret")


@pytest.fixture
async def store() -> AsyncIterator[Upstream]:
    """A fake store."""
    async with open_upstream() as opened:
        opened.answer = serve(DATA, account=STORE_ACCOUNT)
        yield opened


@pytest.fixture
async def crypto() -> AsyncIterator[Upstream]:
    """A fake crypto_server."""
    async with open_upstream() as opened:
        opened.answer = serve(DATA, account=sign_in("listener")["Authorization"])
        yield opened


@pytest.fixture
def settings(settings: ProcessorSettings, store: Upstream, crypto: Upstream) -> ProcessorSettings:
    """The plain settings, and where the store and crypto_server are."""
    storage = Storage(url=f"{store.url}/recordings", name="processor", password="store-secret")
    return msgspec.structs.replace(settings, storages=[storage], crypto_url=crypto.url)


async def stored(client: Client, store: Upstream, **changed: Any) -> str:
    """File a recording whose bytes lie in the store; return its media path."""
    await file(client, media_file("CALL1", store=f"{store.url}/recordings", **changed))
    recording = (await get(client, "/api/v2/recordings/CALL1"))["recording"]
    return str(recording["mediaFiles"][0]["mediaPath"])


async def error(answer: aiohttp.ClientResponse, status: int) -> str:
    """Return the sentence of an error answer of this status."""
    assert answer.status == status, await answer.text()
    told: Json = await answer.json()
    return str(told["statusMessage"])


async def test_the_stored_bytes_are_streamed(client: Client, store: Upstream) -> None:
    """The ciphertext comes as it lies there, with its length, under the processor's account."""
    path = await stored(client, store)
    for prefix in ("/api/v2", f"/api/v2/ops/contact-centers/{CCID}"):
        async with client.get(prefix + path, headers=sign_in("crypto")) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/octet-stream"
            assert answer.content_length == len(DATA)
            assert answer.headers["ETag"] == '"1"'
            assert await answer.read() == DATA
    assert store.asked[0].path.startswith("/recordings/CALL1_")


async def test_a_range_is_passed_on(client: Client, store: Upstream) -> None:
    """A Range gets 206 with just that part, one behind the end 416."""
    path = await stored(client, store)
    headers = {**sign_in("crypto"), "Range": "bytes=1000000-1999999"}
    async with client.get(f"/api/v2{path}", headers=headers) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1000000-1999999/{len(DATA)}"
        assert await answer.read() == DATA[1_000_000:2_000_000]
    headers = {**sign_in("crypto"), "Range": "bytes=9000000-"}
    async with client.get(f"/api/v2{path}", headers=headers) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("value", ["QB\tYth", "lines=1-2", "bytes=a-b", "bytes"])
async def test_what_is_no_range_is_not_passed_on(
    client: Client, store: Upstream, value: str
) -> None:
    """The whole file is answered; the store, which might refuse such a field, does not see it."""
    path = await stored(client, store)
    headers = {**sign_in("crypto"), "Range": value}
    async with client.get(f"/api/v2{path}", headers=headers) as answer:
        assert answer.status == 200
        assert await answer.read() == DATA
    assert "Range" not in store.asked[0].headers


async def test_a_head_tells_the_length_alone(client: Client, store: Upstream) -> None:
    """HEAD asks the store by HEAD and answers its length without a body."""
    path = await stored(client, store)
    async with client.head(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
        assert (answer.status, answer.content_length) == (200, len(DATA))
        assert await answer.read() == b""
    assert store.asked[0].method == "HEAD"


async def test_a_plain_file_is_a_sound(client: Client, store: Upstream) -> None:
    """What is not encrypted has no `.bin` and is answered as the sound that it is."""
    path = await stored(client, store, pkcs7=None, certAlias=None)
    assert path.endswith(".wav")
    async with client.get(f"/api/v2{path}", headers=sign_in("operator")) as answer:
        assert answer.content_type == "audio/wav"


@pytest.mark.parametrize("name", ["nope.wav.bin", "../x", "x%2Fy", ""])
async def test_only_the_given_name_is_played(client: Client, store: Upstream, name: str) -> None:
    """Any other play name is not found; the store is not asked."""
    await stored(client, store)
    path = f"/api/v2/recordings/CALL1/play/{name}"
    async with client.get(path, headers=sign_in("crypto")) as answer:
        assert answer.status == 404
    assert store.asked == []


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "the store refused the processor's name or password"),
        (403, "the store does not let the processor read"),
        (404, "the store does not hold the media file"),
        (302, "the store answered 302"),
        (500, "the store answered 500"),
    ],
)
async def test_a_refusal_of_the_store_is_502(
    client: Client, store: Upstream, status: int, sentence: str
) -> None:
    """Whatever the store answers instead of bytes becomes 502 and one sentence; no redirects."""
    path = await stored(client, store)
    store.answer = refuse(status)
    async with client.get(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
        assert await error(answer, 502) == sentence
    assert len(store.asked) == 1


async def test_a_store_that_is_down_is_502(client: Client, store: Upstream) -> None:
    """No connection to the store is 502."""
    path = await stored(client, store, mediaDescriptor={"path": f"{store.url}/recordings/x"})

    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    store.answer = cut
    async with client.get(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
        assert await error(answer, 502) == "the store cannot be reached"


async def test_a_store_that_hangs_is_504(
    client_of: ClientOf, settings: ProcessorSettings, store: Upstream
) -> None:
    """A store that says nothing in time is 504."""
    healed = asyncio.Event()
    async with client_of(with_limits(settings, store_seconds=0.2)) as client:
        path = await stored(client, store)
        store.answer = hang(healed)
        async with client.get(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
            assert await error(answer, 504) == "the store did not answer in time"
        healed.set()


async def test_a_cut_stream_is_not_a_whole(client: Client, store: Upstream) -> None:
    """When the store breaks off, our client sees a cut, never a complete answer."""
    path = await stored(client, store)
    store.answer = break_off(DATA[:100_000], len(DATA))
    async with client.get(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    async with client.get("/metrics") as answer:
        text = await answer.text()
        assert 'upstream_total{outcome="broken",upstream="store"} 1.0' in text


@pytest.mark.parametrize(
    "path",
    ["http://169.254.169.254/latest/meta-data", "{store}/other/x", "{store}/recordings/%2e%2e/x"],
)
async def test_no_address_outside_the_storages_is_fetched(
    client: Client, store: Upstream, path: str
) -> None:
    """A path outside the storages of the settings is 502, and nothing is asked of anyone."""
    where = path.format(store=store.url)
    play = await stored(client, store, mediaDescriptor={"path": where})
    async with client.get(f"/api/v2{play}", headers=sign_in("crypto")) as answer:
        sentence = await error(answer, 502)
    assert "storage" in sentence or "cannot be a name" in sentence
    assert store.asked == []


async def test_streams_are_bounded(
    client_of: ClientOf, settings: ProcessorSettings, store: Upstream
) -> None:
    """When all places are taken the next stream is 503 with Retry-After."""
    healed = asyncio.Event()
    async with client_of(with_limits(settings, plays=1)) as client:
        path = await stored(client, store)
        store.answer = hang(healed)
        first = asyncio.create_task(client.get(f"/api/v2{path}", headers=sign_in("crypto")))
        async with asyncio.timeout(10):
            await store.was_asked.wait()
        async with client.get(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
        healed.set()
        (await first).close()


async def test_the_roles_of_a_stored_object(client: Client, store: Upstream) -> None:
    """Stored bytes go to operator, admin and crypto only."""
    path = await stored(client, store)
    for role in ("mcp", "listener", "processor"):
        async with client.get(f"/api/v2{path}", headers=sign_in(role)) as answer:
            assert answer.status == 403
    assert store.asked == []


async def test_the_console_plays_through_crypto(
    client: Client, store: Upstream, crypto: Upstream
) -> None:
    """A listener's sound comes from crypto_server under the listener's own account, in ranges."""
    path = await stored(client, store)
    headers = {**sign_in("listener"), "Range": "bytes=0-9"}
    async with client.get(f"/console{path}", headers=headers) as answer:
        assert answer.status == 206
        assert answer.content_type == "audio/wav"
        assert await answer.read() == DATA[:10]
    assert crypto.asked[0].path == f"/rcs{path}"
    assert store.asked == []


async def test_only_a_listener_hears(client: Client, store: Upstream, crypto: Upstream) -> None:
    """Operator and admin do not reach crypto_server by the console."""
    path = await stored(client, store)
    for role in ("operator", "admin", "mcp", "crypto"):
        async with client.get(f"/console{path}", headers=sign_in(role)) as answer:
            assert answer.status == 403
    assert crypto.asked == []


async def test_crypto_s_no_does_not_sign_the_person_out(
    client: Client, store: Upstream, crypto: Upstream
) -> None:
    """A 401 of crypto_server becomes 403 without a challenge."""
    path = await stored(client, store)
    crypto.answer = refuse(401)
    async with client.get(f"/console{path}", headers=sign_in("listener")) as answer:
        assert answer.status == 403
        assert "WWW-Authenticate" not in answer.headers


async def test_crypto_s_sentence_reaches_the_listener(
    client: Client, store: Upstream, crypto: Upstream
) -> None:
    """Why a sound cannot be played is said in crypto_server's own words."""
    path = await stored(client, store)
    crypto.answer = refuse(500, {"statusCode": 4, "statusMessage": "the key is missing"})
    async with client.get(f"/console{path}", headers=sign_in("listener")) as answer:
        assert await error(answer, 502) == "crypto_server says: the key is missing"
    crypto.answer = refuse(500, ["?"])
    async with client.get(f"/console{path}", headers=sign_in("listener")) as answer:
        assert await error(answer, 502) == "crypto_server says: error 500"


async def test_a_page_from_crypto_is_never_a_page_of_ours(
    client: Client, store: Upstream, crypto: Upstream
) -> None:
    """What comes from crypto_server is a sound or bytes to the browser, never HTML."""
    path = await stored(client, store)
    crypto.answer = serve(b"<script>", content_type="text/html")
    async with client.get(f"/console{path}", headers=sign_in("listener")) as answer:
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_without_a_crypto_url_nothing_is_played(
    client_of: ClientOf, settings: ProcessorSettings, store: Upstream
) -> None:
    """Without crypto_server the console says so."""
    async with client_of(msgspec.structs.replace(settings, crypto_url="")) as client:
        path = await stored(client, store)
        async with client.get(f"/console{path}", headers=sign_in("listener")) as answer:
            assert await error(answer, 502) == "no crypto_server is configured"
        async with client.get("/", headers=sign_in("listener")) as answer:
            assert "<audio" not in await answer.text()


async def test_a_big_file_is_never_held_whole(client: Client, store: Upstream) -> None:
    """The store is never far ahead of the reader: what lies between them is bounded."""
    path = await stored(client, store)
    size = 256 << 20
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        chunk = bytes(1 << 20)
        while sent < size:
            await response.write(chunk)
            sent += len(chunk)
        return response

    store.answer = pour
    async with client.get(f"/api/v2{path}", headers=sign_in("crypto")) as answer:
        read = ahead = 0
        async for chunk in answer.content.iter_any():
            ahead = max(ahead, sent - read)
            read += len(chunk)
    assert read == size
    assert ahead < 64 << 20
