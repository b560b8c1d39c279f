"""Posts that share a transaction: each has its own outcome, and none before it is durable."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.group_commit import File, GroupCommit, group_commit
from recording_processor.catalogue.opening import open_database
from recording_processor.errors import Busy, Conflict, NotFound, OutOfSpace
from recording_processor.intake import read_post
from recording_processor.recording import Filing
from tests.recording_processor.asking import POST
from tests.recording_processor.conftest import Client, open_catalogue, sign_in
from tests.recording_processor.samples import media_file, post

POISON = "POISON"


def filing(recording_id: str, **changed: Any) -> Filing:
    """Return a post of one media file."""
    return read_post(post(media_file(recording_id, **changed)))


@asynccontextmanager
async def together(database: Database, posts: GroupCommit, count: int) -> AsyncIterator[None]:
    """Hold the turn to write until so many posts wait, so that they share a transaction."""
    async with asyncio.timeout(20), database.writing():
        yield
        while posts.waiting < count:
            await asyncio.sleep(0)


async def outcomes(
    database: Database, posts: GroupCommit, calls: Sequence[Awaitable[int]]
) -> list[int | BaseException]:
    """Await calls that share a transaction; return what each returned or raised."""
    async with together(database, posts, len(calls)):
        everyone = asyncio.gather(*calls, return_exceptions=True)
    return await everyone


async def filed(catalogue: Catalogue, *filings: Filing) -> list[int | BaseException]:
    """File posts in one transaction."""
    calls = [catalogue.file(one, 1000) for one in filings]
    return await outcomes(catalogue.database, catalogue.posts, calls)


def watched(posts: GroupCommit) -> list[tuple[int, bool]]:
    """Return a list that grows by each transaction's posts and whether it was committed."""
    seen: list[tuple[int, bool]] = []
    posts.watch = lambda count, committed: seen.append((count, committed))
    return seen


async def is_filed(catalogue: Catalogue, recording_id: str) -> bool:
    """Return whether the catalogue has the recording."""
    try:
        await catalogue.recording(recording_id, tenants=None)
    except NotFound:
        return False
    return True


@asynccontextmanager
async def scribbled(
    folder: Path, act: Callable[[Connection, str], None], *, limit: int = 256, size: int = 1 << 20
) -> AsyncIterator[tuple[Database, GroupCommit, Callable[[], Awaitable[int]]]]:
    """Open a catalogue whose posts add one row each, and then do `act` with the recording's id.

    The last thing that comes out counts the rows.
    """
    async with open_database(folder / "scribbled.sqlite3") as database:

        def file(connection: Connection, one: Filing) -> int:
            connection.execute(text("INSERT INTO notes VALUES (:id)"), {"id": one.recording_id})
            act(connection, one.recording_id)
            return 1

        async def count() -> int:
            async with database.reading() as connection:
                rows = select(func.count()).select_from(text("notes"))
                return (await connection.execute(rows)).scalar_one()

        async with database.writing() as connection:
            await connection.execute(text("CREATE TABLE notes (id TEXT NOT NULL)"))
        as_file: File = file
        async with group_commit(database, as_file, waiting_limit=limit, size=size) as posts:
            yield database, posts, count


def nothing(_connection: Connection, _recording_id: str) -> None:
    """Do nothing."""


async def test_many_posts_share_a_transaction(catalogue: Catalogue) -> None:
    """Posts that wait at the same moment are one transaction, at most 64 of them."""
    seen = watched(catalogue.posts)
    assert await filed(catalogue, *(filing(f"C{n}") for n in range(100))) == [1] * 100
    assert seen == [(64, True), (36, True)]
    assert catalogue.posts.waiting == 0


async def test_a_commit_waits_for_the_disk(catalogue: Catalogue) -> None:
    """The thread that files posts writes as the others do: WAL, synchronous=FULL, foreign keys."""

    def look(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]

    async with catalogue.database.writing_in_thread() as in_thread:
        assert await in_thread(look) == ["wal", 2, 1]


async def test_a_transaction_is_bounded_by_bytes(tmp_path: Path) -> None:
    """Large posts share a transaction up to its size; one above it has its own."""
    async with scribbled(tmp_path, nothing, size=1000) as (database, posts, _):
        seen = watched(posts)
        sizes = [400, 600, 1, 5000, 999]
        calls = [posts.file(filing(f"C{n}"), size) for n, size in enumerate(sizes)]
        assert await outcomes(database, posts, calls) == [1] * 5
    assert [count for count, _ in seen] == [2, 1, 1, 1]


async def test_a_conflict_is_its_post_s_alone(catalogue: Catalogue) -> None:
    """Between neighbours a post in conflict leaves nothing behind, not even its good half."""
    await catalogue.file(filing("OLD", media_id="taken.wav"))
    half = read_post(post(media_file("NEW"), media_file("NEW", media_id="taken.wav")))
    seen = watched(catalogue.posts)
    before, between, after = await filed(catalogue, filing("C1"), half, filing("C2"))
    assert (before, after) == (1, 1)
    assert isinstance(between, Conflict)
    assert seen == [(3, True)]
    assert [await is_filed(catalogue, name) for name in ("C1", "NEW", "C2")] == [True, False, True]


async def test_one_id_twice_in_a_transaction(catalogue: Catalogue) -> None:
    """The same media file twice is one new and one repeated; with another digest it is a 409."""
    rival = filing("C1", lab=None)
    new, repeated, conflict = await filed(catalogue, filing("C1"), filing("C1"), rival)
    assert (new, repeated) == (1, 0)
    assert isinstance(conflict, Conflict)


@given(order=st.permutations(["A", "A", "B", "B", "RIVAL"]))
@settings(max_examples=8, deadline=None)
def test_the_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    """In whatever order they come: what is the same is filed once, one of two rivals is refused."""
    bodies = {"A": filing("A"), "B": filing("B"), "RIVAL": filing("A", lab=None, size="7")}

    async def run() -> None:
        async with open_catalogue(tmp_path_factory.mktemp("order") / "c.sqlite3") as catalogue:
            found = await filed(catalogue, *(bodies[name] for name in order))
        by_name = sorted(zip(order, map(repr, found), strict=True))
        rival_won = order.index("RIVAL") < order.index("A")
        a, b, rival = by_name[:2], by_name[2:4], by_name[4]
        assert [outcome for _, outcome in b] == ["0", "1"]
        if rival_won:
            assert all("Conflict" in outcome for _, outcome in a)
            assert rival[1] == "1"
        else:
            assert [outcome for _, outcome in a] == ["0", "1"]
            assert "Conflict" in rival[1]

    asyncio.run(run())


async def test_an_unexpected_failure_is_its_post_s_alone(tmp_path: Path) -> None:
    """A post that breaks in the middle takes its row with it; its neighbours keep theirs."""

    def breaks(_connection: Connection, recording_id: str) -> None:
        if recording_id == POISON:
            raise ZeroDivisionError

    async with scribbled(tmp_path, breaks) as (database, posts, count):
        calls = [posts.file(filing(name), 1) for name in ("C1", POISON, "C2")]
        before, between, after = await outcomes(database, posts, calls)
        assert (before, after) == (1, 1)
        assert isinstance(between, RuntimeError)
        assert isinstance(between.__cause__, ZeroDivisionError)
        assert await count() == 2


async def test_a_lost_transaction_is_begun_again(tmp_path: Path) -> None:
    """Where one post makes SQLite give the whole transaction up, its neighbours are filed alone."""

    def loses(connection: Connection, recording_id: str) -> None:
        if recording_id == POISON:
            connection.exec_driver_sql("ROLLBACK")
            raise ZeroDivisionError

    async with scribbled(tmp_path, loses) as (database, posts, count):
        seen = watched(posts)
        calls = [posts.file(filing(name), 1) for name in ("C1", POISON, "C2")]
        before, between, after = await outcomes(database, posts, calls)
        assert (before, after) == (1, 1)
        assert isinstance(between, RuntimeError)
        assert await count() == 2
        assert seen == [(3, False), (1, True), (1, False), (1, True)]


async def test_a_failing_commit_is_everybody_s(tmp_path: Path) -> None:
    """When the commit itself fails, nobody was told success, nothing is kept, and it goes on."""

    def orphans(connection: Connection, recording_id: str) -> None:
        if recording_id == POISON:
            # A foreign key that is looked at only when the transaction is committed.
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            connection.exec_driver_sql("INSERT INTO profiles (dbid, version) VALUES (1, 99)")

    async with scribbled(tmp_path, orphans) as (database, posts, count):
        seen = watched(posts)
        calls = [posts.file(filing(name), 1) for name in ("C1", POISON, "C2")]
        found = await outcomes(database, posts, calls)
        assert all(isinstance(outcome, RuntimeError) for outcome in found)
        assert seen == [(3, False)]
        assert await count() == 0
        assert await posts.file(filing("C3"), 1) == 1
        assert await count() == 1


async def test_a_held_catalogue_is_busy_for_all(tmp_path: Path) -> None:
    """While another program holds the file, all of the transaction hear `Busy`."""
    async with scribbled(tmp_path, nothing) as (database, posts, count):
        async with database.writing_in_thread() as in_thread:
            await in_thread(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 10").close())
        other = sqlite3.connect(tmp_path / "scribbled.sqlite3", isolation_level=None)
        calls = [posts.file(filing(f"C{n}"), 1) for n in range(3)]
        async with together(database, posts, 3):
            everyone = asyncio.gather(*calls, return_exceptions=True)
        other.execute("BEGIN IMMEDIATE")
        assert [type(outcome) for outcome in await everyone] == [Busy] * 3
        other.execute("ROLLBACK")
        other.close()
        assert await posts.file(filing("C4"), 1) == 1
        assert await count() == 1


async def test_a_full_disk_is_told_to_whom_it_concerns(catalogue: Catalogue) -> None:
    """A post that does not fit hears it; small ones of the same moment are filed."""

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 12}").close()

    async with catalogue.database.writing_in_thread() as in_thread:
        await in_thread(limit)
    big = filing("BIG", odd="x" * 200_000)
    before, between, after = await filed(catalogue, filing("C1"), big, filing("C2"))
    assert (before, after) == (1, 1)
    assert isinstance(between, OutOfSpace)
    assert not await is_filed(catalogue, "BIG")


async def test_who_goes_away_does_not_harm_the_others(catalogue: Catalogue) -> None:
    """Of three that wait one is cancelled: the others are filed, it is not, and may post again."""
    seen = watched(catalogue.posts)
    async with together(catalogue.database, catalogue.posts, 3):
        first, gone, last = (
            asyncio.create_task(catalogue.file(filing(name))) for name in ("C1", "GONE", "C2")
        )
        while catalogue.posts.waiting < 3:
            await asyncio.sleep(0)
        gone.cancel()
    assert (await first, await last) == (1, 1)
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert seen == [(2, True)]
    assert await catalogue.file(filing("GONE")) == 1


async def test_who_goes_away_late_is_filed_all_the_same(tmp_path: Path) -> None:
    """Cancelled while its transaction runs: the transaction is committed for everybody."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    tasks: list[asyncio.Task[int]] = []

    def leaves(_connection: Connection, recording_id: str) -> None:
        async def leave() -> None:
            tasks[1].cancel()
            gone.set()

        if recording_id == POISON:
            asyncio.run_coroutine_threadsafe(leave(), loop).result(10)

    async with scribbled(tmp_path, leaves) as (database, posts, count):
        async with together(database, posts, 3):
            tasks += [
                asyncio.create_task(posts.file(filing(name), 1)) for name in ("C1", POISON, "C2")
            ]
        found = await asyncio.gather(*tasks, return_exceptions=True)
        first, between, last = found
        assert gone.is_set()
        assert (first, last) == (1, 1)
        assert isinstance(between, asyncio.CancelledError)
        assert await count() == 3


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit a post hears `Busy` at once; those that wait are filed."""
    async with scribbled(tmp_path, nothing, limit=3) as (database, posts, _):
        async with together(database, posts, 3):
            waiting = asyncio.gather(*(posts.file(filing(f"C{n}"), 1) for n in range(3)))
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await posts.file(filing("C4"), 1)
        assert await waiting == [1, 1, 1]
        assert await posts.file(filing("C4"), 1) == 1


async def test_the_end_files_what_waits(tmp_path: Path) -> None:
    """Who was let in is answered although the catalogue is being closed; nobody comes in after."""
    async with AsyncExitStack() as stack:
        database, posts, count = await stack.enter_async_context(scribbled(tmp_path, nothing))
        async with together(database, posts, 3):
            waiting = asyncio.gather(*(posts.file(filing(f"C{n}"), 1) for n in range(3)))
            await asyncio.sleep(0)
            posts.close()
            with pytest.raises(Busy):
                await posts.file(filing("C4"), 1)
        assert await waiting == [1, 1, 1]
        assert await count() == 3


async def test_a_post_over_http_hears_its_own_outcome(client: Client, catalogue: Catalogue) -> None:
    """In one transaction over HTTP: 200 and 409 as it is due; the metrics count the transaction."""
    bodies = [post(media_file("C1")), post(media_file("C1", lab=None)), post(media_file("C2"))]

    async def send(body: bytes) -> int:
        async with client.post(POST, data=body, headers=sign_in("mcp")) as answer:
            return answer.status

    async with together(catalogue.database, catalogue.posts, 3):
        everyone = asyncio.gather(*map(send, bodies))
        while catalogue.posts.waiting < 3:
            await asyncio.sleep(0)
    # Which of the two rivals came first is the network's choice.
    assert sorted(await everyone) == [200, 200, 409]
    async with client.get("/metrics") as answer:
        told = await answer.text()
    assert "reclab_processor_batch_posts_sum 3.0" in told
    assert 'reclab_processor_post_transactions_total{outcome="committed"} 1.0' in told
    assert "reclab_processor_posts_waiting 0.0" in told
