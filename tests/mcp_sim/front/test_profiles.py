"""Profiles: loaded, kept sealed, followed, and chosen as Resource Manager chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from mcp_sim.profiles import ProfileBook, ProfileEdition, ProfileFeed
from mcp_sim.recording.keyring import SpoolKeyring
from recording_format.ivr_profile import IvrProfile
from service_shell.listening import bind_tcp, display
from service_shell.web import serve
from tests.mcp_sim.front.pki import profile


class FakeProcessor:
    """Answers ``/lab/profiles`` with long polls, as the recording processor does."""

    def __init__(self) -> None:
        self.edition = ProfileEdition(1, [profile()])
        self.changed = asyncio.Condition()
        self.faults: list[bytes] = []

    async def publish(self, edition: ProfileEdition) -> None:
        async with self.changed:
            self.edition = edition
            self.changed.notify_all()

    async def answer(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", "-1"))
        async with self.changed:
            await self.changed.wait_for(lambda: self.edition.version != after)
        if self.faults:
            return web.Response(body=self.faults.pop(0))
        return web.Response(body=msgspec.json.encode(self.edition))


@asynccontextmanager
async def following(
    book: ProfileBook, processor: FakeProcessor, folder: Path, keyring: SpoolKeyring
) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/lab/profiles", processor.answer)
    sock = bind_tcp("127.0.0.1:0")
    url = f"http://{display(sock)}"
    async with serve(app, sock, grace=0.1), aiohttp.ClientSession() as http:
        feed = ProfileFeed(
            book, url=url, authorization="Basic eDp4", http=http,
            keyring=keyring, copy=folder / "profiles.sealed",
        )  # fmt: skip
        task = asyncio.create_task(feed.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def version_of(book: ProfileBook, version: int) -> None:
    async with asyncio.timeout(10):
        while book.version != version:
            await asyncio.sleep(0.01)


async def test_loaded_followed_and_kept(tmp_path: Path) -> None:
    """The book gets the first edition and each change; a later start opens the sealed copy."""
    keyring, processor, book = SpoolKeyring.generate(), FakeProcessor(), ProfileBook()
    async with following(book, processor, tmp_path, keyring):
        await version_of(book, 1)
        await processor.publish(ProfileEdition(2, [profile(dbid=102)]))
        await version_of(book, 2)
        copy = tmp_path / "profiles.sealed"
        async with asyncio.timeout(10):
            while copied(copy, keyring).version != 2:
                await asyncio.sleep(0.01)
    assert b"hunter2" not in copy.read_bytes()
    assert copy.stat().st_mode & 0o077 == 0


def copied(copy: Path, keyring: SpoolKeyring) -> ProfileBook:
    book = ProfileBook()
    # Loading needs neither the processor nor a session.
    ProfileFeed(
        book, url="http://127.0.0.1:9", authorization="", http=None,  # type: ignore[arg-type]
        keyring=keyring, copy=copy,
    ).load_copy()  # fmt: skip
    return book


def test_choice_of_resource_manager() -> None:
    """DBID first; then the location; then the only one; then the one named record."""

    def located(dbid: int, name: str, location: str) -> IvrProfile:
        made = profile(dbid=dbid, name=name)
        made.sections["gvp.general"]["geo-location"] = location
        return made

    book = ProfileBook()
    book.update(ProfileEdition(1, [located(1, "a", "us"), located(2, "record", "eu")]))

    def chosen(dbid: int | None, location: str | None) -> int | None:
        found = book.choose(dbid=dbid, geo_location=location)
        return found.dbid if found else None

    assert chosen(2, "us") == 2
    assert chosen(9, "us") is None
    assert chosen(None, "us") == 1
    assert chosen(None, "mars") == 2
    assert chosen(None, None) == 2


def test_one_ruined_profile_does_not_stop_the_others() -> None:
    """A profile with a ruined certificate is in force beside a good one."""
    book = ProfileBook()
    ruined = profile("-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE-----", dbid=5)
    book.update(ProfileEdition(3, [ruined, profile(dbid=6)]))
    assert {p.dbid for p in book.profiles} == {5, 6}


async def test_faults_of_the_processor_end_nothing(tmp_path: Path) -> None:
    """Answers that are no profiles are tried again; what was in force stays in force."""
    processor, book = FakeProcessor(), ProfileBook()
    async with following(book, processor, tmp_path, SpoolKeyring.generate()):
        await version_of(book, 1)
        processor.faults = [b"{", b'{"version": "x"}', b""]
        await processor.publish(ProfileEdition(2, [profile(dbid=102)]))
        await version_of(book, 2)
    assert processor.faults == []


async def test_processor_that_began_anew(tmp_path: Path) -> None:
    """Another catalogue that happens to have the same version is taken after a reconnection."""
    processor, book = FakeProcessor(), ProfileBook()
    book.update(ProfileEdition(1, [profile(dbid=55)]))
    async with following(book, processor, tmp_path, SpoolKeyring.generate()):
        async with asyncio.timeout(10):
            while book.by_dbid(101) is None:
                await asyncio.sleep(0.01)
    assert book.by_dbid(55) is None


async def test_copy_that_cannot_be_kept(tmp_path: Path) -> None:
    """A folder that takes no copy costs the copy, and nothing else."""
    processor, book = FakeProcessor(), ProfileBook()
    async with following(book, processor, tmp_path / "nowhere", SpoolKeyring.generate()):
        await version_of(book, 1)
        await processor.publish(ProfileEdition(2, []))
        await version_of(book, 2)


def test_unusable_copy_is_no_obstacle(tmp_path: Path) -> None:
    """A copy that is damaged, or of another keyring, is not put in force and stops nothing."""
    copy = tmp_path / "profiles.sealed"
    copy.write_bytes(b"damaged")
    assert not copied(copy, SpoolKeyring.generate()).loaded
