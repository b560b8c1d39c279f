"""What has to go onward to the web services: written with the post, gone when they have it.

A post that was answered with 200 has its row here, in the same transaction. Of each recording only
the first row may go; the others wait behind it, also while it lies in the folder of failed ones.
Instants are milliseconds since 1970.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, select, update

from recording_processor.catalogue import reading
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.tables import onward_posts, recordings
from recording_processor.recording import Recording

_columns = onward_posts.c


class OnwardPost(msgspec.Struct, frozen=True):
    """One post that waits. `tries` failed so far."""

    number: int
    recording: int
    recording_id: str
    tenant: str
    media_files: tuple[int, ...]
    filed_at: int
    tries: int


class Outcome(msgspec.Struct, frozen=True):
    """What became of a try: sent, to be tried again at `next_try`, or kept as `file`."""

    post: OnwardPost
    sent: bool = False
    next_try: int = 0
    fault: str | None = None
    file: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """How many posts wait, and how many of the rows lie in the folder of failed ones."""

    waiting: int
    failed: int


class Outbox:
    """The posts of one contact centre that go onward. `came` is set when there is a new one.

    While it is not `used`, posts leave nothing here; what is there already stays.
    """

    def __init__(self, database: Database, contact_center: int, *, used: bool) -> None:
        self.used = used
        self.came = asyncio.Event()
        self._database = database
        self._contact_center = contact_center

    def add(
        self, connection: Connection, recording: int, media_files: Sequence[int], now: int
    ) -> None:
        """Add a post in the transaction that files it; it blocks."""
        if not self.used:
            return
        last = connection.execute(
            select(func.max(_columns.filed_at)).where(_columns.recording == recording)
        ).scalar()
        # Within a recording no two are alike: the time is in the name of a failed one's file.
        filed_at = now if last is None else max(now, last + 1)
        connection.execute(
            insert(onward_posts).values(
                contact_center=self._contact_center,
                recording=recording,
                media_files=msgspec.json.encode(media_files).decode(),
                filed_at=filed_at,
                next_try=now,
            )
        )

    async def hasten(self, latest: int) -> None:
        """Let nothing wait longer than until `latest`: what does, the clock was set back for."""
        late = and_(self._own, _columns.file.is_(None), _columns.next_try > latest)
        async with self._database.writing() as connection:
            await connection.execute(update(onward_posts).where(late).values(next_try=latest))

    async def due(self, now: int, *, limit: int, without: Collection[int]) -> list[OnwardPost]:
        """Return what may go now, the longest due first; not of the recordings `without`."""
        in_time = _columns.next_try <= now
        statement = (
            select(onward_posts, recordings.c.id, recordings.c.tenant)
            .join(recordings, recordings.c.number == _columns.recording)
            .where(*self._first_of_each(), in_time, _columns.recording.not_in(without))
            .order_by(_columns.next_try, _columns.number)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [_post(row) for row in await connection.execute(statement)]

    async def next_due(self, without: Collection[int]) -> int | None:
        """Return when the next one is due, leaving out the recordings `without`; None: never."""
        statement = (
            select(_columns.next_try)
            .where(*self._first_of_each(), _columns.recording.not_in(without))
            .order_by(_columns.next_try, _columns.number)
            .limit(1)
        )
        async with self._database.reading() as connection:
            found: int | None = (await connection.execute(statement)).scalar()
            return found

    async def content(self, post: OnwardPost) -> Recording | None:
        """Return the recording with the media files of this post, as the catalogue has it now."""
        async with self._database.reading() as connection:
            return await reading.part(connection, post.recording, post.media_files)

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of tries, all in one transaction. Raises `Busy`, `OutOfSpace`."""

        def work(connection: Connection) -> None:
            for outcome in outcomes:
                _settle(connection, outcome)

        async with self._database.writing_in_thread() as in_thread:
            await in_thread(work)

    async def released(self, file: str) -> None:
        """Forget the post that was kept as `file`; those behind it may go."""
        async with self._database.writing() as connection:
            await connection.execute(delete(onward_posts).where(self._own, _columns.file == file))
        self.came.set()

    async def kept(self) -> list[str]:
        """Return the files of the posts that failed."""
        async with self._database.reading() as connection:
            found = await connection.execute(
                select(_columns.file).where(self._own, _columns.file.is_not(None))
            )
            return [str(file) for file in found.scalars()]

    async def counts(self) -> Counts:
        """Count what is here."""
        statement = select(func.count(), func.count(_columns.file)).where(self._own)
        async with self._database.reading() as connection:
            total, failed = (await connection.execute(statement)).one()
            return Counts(total - failed, failed)

    @property
    def _own(self) -> ColumnElement[bool]:
        return _columns.contact_center == self._contact_center

    def _first_of_each(self) -> tuple[ColumnElement[bool], ...]:
        """Return what holds for a row that waits and has none of its recording before it."""
        before = onward_posts.alias("before")
        behind = exists().where(
            before.c.recording == _columns.recording, before.c.number < _columns.number
        )
        return (self._own, _columns.file.is_(None), ~behind)


def _settle(connection: Connection, outcome: Outcome) -> None:
    this = _columns.number == outcome.post.number
    if outcome.sent:
        connection.execute(delete(onward_posts).where(this))
        return
    connection.execute(
        update(onward_posts)
        .where(this)
        .values(
            tries=outcome.post.tries + 1,
            next_try=outcome.next_try,
            fault=outcome.fault,
            file=outcome.file,
        )
    )


def _post(row: Any) -> OnwardPost:
    return OnwardPost(
        number=row.number,
        recording=row.recording,
        recording_id=row.id,
        tenant=row.tenant,
        media_files=msgspec.json.decode(row.media_files, type=tuple[int, ...]),
        filed_at=row.filed_at,
        tries=row.tries,
    )
