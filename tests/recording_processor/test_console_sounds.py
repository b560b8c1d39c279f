"""Where the console's sounds come from, what is asked there, and how parts of them come back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web

from recording_processor.settings import ProcessorSettings
from tests.recording_processor.asking import ask, file, get
from tests.recording_processor.conftest import Client, ClientOf, sign_in
from tests.recording_processor.samples import CCID, media_file
from tests.recording_processor.upstreams import Upstream, open_upstream, serve

GROUP = f"/api/v2/ops/contact-centers/{CCID}/settings/screen-recording"
DATA = bytes(range(256)) * 40


@pytest.fixture
async def own() -> AsyncIterator[Upstream]:
    """The crypto server of the settings."""
    async with open_upstream() as opened:
        opened.answer = serve(DATA)
        yield opened


@pytest.fixture
async def near() -> AsyncIterator[Upstream]:
    """A crypto server of one location."""
    async with open_upstream() as opened:
        opened.answer = serve(DATA)
        yield opened


@pytest.fixture
def settings(settings: ProcessorSettings, own: Upstream) -> ProcessorSettings:
    """The settings of a node in Alaska."""
    return msgspec.structs.replace(settings, crypto_url=own.url, node_path="US/AK/")


async def set_prefix(client: Client, location: str, url: str) -> None:
    """Set a decrypt-uri-prefix."""
    body = {"name": "decrypt-uri-prefix", "location": location, "value": url}
    await ask(client, "POST", GROUP, body)


async def sound(client: Client) -> str:
    """File a recording; return the console's address of its sound."""
    await file(client, media_file("CALL1"))
    recording = (await get(client, "/api/v2/recordings/CALL1"))["recording"]
    return f"/console{recording['mediaFiles'][0]['playPath']}"


async def play(client: Client, path: str, **headers: str) -> None:
    """Ask for a sound and read it."""
    async with client.get(path, headers={**sign_in("listener"), **headers}) as answer:
        assert answer.status == 200, await answer.text()
        assert await answer.read() == DATA


async def test_the_prefix_of_the_node_s_location_decides(
    client: Client, own: Upstream, near: Upstream
) -> None:
    """The longest location that covers node_path wins; without one it is crypto_url."""
    path = await sound(client)
    await play(client, path)
    await set_prefix(client, "/USA", f"{near.url}/wrong/rcs")
    await set_prefix(client, "/US/AK/1", f"{near.url}/wrong/rcs")
    await play(client, path)
    assert (len(own.asked), len(near.asked)) == (2, 0)
    await set_prefix(client, "/", f"{near.url}/root/rcs")
    await play(client, path)
    await set_prefix(client, "/US", f"{near.url}/us/rcs/")
    await play(client, path)
    assert len(own.asked) == 2
    tail = path.removeprefix("/console")
    assert [each.path for each in near.asked] == [f"/root/rcs{tail}", f"/us/rcs{tail}"]
    assert own.asked[0].path == f"/rcs{tail}"
    for location in ("/", "/US"):
        await ask(client, "DELETE", f"{GROUP}?name=decrypt-uri-prefix&location={location}")
    await play(client, path)
    assert len(own.asked) == 3


async def test_a_prefix_alone_is_enough(
    client_of: ClientOf, settings: ProcessorSettings, near: Upstream
) -> None:
    """Without crypto_url the page has players as soon as a prefix holds here."""
    async with client_of(msgspec.structs.replace(settings, crypto_url="")) as client:
        path = await sound(client)
        for there in (False, True):
            async with client.get("/", headers=sign_in("listener")) as answer:
                assert ("<audio" in await answer.text()) is there
            await set_prefix(client, "/US", f"{near.url}/rcs")
        await play(client, path)


async def test_the_crypto_server_is_told_for_whom(client: Client, own: Upstream) -> None:
    """X-Forwarded-For ends with the listener's own address, whatever the listener claims."""
    path = await sound(client)
    claims = ["", "192.0.2.7", "9.9.9.9, 192.0.2.7, 2001:db8::1", "x" * 4000, "<script>, 1.1.1.1"]
    for claim in claims:
        await play(client, path, **({"X-Forwarded-For": claim} if claim else {}))
    assert [each.headers["X-Forwarded-For"] for each in own.asked] == [
        "127.0.0.1",
        "192.0.2.7, 127.0.0.1",
        "192.0.2.7, 2001:db8::1, 127.0.0.1",
        "127.0.0.1",
        "1.1.1.1, 127.0.0.1",
    ]


async def test_nothing_else_of_the_listener_goes_on(client: Client, own: Upstream) -> None:
    """Cookies and other headers of the listener stay here; only the sign-in and Range go on."""
    path = await sound(client)
    await play(client, path, Cookie="a=b", Referer="http://x/", Origin="http://x")
    (asked,) = own.asked
    assert not {"Cookie", "Referer", "Origin"} & set(asked.headers)


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=5000-", 206, slice(5000, None)),
        ("bytes=-10", 206, slice(-10, None)),
        ("bytes=10240-", 416, None),
    ],
)
async def test_parts_of_a_sound(
    client: Client, own: Upstream, wanted: str, status: int, span: slice | None
) -> None:
    """Range and If-Range go on, 206 and 416 come back with Content-Range and Accept-Ranges."""
    path = await sound(client)
    asked: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.update(request.headers)
        told = {"Accept-Ranges": "bytes", "ETag": '"7"', "X-Reclab-Verified": "yes"}
        response = await serve(DATA)(request)
        response.headers.update(told)
        return response

    own.answer = answer
    headers = {**sign_in("listener"), "Range": wanted, "If-Range": '"7"'}
    async with client.get(path, headers=headers) as got:
        assert got.status == status
        assert got.headers["Content-Range"].endswith("/10240")
        assert (got.headers["Accept-Ranges"], got.headers["ETag"]) == ("bytes", '"7"')
        assert await got.read() == (b"" if span is None else DATA[span])
    assert (asked["Range"], asked["If-Range"]) == (wanted, '"7"')
    async with client.head(path, headers=sign_in("listener")) as got:
        assert (got.status, got.content_length) == (200, len(DATA))
        assert got.headers["X-Reclab-Verified"] == "yes"
