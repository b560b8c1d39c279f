"""The zip when something goes wrong on the way: readers, the store, the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from aiohttp import web

from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storage
from recording_processor.web.archive import MAX_ZIPS
from tests.recording_processor.archived import Made, Objects, file_all, json_in, made, zip_of
from tests.recording_processor.conftest import Client, ClientOf, sign_in, with_limits
from tests.recording_processor.upstreams import Upstream, break_off, hang, open_upstream, refuse

MIB = 1 << 20


@pytest.fixture
async def store() -> AsyncIterator[Upstream]:
    """A fake store."""
    async with open_upstream() as opened:
        yield opened


@pytest.fixture
def objects(store: Upstream) -> Objects:
    """What the store holds."""
    return Objects(store)


@pytest.fixture
def settings(settings: ProcessorSettings, store: Upstream) -> ProcessorSettings:
    """The plain settings, and where the store is."""
    storage = Storage(url=f"{store.url}/recordings", name="processor", password="store-secret")
    return msgspec.structs.replace(settings, storages=[storage])


async def kept(client: Client, objects: Objects, *files: Made) -> None:
    """Store and file the files."""
    objects.add(*files)
    await file_all(client, *files)


async def test_a_client_that_goes_away_frees_everything(
    client: Client, store: Upstream, objects: Objects
) -> None:
    """Places are bounded; when a reader leaves in the middle, its place is free again."""
    await kept(client, objects, made("A", store.url, size=100), made("B", store.url, seconds=1))
    serve, waiting = store.answer, asyncio.Event()
    healed = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        if "/B-" in request.path:
            waiting.set()
            await healed.wait()
        return await serve(request)

    store.answer = stall
    readers = []
    for _ in range(MAX_ZIPS):
        waiting.clear()
        readers.append(await client.get("/lab/archive.zip", headers=sign_in("operator")))
        async with asyncio.timeout(10):
            await waiting.wait()
    async with client.get("/lab/archive.zip", headers=sign_in("operator")) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    for reader in readers:
        reader.close()
    healed.set()
    async with asyncio.timeout(10):
        while True:
            async with client.get("/metrics") as answer:
                if 'streams{upstream="archive"} 0.0' in await answer.text():
                    break
    store.answer = serve
    await zip_of(client)


async def test_a_reader_that_stalls_is_let_go(
    client_of: ClientOf, settings: ProcessorSettings, store: Upstream, objects: Objects
) -> None:
    """Who takes nothing for a while loses the connection, and never has a whole zip."""
    async with client_of(with_limits(settings, store_seconds=1.0)) as client:
        await kept(client, objects, made("A", store.url, size=30 * MIB))
        answer = await client.get("/lab/archive.zip", headers=sign_in("operator"))
        async with asyncio.timeout(20):
            while True:
                async with client.get("/metrics") as told:
                    if 'streams{upstream="archive"} 0.0' in await told.text():
                        break
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_a_broken_catalogue_breaks_the_zip_off(
    client: Client, store: Upstream, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong after the first byte is told by a broken answer, never by a short zip."""
    await kept(client, objects, *(made(f"R{n}", store.url, seconds=n) for n in range(3)))

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr("recording_processor.catalogue.catalogue.Catalogue.recording", fail)
    async with client.get("/lab/archive.zip", headers=sign_in("operator")) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_a_silent_store_does_not_end_the_zip(
    client_of: ClientOf, settings: ProcessorSettings, store: Upstream
) -> None:
    """A store that says nothing in time costs its media file only."""
    healed = asyncio.Event()
    async with client_of(with_limits(settings, store_seconds=0.2)) as client:
        await file_all(client, made("A", store.url))
        store.answer = hang(healed)
        (error,) = json_in(await zip_of(client), "errors.json")
        assert error["problem"] == "the store did not answer in time"
        healed.set()


async def test_a_store_that_refuses_is_told(client: Client, store: Upstream) -> None:
    """Wrong credentials, an error, a cut: each is one sentence per media file."""
    file = made("A", store.url)
    await file_all(client, file)
    for answer, sentence in {
        refuse(401): "the store refused the processor's name or password",
        refuse(302): "the store answered 302",
        break_off(file.stored[:100], len(file.stored)): "the store broke off",
    }.items():
        store.answer = answer
        (error,) = json_in(await zip_of(client), "errors.json")
        assert error["problem"] == sentence
