"""The recordings of an archive, asked of the catalogue in the order of their ends.

Pages go on behind the last recording's stop time and id, so recordings that are filed meanwhile
move nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, func, or_, select, tuple_

from recording_processor.archive.place import Place
from recording_processor.archive.request import ArchiveFilter, ArchiveRequest
from recording_processor.catalogue.database import Database
from recording_processor.catalogue.finding import fits, of_parties, of_tenants
from recording_processor.catalogue.tables import contact_centers, media_files, recordings
from recording_processor.tenancy import Tenants

_ORDER = (recordings.c.stopped_at, recordings.c.id)


class ArchiveIndex:
    """Finds the recordings of one contact centre for archives."""

    def __init__(self, database: Database, ccid: str) -> None:
        self._database = database
        number = select(contact_centers.c.id).where(contact_centers.c.ccid == ccid)
        self._ours = recordings.c.contact_center == number.scalar_subquery()

    async def mark(self) -> int:
        """Return the number of the last media file that is filed. Raises `Busy`."""
        async with self._database.reading() as connection:
            found = await connection.execute(select(func.max(media_files.c.number)))
            return found.scalar() or 0

    async def count(self, wanted: ArchiveRequest, tenants: Tenants, *, most: int) -> int:
        """Return how many recordings there are, at most `most`. Raises `Busy`."""
        found = select(recordings.c.number).where(*self._conditions(wanted, wanted.after, tenants))
        async with self._database.reading() as connection:
            counted = select(func.count()).select_from(found.limit(most).subquery())
            return (await connection.execute(counted)).scalar_one()

    async def page(
        self, wanted: ArchiveRequest, after: Place | None, tenants: Tenants, *, mark: int
    ) -> list[Place]:
        """Return the next places, at most `wanted.limit`; `mark` goes with them. Raises `Busy`."""
        found = (
            select(*_ORDER)
            .where(*self._conditions(wanted, after, tenants))
            .order_by(*_ORDER)
            .limit(wanted.limit)
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(found)
            places = (Place(row.stopped_at, row.id, mark) for row in rows)
            return [place.following(wanted.since) for place in places]

    def _conditions(
        self, wanted: ArchiveRequest, after: Place | None, tenants: Tenants
    ) -> Iterator[ColumnElement[bool]]:
        yield self._ours
        yield from of_tenants(tenants)
        yield from _fitting(wanted.filter)
        if after is not None:
            yield _behind((after.stopped_at, after.id))
        if wanted.since is not None:
            filed = select(media_files.c.recording).where(media_files.c.number > wanted.since.mark)
            yield or_(_behind(wanted.since.farthest), recordings.c.number.in_(filed))


def _behind(place: tuple[int, str]) -> ColumnElement[bool]:
    return tuple_(*_ORDER) > tuple_(*place)


def _fitting(wanted: ArchiveFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.stopped_from is not None:
        yield recordings.c.stopped_at >= wanted.stopped_from
    if wanted.stopped_before is not None:
        yield recordings.c.stopped_at < wanted.stopped_before
    if wanted.tenant is not None:
        yield recordings.c.tenant == wanted.tenant
    if wanted.call_type is not None:
        yield fits(recordings.c.call_type, wanted.call_type)
    yield from of_parties(wanted.caller, wanted.dialed, wanted.user)
