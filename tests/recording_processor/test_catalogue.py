"""The catalogue's file: made, migrated, locked, bounded, and safe against races."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, func, select, text

from recording_format.ivr_profile import Tenant
from recording_processor.catalogue import opening, tables
from recording_processor.catalogue.catalogue import Catalogue, catalogue_of
from recording_processor.catalogue.database import Database, answers
from recording_processor.catalogue.opening import open_database
from recording_processor.errors import Busy, Conflict, OutOfSpace
from recording_processor.intake import read_post
from service_shell.settings import SettingsError
from tests.recording_processor.conftest import open_catalogue
from tests.recording_processor.samples import CCID, DOMAIN, media_file, post

_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n"


async def count(database: Database, table: str) -> int:
    """Return how many rows a table has."""
    async with database.reading() as connection:
        return (
            await connection.execute(select(func.count()).select_from(text(table)))
        ).scalar_one()


async def allow_pages(database: Database, more: int) -> None:
    """Let the catalogue's file grow by so many pages only, when posts are filed."""

    def limit(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + more}"))

    async with database.writing_in_thread() as in_thread:
        await in_thread(limit)


def modes(folder: Path) -> dict[str, int]:
    """Return each file's permissions."""
    return {path.name: path.stat().st_mode for path in folder.iterdir()}


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    """A catalogue made by the migrations is what the tables say, to the last index."""
    file = tmp_path / "catalogue.sqlite3"

    async def make() -> None:
        async with open_database(file):
            pass

    asyncio.run(make())
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


async def test_the_file_is_the_owner_s_alone(tmp_path: Path) -> None:
    """The catalogue, which holds passwords of profiles, can be read by its owner only."""
    async with open_catalogue(tmp_path / "catalogue.sqlite3"):
        found = modes(tmp_path)
    assert len(found) >= 2
    assert {name: mode & 0o077 for name, mode in found.items()} == dict.fromkeys(found, 0)


async def test_a_commit_is_durable(tmp_path: Path) -> None:
    """The writer runs in WAL mode with synchronous=FULL and foreign keys."""
    async with (
        open_database(tmp_path / "catalogue.sqlite3") as opened,
        opened.writing() as connection,
    ):
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert (await connection.execute(text(f"PRAGMA {pragma}"))).scalar() == value


async def test_readers_cannot_write(catalogue: Catalogue) -> None:
    """A reading connection refuses to change anything."""
    async with catalogue.database.reading() as connection:
        with pytest.raises(Exception, match="readonly"):
            await connection.execute(text("DELETE FROM tenants"))


async def test_a_catalogue_keeps_its_identity(tmp_path: Path) -> None:
    """Closing and opening changes neither identity nor contents; another file has another one."""
    identities = []
    for name in ("a", "a", "b"):
        async with open_catalogue(tmp_path / name) as catalogue:
            await catalogue.file(read_post(post(media_file("CALL1"))))
            identities.append(catalogue.identity)
            assert (await catalogue.recording("CALL1", tenants=None)).id == "CALL1"
    assert identities[0] == identities[1] != identities[2]


async def test_one_process_has_the_catalogue(tmp_path: Path) -> None:
    """A second opening is refused in a sentence; after the first has ended it succeeds."""
    file = tmp_path / "catalogue.sqlite3"
    async with open_database(file):
        with pytest.raises(SettingsError, match="is in use by another recording_processor"):
            async with open_database(file, lock_seconds=0.1):
                pass
    async with open_database(file, lock_seconds=0.1) as opened:
        assert await answers(opened)


async def test_a_predecessor_is_waited_for(tmp_path: Path) -> None:
    """A catalogue whose last user is still ending opens as soon as it has ended."""
    file = tmp_path / "catalogue.sqlite3"
    async with asyncio.TaskGroup() as group, open_database(file):

        async def follow() -> bool:
            async with open_database(file, lock_seconds=30) as opened:
                return await answers(opened)

        successor = group.create_task(follow())
        await asyncio.sleep(0)
        assert not successor.done()
    assert successor.result()


async def test_what_is_no_catalogue_is_refused(tmp_path: Path) -> None:
    """Another file, a newer catalogue and a folder that is not there: one sentence each."""
    (tmp_path / "text").write_text("This is no database at all. " * 200)
    newer = sqlite3.connect(tmp_path / "newer")
    newer.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    newer.execute("INSERT INTO alembic_version VALUES ('9999')")
    newer.commit()
    newer.close()
    for name, sentence in (
        ("text", "is not a usable catalogue"),
        ("newer", "was made by a newer recording_processor"),
        ("missing/catalogue", "cannot be opened"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            async with open_database(tmp_path / name):
                pass


async def test_a_migration_is_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a migration fails at its end, nothing of it is left."""
    file = tmp_path / "catalogue.sqlite3"
    real = opening._upgrade

    def failing(connection: object) -> None:
        real(connection)  # type: ignore[arg-type]  # what run_sync hands over
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "_upgrade", failing)
    with pytest.raises(ZeroDivisionError):
        async with open_database(file):
            pass
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


async def test_simultaneous_posts_of_one_file_are_one(catalogue: Catalogue) -> None:
    """Fifty simultaneous posts of the same media file: one is new, all succeed."""
    filing = read_post(post(media_file("CALL1")))
    new = await asyncio.gather(*(catalogue.file(filing) for _ in range(50)))
    assert sorted(new) == [0] * 49 + [1]
    assert await count(catalogue.database, "media_files") == 1


async def test_simultaneous_segments_are_one_recording(catalogue: Catalogue) -> None:
    """Simultaneous posts of different segments make one recording with all of them."""
    filings = [read_post(post(media_file("CALL1", media_id=f"{n}.wav"))) for n in range(20)]
    assert await asyncio.gather(*map(catalogue.file, filings)) == [1] * 20
    assert len((await catalogue.recording("CALL1", tenants=None)).media_files) == 20
    assert await count(catalogue.database, "recordings") == 1


async def test_simultaneous_rivals_have_one_winner(catalogue: Catalogue) -> None:
    """Of simultaneous posts with different contents under one id, exactly one is kept."""
    rivals = [read_post(post(media_file("CALL1", lab=None, size=str(n)))) for n in range(20)]
    outcomes = await asyncio.gather(*map(catalogue.file, rivals), return_exceptions=True)
    assert outcomes.count(1) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19


async def test_writes_that_wait_are_bounded(tmp_path: Path) -> None:
    """Beyond the limit a change is refused with `Busy`; those before it all succeed."""
    async with (
        open_database(tmp_path / "catalogue.sqlite3") as opened,
        catalogue_of(
            opened, ccid=CCID, domain=DOMAIN, region="1", clock=lambda: 0, posts_waiting=10
        ) as catalogue,
    ):
        filings = [read_post(post(media_file(f"CALL{n}"))) for n in range(15)]
        outcomes = await asyncio.gather(*map(catalogue.file, filings), return_exceptions=True)
        assert outcomes.count(1) == 10
        assert sum(isinstance(outcome, Busy) for outcome in outcomes) == 5
        assert catalogue.posts.waiting == opened.waiting == 0


async def test_a_read_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """A read over its time is interrupted and `Busy`; the connection serves the next one."""
    file = tmp_path / "catalogue.sqlite3"
    async with open_database(file, readers=1, read_seconds=0.1) as opened:
        for _ in range(3):
            with pytest.raises(Busy):
                async with opened.reading() as connection:
                    await connection.execute(text(_ENDLESS))
        assert await answers(opened)


async def test_a_full_disk_is_named(catalogue: Catalogue) -> None:
    """When the catalogue cannot grow, the change is refused as such, and reading goes on."""
    await allow_pages(catalogue.database, 0)
    big = read_post(post(media_file("CALL1", odd="x" * 100_000)))
    with pytest.raises(OutOfSpace):
        await catalogue.file(big)
    assert await answers(catalogue.database)


async def test_tenants_are_told_apart(catalogue: Catalogue) -> None:
    """A tenant's name has one DBID, and the first to name a DBID stays."""
    with pytest.raises(Conflict, match="tenant 'Environment' already has the DBID 1"):
        await catalogue.provision([Tenant(name="Environment", dbid=2)], [])
    added = await catalogue.provision([Tenant(name="Renamed", dbid=1)], [])
    assert added.tenants == ()
