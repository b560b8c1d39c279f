"""Recordings read back from the catalogue, whole: with their media files and their parties."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_processor.catalogue.finding import of_tenants, page_of
from recording_processor.catalogue.tables import media_files, participations, recordings
from recording_processor.cursor import Cursor
from recording_processor.recording import MediaFile, Participation, Recording
from recording_processor.search import SearchRequest
from recording_processor.tenancy import Tenants


class Page(msgspec.Struct, frozen=True):
    """One page of a search, newest first, and the ways on; None where there is nothing more."""

    recordings: tuple[Recording, ...]
    next: Cursor | None
    previous: Cursor | None


async def find(
    connection: AsyncConnection, request: SearchRequest, *, contact_center: int, tenants: Tenants
) -> Page:
    """Return the page that `request` asks for."""
    statement = page_of(
        request.search,
        contact_center=contact_center,
        tenants=tenants,
        cursor=request.cursor,
        limit=request.limit + 1,
    )
    numbers = list((await connection.execute(statement)).scalars())
    more = len(numbers) > request.limit
    rows = await _rows(connection, recordings.c.number.in_(numbers[: request.limit]))
    return Page(await _whole(connection, rows), *_ways(rows, request, more=more))


async def recording(
    connection: AsyncConnection, recording_id: str, *, contact_center: int, tenants: Tenants
) -> Recording | None:
    """Return one recording of the tenants, or None."""
    columns = recordings.c
    condition = (columns.contact_center == contact_center) & (columns.id == recording_id)
    rows = await _rows(connection, and_(condition, *of_tenants(tenants)))
    found = await _whole(connection, rows)
    return found[0] if found else None


async def part(
    connection: AsyncConnection, number: int, media_numbers: Sequence[int]
) -> Recording | None:
    """Return the recording of that number with some of its media files, and their parties only."""
    rows = await _rows(connection, recordings.c.number == number)
    found = await _whole(connection, rows, media_numbers)
    return found[0] if found else None


def _ways(
    rows: Sequence[Row[Any]], request: SearchRequest, *, more: bool
) -> tuple[Cursor | None, Cursor | None]:
    if not rows:
        return None, None
    backwards = request.cursor is not None and request.cursor.direction == "previous"
    older = backwards or more
    newer = more if backwards else request.cursor is not None
    first, last, criteria = rows[0], rows[-1], request.criteria
    return (
        Cursor("next", last.started_at, last.number, criteria) if older else None,
        Cursor("previous", first.started_at, first.number, criteria) if newer else None,
    )


async def _rows(connection: AsyncConnection, condition: ColumnElement[bool]) -> Sequence[Row[Any]]:
    newest_first = (recordings.c.started_at.desc(), recordings.c.number.desc())
    found = await connection.execute(select(recordings).where(condition).order_by(*newest_first))
    return found.all()


async def _whole(
    connection: AsyncConnection, rows: Sequence[Row[Any]], only: Sequence[int] | None = None
) -> tuple[Recording, ...]:
    numbers = [row.number for row in rows]
    some_files = [] if only is None else [media_files.c.number.in_(only)]
    some_parties = [] if only is None else [participations.c.media_file.in_(only)]
    files: dict[int, list[MediaFile]] = defaultdict(list)
    for row in await connection.execute(
        select(media_files)
        .where(media_files.c.recording.in_(numbers), *some_files)
        .order_by(media_files.c.started_at, media_files.c.number)
    ):
        files[row.recording].append(_media_file(row))
    parties: dict[int, list[Participation]] = defaultdict(list)
    for row in await connection.execute(
        select(participations)
        .where(participations.c.recording.in_(numbers), *some_parties)
        .order_by(participations.c.joined_at, participations.c.number)
    ):
        parties[row.recording].append(_fill(Participation, row))
    return tuple(
        Recording(
            id=row.id,
            tenant=row.tenant,
            call_type=row.call_type,
            caller=row.caller,
            dialed=row.dialed,
            started_at=row.started_at,
            stopped_at=row.stopped_at,
            media_files=tuple(files[row.number]),
            participations=tuple(parties[row.number]),
        )
        for row in rows
    )


def _media_file(row: Row[Any]) -> MediaFile:
    return MediaFile(
        media_id=row.media_id,
        play_name=row.play_name,
        type=row.type,
        storage_path=row.storage_path,
        ivr_profile=row.ivr_profile,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        encrypted=row.encrypted,
        document=msgspec.json.decode(row.document),
    )


def _fill(kind: type[Participation], row: Row[Any]) -> Participation:
    return kind(**{name: getattr(row, name) for name in kind.__struct_fields__})
