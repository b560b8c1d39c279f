"""A search within tenants: whole, in order, page by page, and by an index however few there are."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.dialects import sqlite

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.filing import file_media
from recording_processor.catalogue.finding import page_of
from recording_processor.catalogue.reading import Page
from recording_processor.intake import read_post
from recording_processor.search import read_search
from recording_processor.tenancy import Tenants
from tests.recording_processor.conftest import open_catalogue
from tests.recording_processor.samples import media_file, post

ROWS = 240
MANY = tuple(f"T{number}" for number in range(60))


def tenant(number: int) -> str:
    """Return whose the recording is: North, South and East by turns, a few are West's."""
    return "West" if number % 50 == 7 else ("North", "South", "East")[number % 3]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a catalogue with recordings of four tenants; several begin at the same moment."""
    file = tmp_path_factory.mktemp("tenants") / "catalogue.sqlite3"
    numbers = random.Random(2).sample(range(ROWS), ROWS)

    async def fill() -> None:
        def fill_in(connection: Connection) -> None:
            for number in numbers:
                moment = f"2026-01-02T{number // 5 // 60:02d}:{number // 5 % 60:02d}"
                body = media_file(
                    f"R{number}",
                    tenant=tenant(number),
                    start=f"{moment}:00Z",
                    stop=f"{moment}:30Z",
                    parameters={"ani": f"+1617{number % 4}"},
                )
                file_media(
                    connection,
                    read_post(post(body)),
                    contact_center=1,
                    now=0,
                    new_play_id=lambda: str(uuid.uuid4()),
                )

        async with (
            open_catalogue(file) as catalogue,
            catalogue.database.writing_in_thread() as in_thread,
        ):
            await in_thread(fill_in)

    asyncio.run(fill())
    return file


@pytest.fixture
async def catalogue(filled: Path) -> AsyncIterator[Catalogue]:
    """The catalogue with recordings of four tenants."""
    async with open_catalogue(filled) as opened:
        yield opened


async def page(catalogue: Catalogue, tenants: Tenants, *query: tuple[str, str]) -> Page:
    """Find one page of seven."""
    wanted = read_search(query, default_limit=7, maximum_limit=1000, anything=True)
    return await catalogue.find(wanted, tenants=tenants)


async def follow(catalogue: Catalogue, tenants: Tenants, first: Page, direction: str) -> list[Page]:
    """Return `first` and every page behind or before it."""
    pages = [first]
    while (cursor := getattr(pages[-1], direction)) is not None:
        pages.append(await page(catalogue, tenants, (direction, cursor.encode())))
        assert len(pages) <= ROWS
    return pages


@pytest.mark.parametrize("query", [(), (("callerPhoneNumber", "+16172"),)])
@pytest.mark.parametrize(
    "tenants",
    [
        ("North",),
        ("North", "West"),
        ("West", "Nobody", "South", "East", "South"),
        ("Nobody", "None"),
        (*MANY, "North", "West"),
    ],
)
async def test_pages_of_tenants_join(
    catalogue: Catalogue, tenants: tuple[str, ...], query: tuple[tuple[str, str], ...]
) -> None:
    """Forwards and back, each recording of the tenants once, and those of no other."""
    whole = await page(catalogue, None, *query, ("limit", "1000"))
    wanted = [each.id for each in whole.recordings if each.tenant in tenants]
    forwards = await follow(catalogue, tenants, await page(catalogue, tenants, *query), "next")
    assert [each.id for found in forwards for each in found.recordings] == wanted
    backwards = await follow(catalogue, tenants, forwards[-1], "previous")
    assert [each.id for found in reversed(backwards) for each in found.recordings] == wanted


@pytest.mark.parametrize(
    "query", [(), (("callerPhoneNumber", "1"),), (("dialedPhoneNumber", "1"),)]
)
@pytest.mark.parametrize("tenants", [("West",), ("West", "Nobody"), ("North", "South", "East")])
async def test_no_other_tenant_s_rows_are_walked(
    catalogue: Catalogue, tenants: tuple[str, ...], query: tuple[tuple[str, str], ...]
) -> None:
    """SQLite answers from an index that begins with the tenant, and sorts no more than pages."""
    search = read_search(query, default_limit=7, maximum_limit=7, anything=True).search
    statement = page_of(search, contact_center=1, tenants=tenants, cursor=None, limit=7)
    compiled = statement.compile(
        dialect=sqlite.dialect(),
        compile_kwargs={"literal_binds": True},
    )
    async with catalogue.database.reading() as connection:
        plan = list(await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    walks = [row.detail for row in plan if "recordings" in row.detail]
    assert len(walks) == len(tenants)
    assert all("INDEX ix_recordings_tenant" in walk and "tenant=?" in walk for walk in walks)
    if query:
        assert all("caller=?" in walk or "dialed=?" in walk for walk in walks)
