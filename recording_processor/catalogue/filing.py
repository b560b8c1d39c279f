"""Filing what was posted: every media file once, whoever posts it and however often.

The same media id with the same content is success and changes nothing; with another content it is
a conflict. The functions run inside one writing transaction, so nothing can come between. They
block: they belong into the writing thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, RowMapping, insert, select, update

from recording_processor.catalogue.tables import (
    media_files,
    media_parameters,
    media_recipients,
    participations,
    recordings,
)
from recording_processor.errors import Conflict
from recording_processor.recording import FiledMedia, Filing

#: Told of what is new, inside the same transaction: the recording's number, its new media files'.
Added = Callable[[Connection, int, Sequence[int]], None]


def file_media(
    connection: Connection,
    filing: Filing,
    *,
    contact_center: int,
    now: int,
    new_play_id: Callable[[], str],
    added: Added | None = None,
) -> int:
    """File what is new of `filing`; return how many media files that were.

    Raises `Conflict` when the catalogue holds something else under one of the ids; then nothing of
    the post may be kept.
    """
    known = known_media(connection, filing, contact_center)
    recording = known_recording(connection, filing, contact_center)
    number = None if recording is None else recording.number
    new = [media for media in filing.media_files if not _filed(media, known, number)]
    if not new:
        return 0
    if recording is None:
        number = _add_recording(connection, filing, contact_center, now)
    else:
        number = int(recording.number)
        _widen_recording(connection, filing, recording)
    numbers = []
    for media in new:
        row = _media_row(media, contact_center, number, now, new_play_id())
        result = connection.execute(insert(media_files).values(row))
        assert result.inserted_primary_key is not None
        numbers.append(int(result.inserted_primary_key[0]))
        _add_details(connection, media, number, numbers[-1])
    if added is not None:
        added(connection, number, numbers)
    return len(new)


def known_media(
    connection: Connection, filing: Filing, contact_center: int
) -> Mapping[str, RowMapping]:
    """Return what the catalogue has under the media ids of `filing`, by media id."""
    columns = media_files.c
    found = connection.execute(
        select(columns.media_id, columns.recording, columns.sha256, columns.fingerprint).where(
            columns.contact_center == contact_center,
            columns.media_id.in_([media.media_id for media in filing.media_files]),
        )
    )
    return {row[columns.media_id]: row for row in found.mappings()}


def known_recording(connection: Connection, filing: Filing, contact_center: int) -> Row[Any] | None:
    """Return what the catalogue has under the recording's id."""
    found = connection.execute(
        select(recordings).where(
            recordings.c.contact_center == contact_center, recordings.c.id == filing.recording_id
        )
    )
    return found.one_or_none()


def _filed(media: FiledMedia, known: Mapping[str, RowMapping], recording: int | None) -> bool:
    """Return whether the catalogue has this very media file."""
    row = known.get(media.media_id)
    if row is None:
        return False
    if row[media_files.c.recording] != recording:
        raise Conflict(f"media file {media.media_id} already belongs to another recording")
    sha256 = row[media_files.c.sha256]
    if media.sha256 is not None and sha256 is not None:
        if media.sha256 != sha256:
            raise Conflict(
                f"media file {media.media_id} is already filed with another SHA-256 digest"
            )
    elif media.fingerprint != row[media_files.c.fingerprint]:
        raise Conflict(f"media file {media.media_id} is already filed with other metadata")
    return True


def _add_recording(connection: Connection, filing: Filing, contact_center: int, now: int) -> int:
    row = {
        "contact_center": contact_center,
        "id": filing.recording_id,
        "tenant": filing.tenant,
        "call_type": filing.call_type,
        "started_at": min(media.started_at for media in filing.media_files),
        "stopped_at": max(media.stopped_at for media in filing.media_files),
        "filed_at": now,
        **_parties(filing.caller, filing.dialed),
    }
    result = connection.execute(insert(recordings).values(row))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def _widen_recording(connection: Connection, filing: Filing, recording: Row[Any]) -> None:
    """Let the recording span the new media files too; what it knows of its parties stays."""
    if recording.tenant != filing.tenant:
        raise Conflict(f"recording {filing.recording_id} belongs to another tenant")
    starts = (media.started_at for media in filing.media_files)
    stops = (media.stopped_at for media in filing.media_files)
    connection.execute(
        update(recordings)
        .where(recordings.c.number == recording.number)
        .values(
            started_at=min(recording.started_at, *starts),
            stopped_at=max(recording.stopped_at, *stops),
            **_parties(recording.caller or filing.caller, recording.dialed or filing.dialed),
        )
    )


def _parties(caller: str | None, dialed: str | None) -> dict[str, str | None]:
    return {
        "caller": caller,
        "caller_reversed": caller and caller[::-1],
        "dialed": dialed,
        "dialed_reversed": dialed and dialed[::-1],
    }


def _media_row(
    media: FiledMedia, contact_center: int, recording: int | None, now: int, play_id: str
) -> dict[str, object]:
    suffix = ".bin" if media.encrypted else ""
    return {
        "recording": recording,
        "contact_center": contact_center,
        "media_id": media.media_id,
        "play_id": play_id,
        "play_name": f"{play_id}.{media.extension}{suffix}",
        "type": media.type,
        "storage_path": media.storage_path,
        "ivr_profile": media.ivr_profile,
        "started_at": media.started_at,
        "stopped_at": media.stopped_at,
        "encrypted": media.encrypted,
        "sha256": media.sha256,
        "fingerprint": media.fingerprint,
        "document": msgspec.json.encode(media.document).decode(),
        "filed_at": now,
    }


def _add_details(
    connection: Connection, media: FiledMedia, recording: int | None, number: int
) -> None:
    parameters = [
        {"media_file": number, "name": name, "value": value}
        for name, value in media.parameters.items()
    ]
    recipients = [
        {"media_file": number, "position": position, "alias": alias}
        for position, alias in enumerate(media.recipients)
    ]
    parties = [
        {"media_file": number, "recording": recording, **msgspec.structs.asdict(party)}
        for party in media.participations
    ]
    for table, rows in (
        (media_parameters, parameters),
        (media_recipients, recipients),
        (participations, parties),
    ):
        if rows:
            connection.execute(insert(table), rows)
