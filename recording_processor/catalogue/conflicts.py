"""Posts that the catalogue refused because it has something else under their ids, for a person.

The same conflict again is counted, not listed twice. At most `LIMIT` are kept; above that the
oldest goes of the tenant that has the most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from recording_processor.catalogue.database import Database
from recording_processor.catalogue.filing import known_media, known_recording
from recording_processor.catalogue.tables import conflicts, media_files, recordings
from recording_processor.errors import NotFound
from recording_processor.recording import Filing
from recording_processor.tenancy import Tenants

LIMIT = 1000
_columns = conflicts.c


class MediaConflict(msgspec.Struct, frozen=True, rename="camel"):
    """One conflict. `subject` is what differs: sha-256, metadata, recording or tenant.

    `filed` is the catalogue's, `posted` the other one; instants are milliseconds since 1970.
    """

    number: int
    recording_id: str
    media_id: str
    tenant: str
    subject: str
    filed: str
    posted: str
    times: int
    first_at: int
    last_at: int


class Conflicts:
    """The conflicts of one contact centre that nobody has dismissed. `count` is how many."""

    def __init__(
        self,
        database: Database,
        contact_center: int,
        clock: Callable[[], int],
        *,
        limit: int = LIMIT,
    ) -> None:
        self.count = 0
        self._database = database
        self._contact_center = contact_center
        self._clock = clock
        self._limit = limit

    async def load(self) -> None:
        """Count what is there from before."""
        async with self._database.reading() as connection:
            self.count = await connection.scalar(self._counted()) or 0

    async def note(self, filing: Filing) -> None:
        """Write down how a refused post differs from the catalogue. Raises `Busy`, `OutOfSpace`."""
        now = self._clock()

        def work(connection: Connection) -> int:
            for found in _differences(connection, filing, self._contact_center):
                self._add(connection, found, now)
            self._drop_oldest(connection)
            return connection.scalar(self._counted()) or 0

        async with self._database.writing() as connection:
            self.count = await connection.run_sync(work)

    async def newest(self, tenants: Tenants, *, limit: int) -> list[MediaConflict]:
        """Return conflicts between tenants that are reachable, newest first."""
        statement = (
            select(conflicts)
            .where(self._own(tenants))
            .order_by(_columns.last_at.desc(), _columns.number.desc())
            .limit(limit)
        )
        fields = MediaConflict.__struct_fields__
        async with self._database.reading() as connection:
            rows = await connection.execute(statement)
            return [MediaConflict(**{name: getattr(row, name) for name in fields}) for row in rows]

    async def dismiss(self, number: int, tenants: Tenants) -> None:
        """Forget a conflict that was looked at. Raises `NotFound`."""
        async with self._database.writing() as connection:
            gone = await connection.execute(
                delete(conflicts).where(self._own(tenants), _columns.number == number)
            )
            if not gone.rowcount:
                raise NotFound("there is no such conflict")
            self.count = await connection.scalar(self._counted()) or 0

    def _own(self, tenants: Tenants) -> ColumnElement[bool]:
        own = _columns.contact_center == self._contact_center
        if tenants is None:
            return own
        return and_(own, _columns.tenant.in_(tenants), _columns.filed_tenant.in_(tenants))

    def _counted(self) -> Any:
        return select(func.count()).where(self._own(None))

    def _add(self, connection: Connection, found: dict[str, str], now: int) -> None:
        key = ("recording_id", "media_id", "subject", "posted")
        same = and_(self._own(None), *(_columns[name] == found[name] for name in key))
        again = connection.execute(
            update(conflicts)
            .where(same)
            .values(times=_columns.times + 1, last_at=now, filed=found["filed"])
        )
        if again.rowcount:
            return
        new = {"contact_center": self._contact_center, "times": 1, "first_at": now, "last_at": now}
        connection.execute(insert(conflicts).values({**found, **new}))

    def _drop_oldest(self, connection: Connection) -> None:
        """Drop what is above the limit: of the tenant that has the most, so that it fills its own
        share only.
        """
        above = (connection.scalar(self._counted()) or 0) - self._limit
        for _ in range(above):
            most = (
                select(_columns.tenant)
                .where(self._own(None))
                .group_by(_columns.tenant)
                .order_by(func.count().desc(), func.min(_columns.last_at))
                .limit(1)
            )
            oldest = (
                select(_columns.number)
                .where(self._own(None), _columns.tenant == most.scalar_subquery())
                .order_by(_columns.last_at, _columns.number)
                .limit(1)
            )
            connection.execute(delete(conflicts).where(_columns.number == oldest.scalar_subquery()))


def _differences(
    connection: Connection, filing: Filing, contact_center: int
) -> Iterator[dict[str, str]]:
    """Yield what `filing` says otherwise than the catalogue, as `filing.file_media` decides it."""
    here = known_recording(connection, filing, contact_center)
    known = known_media(connection, filing, contact_center)
    for media in filing.media_files:
        facts = {
            "recording_id": filing.recording_id,
            "media_id": media.media_id,
            "tenant": filing.tenant,
            "filed_tenant": filing.tenant,
        }
        row = known.get(media.media_id)
        if row is None:
            if here is not None and here.tenant != filing.tenant:
                differs = {"subject": "tenant", "filed": here.tenant, "posted": filing.tenant}
                yield facts | differs | {"filed_tenant": here.tenant}
            continue
        columns = media_files.c
        if here is None or row[columns.recording] != here.number:
            other = connection.execute(
                select(recordings).where(recordings.c.number == row[columns.recording])
            ).one()
            differs = {"subject": "recording", "filed": other.id, "posted": filing.recording_id}
            yield facts | differs | {"filed_tenant": other.tenant}
        elif media.sha256 is not None and row[columns.sha256] is not None:
            if media.sha256 != row[columns.sha256]:
                differs = {"filed": row[columns.sha256], "posted": media.sha256}
                yield facts | differs | {"subject": "sha-256", "filed_tenant": here.tenant}
        elif media.fingerprint != row[columns.fingerprint]:
            differs = {"filed": row[columns.fingerprint], "posted": media.fingerprint}
            yield facts | differs | {"subject": "metadata", "filed_tenant": here.tenant}
