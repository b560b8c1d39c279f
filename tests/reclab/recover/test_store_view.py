"""Only what lies in the lab's collection is looked at, whatever else a listing names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from reclab.lab_client import LabError
from reclab.recover.store_view import StoreView
from tests.reclab.fake_lab import fake_lab
from tests.recording_processor.upstreams import Upstream, open_upstream


@pytest.fixture
async def store() -> AsyncIterator[Upstream]:
    """A store of which a test says what it lists."""
    async with open_upstream() as opened:
        yield opened


def listing(*hrefs: str) -> str:
    """A listing with these members, collections where they end in a slash."""
    kind = {True: "<collection/>", False: ""}
    members = (
        f"<response><href>{href}</href><propstat><prop><resourcetype>{kind[href.endswith('/')]}"
        "</resourcetype></prop></propstat></response>"
        for href in hrefs
    )
    return f'<multistatus xmlns="DAV:">{"".join(members)}</multistatus>'


async def listed(folder: Path, store: Upstream, *hrefs: str) -> list[str]:
    """Return the paths of the objects that a view of the store yields."""

    async def answer(request: web.Request) -> web.Response:
        inside = request.path == "/recordings/folder/"
        text = listing("/recordings/folder/x.bin") if inside else listing("/recordings/", *hrefs)
        return web.Response(status=207, text=text, content_type="application/xml")

    store.answer = answer
    async with fake_lab(folder) as fake, aiohttp.ClientSession() as http:
        lab = msgspec.structs.replace(fake.lab, store=f"{store.url}/recordings")
        return [one.path async for one in StoreView(lab, http).objects()]


async def test_the_collection_is_listed(tmp_path: Path, store: Upstream) -> None:
    """Its objects, and those of the collections inside."""
    found = await listed(tmp_path, store, "/recordings/a.bin", "/recordings/folder/")
    assert found == ["/recordings/a.bin", "/recordings/folder/x.bin"]


@pytest.mark.parametrize(
    "href",
    [
        "/elsewhere/",
        "/elsewhere/x.bin",
        "/recordings-2/x.bin",
        ".example.org/recordings/",
        "/recordings/../elsewhere/",
        "/recordings/%2e%2e/x.bin",
    ],
)
async def test_no_name_leads_out_of_it(tmp_path: Path, store: Upstream, href: str) -> None:
    """Nothing outside is asked for with the operator's password, or filed; one sentence says so."""
    with pytest.raises(LabError, match="lists what is not in it"):
        await listed(tmp_path, store, "/recordings/a.bin", href)
    assert [asked.path for asked in store.asked] == ["/recordings/"]
