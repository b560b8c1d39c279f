"""Envelopes and their recipients as rows: replaced one by one, counted over all recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import case, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from recording_processor.catalogue.finding import of_tenants
from recording_processor.catalogue.tables import media_files, media_recipients, recordings
from recording_processor.recording import Document
from recording_processor.tenancy import Tenants


class Need(msgspec.Struct, frozen=True):
    """How many recordings name a recipient, and how many would be left without any other."""

    recordings: int
    orphaned: int


async def change_document(
    connection: AsyncConnection,
    *,
    contact_center: int,
    recording_id: str,
    play_id: str,
    tenants: Tenants,
    alter: Callable[[Document], Document],
) -> bool | None:
    """Let `alter` change an encrypted media file's document; its recipients follow.

    Returns whether it was changed, or None when there is no such media file.
    """
    columns = media_files.c
    found = await connection.execute(
        select(columns.number, columns.document)
        .join(recordings, recordings.c.number == columns.recording)
        .where(
            recordings.c.contact_center == contact_center,
            recordings.c.id == recording_id,
            columns.play_id == play_id,
            columns.encrypted,
            *of_tenants(tenants),
        )
    )
    row = found.one_or_none()
    if row is None:
        return None
    document: Document = msgspec.json.decode(row.document)
    altered = alter(document)
    if altered is document:
        return False
    await connection.execute(
        update(media_files)
        .where(columns.number == row.number)
        .values(document=msgspec.json.encode(altered).decode())
    )
    await connection.execute(
        delete(media_recipients).where(media_recipients.c.media_file == row.number)
    )
    await connection.execute(
        insert(media_recipients),
        [
            {"media_file": row.number, "position": position, "alias": alias}
            for position, alias in enumerate(altered["certAlias"])
        ],
    )
    return True


async def count_need(
    connection: AsyncConnection,
    *,
    contact_center: int,
    tenant: str,
    alias: str,
    others: Sequence[str],
) -> Need:
    """Count the tenant's recordings that name `alias`, and those where none of `others` stands by.

    A recording of several media files counts once, as orphaned when one of its files would be.
    """
    other = media_recipients.alias("other")
    stands_by = exists().where(
        other.c.media_file == media_recipients.c.media_file, other.c.alias.in_(others)
    )
    recording = media_files.c.recording
    found = await connection.execute(
        select(
            func.count(recording.distinct()),
            func.count(case((~stands_by, recording)).distinct()),
        )
        .join(media_recipients, media_recipients.c.media_file == media_files.c.number)
        .join(recordings, recordings.c.number == recording)
        .where(
            media_recipients.c.alias == alias,
            recordings.c.contact_center == contact_center,
            recordings.c.tenant == tenant,
        )
    )
    total, orphaned = found.one()
    return Need(total, orphaned)
