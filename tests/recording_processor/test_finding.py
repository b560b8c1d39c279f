"""Searches in the catalogue: SQL means what the pattern means, and pages join without a seam."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, Table, Text, create_engine, insert, select

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.filing import file_media
from recording_processor.catalogue.finding import fits
from recording_processor.catalogue.reading import Page
from recording_processor.errors import BadParameter
from recording_processor.intake import read_post
from recording_processor.recording import Recording
from recording_processor.search import CRITERIA, Pattern, read_search
from tests.recording_processor.conftest import open_catalogue
from tests.recording_processor.samples import media_file, post

ROWS = 1000
EVERYTHING = ("startTime", "2026-01-01")
_TABLE = Table("texts", MetaData(), Column("text", Text), Column("reversed", Text))


@settings(deadline=None)
@given(
    pattern=st.text("ab*[?]^-é\U0010ffff\ud7ff", min_size=1, max_size=6),
    texts=st.lists(st.text("abA[?]^-é\U0010ffff\ud7ff\ue000", max_size=5), max_size=20),
)
def test_the_sql_means_what_the_pattern_means(pattern: str, texts: list[str]) -> None:
    """For any pattern and texts, SQLite finds exactly those that the pattern fits."""
    try:
        wanted = Pattern.parse(pattern)
    except ValueError:
        return
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        _TABLE.create(connection)
        rows = [{"text": text, "reversed": text[::-1]} for text in texts]
        connection.execute(insert(_TABLE), [*rows, {"text": None, "reversed": None}])
        for reversed_column in (_TABLE.c.reversed, None):
            condition = fits(_TABLE.c.text, wanted, reversed_column)
            found = connection.execute(select(_TABLE.c.text).where(condition)).scalars()
            assert sorted(found) == sorted(text for text in texts if wanted.matches(text))
    engine.dispose()


def numbered(number: int) -> bytes:
    """Return the post of recording `number`; seven at a time begin at the same instant."""
    minute = number // 7
    moment = f"2026-01-02T{minute // 60:02d}:{minute % 60:02d}"
    parameters = {
        "ani": f"+1617555{number:04d}",
        "dnis": f"800{number % 10}",
        "agentId": f"agent{number % 3}",
    }
    return post(
        media_file(f"R{number}", start=f"{moment}:00Z", stop=f"{moment}:30Z", parameters=parameters)
    )


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a catalogue with a thousand recordings, filed in no order."""
    file = tmp_path_factory.mktemp("thousand") / "catalogue.sqlite3"
    numbers = random.Random(1).sample(range(ROWS), ROWS)

    async def fill() -> None:
        def fill_in(connection: Connection) -> None:
            for number in numbers:
                file_media(
                    connection,
                    read_post(numbered(number)),
                    contact_center=1,
                    now=0,
                    new_play_id=lambda: str(uuid.uuid4()),
                )

        # One transaction: a thousand commits wait a thousand times for the disk.
        async with (
            open_catalogue(file) as catalogue,
            catalogue.database.writing_in_thread() as in_thread,
        ):
            await in_thread(fill_in)

    asyncio.run(fill())
    return file


@pytest.fixture
async def full(thousand: Path) -> AsyncIterator[Catalogue]:
    """The catalogue with a thousand recordings."""
    async with open_catalogue(thousand) as opened:
        yield opened


async def page(catalogue: Catalogue, *query: tuple[str, str]) -> Page:
    """Find one page, of 100 unless the query says otherwise."""
    wanted = read_search(query, default_limit=100, maximum_limit=1000)
    return await catalogue.find(wanted, tenants=None)


async def follow(catalogue: Catalogue, first: Page, direction: str) -> list[Page]:
    """Return `first` and every page behind (`next`) or before it (`previous`)."""
    pages = [first]
    while (cursor := getattr(pages[-1], direction)) is not None:
        pages.append(await page(catalogue, (direction, cursor.encode()), ("limit", "37")))
        assert len(pages) <= ROWS
    return pages


def key(recording: Recording) -> int:
    """Return by what the test's recordings are sorted."""
    return recording.started_at


async def test_pages_join_without_a_seam(full: Catalogue) -> None:
    """Forwards through a thousand recordings: each once, newest first, in pages of 37."""
    pages = await follow(full, await page(full, EVERYTHING, ("limit", "37")), "next")
    seen = [recording for found in pages for recording in found.recordings]
    assert len(pages) == 28
    assert len({recording.id for recording in seen}) == len(seen) == ROWS
    assert [key(recording) for recording in seen] == sorted(map(key, seen), reverse=True)
    assert pages[0].previous is None
    assert all(found.previous is not None for found in pages[1:])


async def test_the_way_back_shows_the_same_pages(full: Catalogue) -> None:
    """Backwards from the last page, the same recordings come in the same order."""
    forwards = await follow(full, await page(full, EVERYTHING, ("limit", "37")), "next")
    backwards = await follow(full, forwards[-1], "previous")
    there = [recording.id for found in forwards for recording in found.recordings]
    back = [recording.id for found in reversed(backwards) for recording in found.recordings]
    assert back == there
    assert backwards[-1].previous is None
    assert all(found.next is not None for found in backwards[1:])


async def test_what_arrives_meanwhile_moves_nothing(catalogue: Catalogue) -> None:
    """New recordings, newer or older, neither repeat nor hide one that was there before."""
    for number in range(0, 200, 2):
        await catalogue.file(read_post(numbered(number)))
    first = await page(catalogue, EVERYTHING, ("limit", "40"))
    for number in range(1, 200, 2):
        await catalogue.file(read_post(numbered(number)))
    pages = await follow(catalogue, first, "next")
    seen = [recording.id for found in pages for recording in found.recordings]
    assert len(set(seen)) == len(seen)
    assert set(seen) >= {f"R{number}" for number in range(0, 200, 2)}


@pytest.mark.parametrize(
    ("query", "fitting"),
    [
        ((("callerPhoneNumber", "+16175550042"),), lambda n: n == 42),
        ((("callerPhoneNumber", "+1617555004*"),), lambda n: n // 10 == 4),
        ((("callerPhoneNumber", "*42"),), lambda n: n % 100 == 42),
        ((("callerPhoneNumber", "+1617*9"),), lambda n: n % 10 == 9),
        ((("callerPhoneNumber", "*5500*"),), lambda n: n < 100),
        ((("callerPhoneNumber", "16175550042"),), lambda n: False),
        (
            (("dialedPhoneNumber", "8003"), ("userName", "agent1")),
            lambda n: n % 10 == 3 and n % 3 == 1,
        ),
        ((("userName", "AGENT1"),), lambda n: False),
        ((("userName", "*2"),), lambda n: n % 3 == 2),
        (
            (("startTime", "2026-01-02T00:10:00Z"), ("endTime", "2026-01-02T00:11:30Z")),
            lambda n: n // 7 in (10, 11),
        ),
        (
            (("startTime", "2026-01-02T00:10:00.001Z"), ("endTime", "2026-01-02T00:11:29Z")),
            lambda n: False,
        ),
    ],
)
async def test_each_criterion_finds_its_own(
    full: Catalogue, query: tuple[tuple[str, str], ...], fitting: Callable[[int], bool]
) -> None:
    """Exact, by wildcard, by agent, by time, and together: what fits is found, and nothing else."""
    found = await page(full, *query, ("limit", "1000"))
    ids = {recording.id for recording in found.recordings}
    assert ids == {f"R{number}" for number in range(ROWS) if fitting(number)}


_value = st.one_of(
    st.sampled_from(["+1617*", "*42", "*", "800?", "[a-z]", "2026-01-02", "agent1", "%", "_"]),
    st.text(max_size=12),
)


@given(query=st.dictionaries(st.sampled_from(CRITERIA), _value, max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_search_fails_inside(query: dict[str, str], thousand: Path) -> None:
    """Whatever is searched for is answered or refused, and what is found does fit."""

    async def search() -> None:
        async with open_catalogue(thousand) as catalogue:
            found = await page(catalogue, *query.items())
            for recording in found.recordings:
                if (wanted := query.get("callerPhoneNumber")) is not None:
                    assert recording.caller is not None
                    assert Pattern.parse(wanted).matches(recording.caller)

    try:
        asyncio.run(search())
    except BadParameter:
        return


def test_cursors_are_small(thousand: Path) -> None:
    """A cursor with all criteria at their longest still fits into a URL that servers take."""
    criteria = tuple((name, "9" * 128) for name in CRITERIA)

    async def longest() -> str:
        async with open_catalogue(thousand) as catalogue:
            found = await page(catalogue, EVERYTHING, ("limit", "1"))
            assert found.next is not None
            return msgspec.structs.replace(found.next, criteria=criteria).encode()

    assert len(asyncio.run(longest())) < 2048
