"""Conflicts as a person sees them: listed, counted, dismissed; and posts that are none."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.conflicts import Conflicts
from recording_processor.errors import Conflict, ProcessorError
from recording_processor.intake import read_post
from recording_processor.recording import Filing
from recording_processor.settings import ProcessorSettings
from tests.peers import peer
from tests.recording_processor.asking import ask, file, get
from tests.recording_processor.conftest import (
    Client,
    ClientOf,
    open_catalogue,
    sign_in,
    with_account,
)
from tests.recording_processor.samples import CCID, Json, media_file, post

PATH = f"/api/v2/ops/contact-centers/{CCID}/conflicts"


def rival(recording_id: str = "CALL1", digest: str = "0" * 64, **changed: Any) -> Json:
    """Return a media file with another digest."""
    media = media_file(recording_id, **changed)
    media["lab"]["sha256"] = digest
    return media


async def listed(client: Client, role: str = "operator") -> list[Json]:
    """Return the conflicts that someone sees."""
    found: list[Json] = (await get(client, PATH, role=role))["conflicts"]
    return found


async def test_a_conflict_is_listed_once(client: Client) -> None:
    """Who, what and when, with both digests; the same conflict again is counted."""
    first = media_file("CALL1")
    await file(client, first)
    for _ in range(3):
        await file(client, rival(), status=409)
    (conflict,) = await listed(client)
    assert conflict["recordingId"] == "CALL1"
    assert conflict["mediaId"] == first["mediaId"]
    assert (conflict["tenant"], conflict["subject"]) == ("Environment", "sha-256")
    assert (conflict["filed"], conflict["posted"]) == (first["lab"]["sha256"], "0" * 64)
    assert conflict["times"] == 3
    assert conflict["firstAt"] < conflict["lastAt"]
    async with client.get("/metrics") as answer:
        assert "reclab_processor_conflicts 1.0" in await answer.text()


async def test_every_kind_of_conflict(client: Client) -> None:
    """Other metadata, another recording's id, another tenant: each is listed with both sides."""
    await file(client, media_file("C1", lab=None))
    await file(client, media_file("C1", lab=None, size="1"), status=409)
    await file(client, media_file("C2", media_id="c2.wav"))
    await file(client, media_file("C3", media_id="c2.wav"), status=409)
    await file(client, media_file("C2", media_id="new.wav", tenant="North"), status=409)
    tenant, recording, metadata = await listed(client)
    assert (tenant["subject"], tenant["filed"], tenant["posted"]) == (
        "tenant",
        "Environment",
        "North",
    )
    assert (recording["subject"], recording["filed"], recording["posted"]) == (
        "recording",
        "C2",
        "C3",
    )
    assert metadata["subject"] == "metadata"
    assert len(metadata["filed"]) == len(metadata["posted"]) == 64
    assert metadata["filed"] != metadata["posted"]


async def test_a_conflict_is_dismissed(client: Client) -> None:
    """A DELETE takes it off the list; it comes back when it is posted again."""
    await file(client, media_file("CALL1"))
    await file(client, rival(), status=409)
    (conflict,) = await listed(client)
    for number in ("0", "-1", "x", "9" * 40, "²"):
        await ask(client, "DELETE", f"{PATH}/{number}", role="operator", status=404)
    await ask(client, "DELETE", f"{PATH}/{conflict['number']}", role="operator")
    assert await listed(client) == []
    await ask(client, "DELETE", f"{PATH}/{conflict['number']}", status=404)
    await file(client, rival(), status=409)
    assert len(await listed(client, "admin")) == 1


async def test_conflicts_stay_with_their_tenants(
    client_of: ClientOf, settings: ProcessorSettings
) -> None:
    """An account of one tenant sees no digest, no id and no number of another's."""
    limited = with_account(settings, "north", ["admin"], ["North"])
    async with client_of(limited) as client:
        await file(client, media_file("C1", media_id="a.wav"))
        await file(client, rival("C1", media_id="a.wav"), status=409)
        await file(client, media_file("N1", media_id="a.wav", tenant="North"), status=409)
        await file(client, media_file("N2", media_id="n.wav", tenant="North"))
        await file(client, rival("N2", media_id="n.wav", tenant="North"), status=409)
        assert [each["recordingId"] for each in await listed(client, "north")] == ["N2"]
        foreign = next(each for each in await listed(client) if each["recordingId"] == "C1")
        path = f"{PATH}/{foreign['number']}"
        await ask(client, "DELETE", path, role="north", status=404)
        assert len(await listed(client)) == 3
        async with client.get("/", headers=sign_in("north")) as answer:
            assert "1 conflict</a>" in await answer.text()


async def test_who_may_look(client: Client) -> None:
    """Roles operator and admin, and a page of our own; a foreign one dismisses nothing."""
    for role in ("mcp", "listener", "crypto", "processor"):
        await get(client, PATH, role=role, status=403)
        await ask(client, "DELETE", f"{PATH}/1", role=role, status=403)
    foreign = {"Origin": "http://elsewhere.example"}
    await ask(client, "DELETE", f"{PATH}/1", status=403, headers=foreign)
    await get(client, f"{PATH}?limit=0", status=400)
    await get(client, PATH.replace(CCID, "other"), status=404)


async def test_the_console_shows_them(client: Client) -> None:
    """The page of recordings leads to them; what was posted cannot become markup."""
    evil = "<script>alert(1)</script>"
    await file(client, media_file(evil.replace("/", "|"), media_id="a.wav"))
    await file(client, rival(evil.replace("/", "|"), media_id="a.wav"), status=409)
    for role, seen in (("operator", True), ("admin", True), ("listener", False)):
        async with client.get("/", headers=sign_in(role)) as answer:
            assert ('<a href="/console/conflicts">1 conflict</a>' in await answer.text()) is seen
    async with client.get("/console/conflicts", headers=sign_in("operator")) as answer:
        text = await answer.text()
        assert answer.status == 200
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert "0" * 64 in text
    (conflict,) = await listed(client)
    assert f'data-dismiss="{PATH}/{conflict["number"]}"' in text
    async with client.get("/console/conflicts", headers=sign_in("listener")) as answer:
        assert answer.status == 403


@pytest.mark.peer
@pytest.mark.slow
async def test_a_person_dismisses_a_conflict(client: Client) -> None:
    """In Debian's Chromium the button takes the line away, here and in the catalogue."""
    chromium = peer("chromium")
    await file(client, media_file("CALL1"))
    await file(client, rival(), status=409)
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=flags)
        try:
            page = await browser.new_page(
                http_credentials={"username": "operator", "password": "operator-secret"}
            )
            await page.goto(str(client.make_url("/")))
            await page.get_by_role("link", name="1 conflict").click()
            await page.get_by_role("button", name="Dismiss").click()
            await page.locator("li.conflict").wait_for(state="detached")
        finally:
            await browser.close()
    assert await listed(client) == []


async def test_the_list_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit the oldest goes, and the count says what is there."""
    async with open_catalogue(tmp_path / "c.sqlite3") as catalogue:
        await catalogue.file(read_post(post(media_file("CALL1"))))
        ticks = itertools.count(1)
        few = Conflicts(catalogue.database, 1, lambda: next(ticks), limit=3)
        for number in range(5):
            await few.note(read_post(post(rival(digest=f"{number}" * 64))))
        assert few.count == 3
        kept = await few.newest(None, limit=10)
        assert [each.posted[0] for each in kept] == ["4", "3", "2"]


async def test_a_tenant_crowds_out_its_own_only(tmp_path: Path) -> None:
    """Whoever fills the list loses the oldest of those: another tenant's conflict stays in it."""
    async with open_catalogue(tmp_path / "c.sqlite3") as catalogue:
        for name in ("North", "South"):
            await catalogue.file(read_post(post(media_file(name, tenant=name))))
        ticks = itertools.count(1)
        few = Conflicts(catalogue.database, 1, lambda: next(ticks), limit=3)
        await few.note(read_post(post(rival("South", tenant="South"))))
        for number in range(5):
            await few.note(read_post(post(rival("North", tenant="North", digest=f"{number}" * 64))))
        assert few.count == 3
        assert [each.tenant for each in await few.newest(None, limit=10)] == [
            "North",
            "North",
            "South",
        ]
        assert [each.posted[0] for each in await few.newest(("North",), limit=10)] == ["4", "3"]


async def test_conflicts_survive_a_restart(tmp_path: Path) -> None:
    """They are in the catalogue, and counted again when it is opened."""
    for times in (0, 1):
        async with open_catalogue(tmp_path / "c.sqlite3") as catalogue:
            assert catalogue.conflicts.count == times
            await catalogue.file(read_post(post(media_file("CALL1"))))
            with pytest.raises(Conflict):
                await catalogue.file(read_post(post(rival())))


async def test_a_conflict_that_cannot_be_written_down(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the list cannot be written, the post hears of its conflict all the same."""

    async def busy(_filing: Filing) -> None:
        raise ProcessorError("busy")

    await catalogue.file(read_post(post(media_file("CALL1"))))
    monkeypatch.setattr(catalogue.conflicts, "note", busy)
    with pytest.raises(Conflict):
        await catalogue.file(read_post(post(rival())))


@pytest.mark.parametrize("seed", range(3))
async def test_any_repetition_is_one_recording(catalogue: Catalogue, seed: int) -> None:
    """Posts of one recording, repeated, at once, in any order and grouping, are one recording."""
    chance = random.Random(seed)
    files = [media_file("CALL1", media_id=f"{n}.wav") for n in range(4)]
    posts = [read_post(post(*chance.sample(files, chance.randint(1, 4)))) for _ in range(40)]
    posts += [read_post(post(each)) for each in files]
    chance.shuffle(posts)
    new = await asyncio.gather(*map(catalogue.file, posts))
    assert sum(new) == len(files)
    recording = await catalogue.recording("CALL1", tenants=None)
    assert sorted(media.media_id for media in recording.media_files) == [
        media["mediaId"] for media in files
    ]
    assert len(recording.participations) == 2 * len(files)
    assert catalogue.conflicts.count == 0
