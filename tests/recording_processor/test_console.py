"""The console's page: what it shows, to whom, and that nothing posted can become markup."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec
import pytest

from recording_processor.settings import ProcessorSettings
from tests.recording_processor.asking import file
from tests.recording_processor.conftest import Client, ClientOf, sign_in
from tests.recording_processor.samples import ALIAS, DOMAIN, Json, media_file


class Page(HTMLParser):
    """A page taken apart: its text, its links, its sounds, its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep the text, with single blanks."""
        self.text = " ".join(f"{self.text} {data}".split())

    def link(self, relation: str) -> str:
        """Return where the link with this relation leads, or an empty text."""
        found = (have for kind, have in self.tags if kind == "a" and have.get("rel") == relation)
        return next((have["href"] or "" for have in found), "")

    def attributes(self, tag: str, name: str) -> list[str]:
        """Return an attribute of every such tag that has it."""
        return [value for kind, have in self.tags if kind == tag and (value := have.get(name))]


@pytest.fixture
def settings(settings: ProcessorSettings) -> ProcessorSettings:
    """The plain settings, and a crypto_server that nobody asks here."""
    return msgspec.structs.replace(settings, crypto_url="http://127.0.0.1:1")


async def show(
    client: Client, path: str = "/", *, role: str = "listener", status: int = 200
) -> Page:
    """Get the page as someone of `role`."""
    async with client.get(path, headers=sign_in(role)) as answer:
        assert answer.status == status
        assert answer.content_type == "text/html"
        return Page(await answer.text())


async def test_a_recording_is_shown_whole(client: Client) -> None:
    """Id, start, duration, parties, agent, tenant, profile, recipients, mark and player."""
    await file(client, media_file("CALL1"))
    page = await show(client)
    for told in (
        "CALL1",
        "2026-01-02",
        "10:00:00",
        "0:12.5",
        "+16175550101",
        "8005550199",
        "with agent1",
        "Environment / recording",
        ALIAS,
        "verified on playback",
    ):
        assert told in page.text, told
    assert "unverified" not in page.text
    (source,) = page.attributes("audio", "src")
    assert source.startswith("/console/recordings/CALL1/play/")
    assert source.endswith(".wav.bin")
    assert page.attributes("audio", "preload") == ["none"]


async def test_the_marks_tell_the_truth(client: Client) -> None:
    """Unverified, not encrypted, recovered, lost packets: each is marked where it is so."""
    leg = {"label": "1", "packets": 400, "lost": 12, "pausedMs": 100}
    lab = media_file()["lab"] | {"recovered": True, "legs": [leg]}
    cases = [
        (media_file("C1", lab=None), "unverified"),
        (media_file("C2", pkcs7=None, certAlias=None), "not encrypted"),
        (media_file("C3", lab=lab), "✓ verified on playback recovered 12 lost paused"),
    ]
    for media, mark in cases:
        await file(client, media)
        text = (await show(client, "/?limit=1")).text
        assert mark.removeprefix("✓ ") in text, mark


async def test_newest_first_by_pages(client: Client) -> None:
    """Twenty-five a page, newest first, with links to the older and back to the newer."""
    for number in range(60):
        start = f"2026-01-02T10:{number:02d}:00Z"
        await file(client, media_file(f"R{number:02d}", start=start, stop=start))
    seen: list[str] = []
    link, pages = "/", 0
    while link:
        page = await show(client, link)
        seen += [word for word in page.text.split() if word[0] == "R" and word[1:].isdigit()]
        link, pages = page.link("next"), pages + 1
        assert pages <= 3
    assert seen == [f"R{number:02d}" for number in reversed(range(60))]
    assert pages == 3
    before = await show(client, page.link("prev"))
    assert "R34" in before.text
    assert "R09" not in before.text
    assert "R59" in (await show(client, before.link("prev"))).text


async def test_the_search_form(client: Client) -> None:
    """The form finds by wildcard, ignores empty fields, and shows again what was searched."""
    await file(client, media_file("CALL1"))
    await file(client, media_file("CALL2", parameters={"ani": "8522001"}))
    page = await show(client, "/?callerPhoneNumber=%2B1*&dialedPhoneNumber=&userName=&startTime=")
    assert "CALL1" in page.text
    assert "CALL2" not in page.text
    assert "+1*" in page.attributes("input", "value")
    page = await show(client, "/?startTime=2026-01-02T10%3A01&endTime=")
    assert "No recording fits this search." in page.text


async def test_a_wrong_search_is_a_sentence(client: Client) -> None:
    """What is wrong with a search is said on the page."""
    page = await show(client, "/?startTime=now&callerPhoneNumber=%3Cb%3E", status=400)
    assert "StartTime: it is not a date" in page.text
    assert "<b>" in page.attributes("input", "value")


async def test_an_empty_catalogue_says_so(client: Client) -> None:
    """Before the first call the page says that there is none."""
    page = await show(client)
    assert "There is no recording yet." in page.text
    assert DOMAIN in page.text


async def test_nothing_posted_becomes_markup(client: Client) -> None:
    """Scripts in any field of the metadata come out as text."""
    evil = "<script>alert(1)</script>\"'><img src=x>"
    parameters = {"ani": evil, "dnis": evil, "agentId": evil}
    changed: Json = {"ivrprofile": evil, "tenant": evil, "certAlias": [evil], "type": evil}
    await file(client, media_file("<i>'\"", media_id="a.wav", parameters=parameters, **changed))
    plain, page = await show(client, "/?userName=nobody"), await show(client)
    added = {tag for tag, _ in page.tags} - {tag for tag, _ in plain.tags}
    assert added <= {"ol", "li", "time", "audio", "section", "ul", "rect"}
    assert len(page.attributes("script", "src")) == 1
    assert "<script>alert(1)</script>" in page.text


async def test_who_sees_the_page(client: Client) -> None:
    """Listener, operator and admin see it; only a listener gets players; others get 403."""
    await file(client, media_file("CALL1"))
    assert (await show(client)).attributes("audio", "src")
    for role in ("operator", "admin"):
        page = await show(client, role=role)
        assert page.attributes("audio", "src") == []
        assert "You may look, but not listen" in page.text
    for role in ("mcp", "crypto", "processor"):
        async with client.get("/", headers=sign_in(role)) as answer:
            assert answer.status == 403
    async with client.get("/") as answer:
        assert answer.status == 401


async def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    """Style, script and icon are ours, there, and all that the policy allows."""
    await file(client, media_file("CALL1"))
    page = await show(client)
    sources = page.attributes("script", "src") + page.attributes("link", "href")
    assert len(sources) == 3
    for source in sources:
        async with client.get(source) as answer:
            assert answer.status == 200
            assert await answer.read()
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    async with client.get("/console/assets/page.html", headers=sign_in("admin")) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "path", ["/", "/livez", "/api/v2/recordings", "/nowhere", "/console/assets/console.css"]
)
async def test_every_answer_has_safe_headers(client: Client, path: str) -> None:
    """Policy, nosniff and the rest are on every answer, errors too; versions are on none."""
    async with client.get(path) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Server"] == "recording_processor"
        assert answer.headers["Cache-Control"] in ("no-store", "public, max-age=300")


async def test_a_person_in_several_roles(client_of: ClientOf, settings: ProcessorSettings) -> None:
    """Someone who is operator and listener sees the players."""
    accounts = [
        msgspec.structs.replace(account, roles=["operator", "listener"])
        if account.name == "operator"
        else account
        for account in settings.accounts
    ]
    async with client_of(msgspec.structs.replace(settings, accounts=accounts)) as client:
        await file(client, media_file("CALL1"))
        assert (await show(client, role="operator")).attributes("audio", "src")
