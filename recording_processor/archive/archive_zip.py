"""An archive as a zip, made while it is sent: one recording in memory, and one chunk of its sound.

A media file that is missing or damaged is told in its ``recording.json`` and in ``errors.json``;
the zip is whole all the same. ``archive.json``, its last entry, says what is in it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from recording_format.archive_entry import (
    ArchivedFile,
    ArchiveFacts,
    Problem,
    file_prefix,
    recording_document,
)
from recording_format.archive_layout import (
    ERRORS_FILE,
    RECORDING_FILE,
    SUMMARY_FILE,
    media_file_names,
    recording_folder,
)
from recording_format.errors import RecordingFormatError
from recording_processor.archive.place import Place
from recording_processor.archive.request import ArchiveRequest
from recording_processor.archive.stored_object import ObjectFault, StoredObjects
from recording_processor.archive.zip_stream import ZipStream
from recording_processor.dates import vendor_date
from recording_processor.recording import MediaFile, Recording

_log = structlog.get_logger()
#: Problems that are told one by one; the others are counted.
MAX_PROBLEMS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FoundRecording(msgspec.Struct, frozen=True):
    """A recording on its way into an archive: where it stands, and the answer about it."""

    place: Place
    recording: Recording
    answer: dict[str, Any]


class Totals(msgspec.Struct, rename="camel"):
    """What is in an archive; `bytes` are the media files'."""

    recordings: int = 0
    media_files: int = 0
    bytes: int = 0
    damaged: int = 0


class ArchiveZip:
    """Makes the zip of one request; `totals` counts while it is made."""

    def __init__(self, wanted: ArchiveRequest, contact_center: str, objects: StoredObjects) -> None:
        self.totals = Totals()
        self._wanted = wanted
        self._contact_center = contact_center
        self._objects = objects
        self._problems: list[Problem] = []
        self._last: Place | None = None

    async def stream(
        self, recordings: AsyncGenerator[FoundRecording, None]
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield the zip with `recordings`, a few parts at a time."""
        with ZipStream() as out:
            async for found in recordings:
                async with aclosing(self._recording(out, found)) as parts:
                    async for made in parts:
                        yield made
                self._last = found.place
            moment = _moment(self._wanted.now)
            if self._problems:
                out.add(ERRORS_FILE, _json(self._problems), moment)
            out.add(SUMMARY_FILE, _json(self._summary()), moment)
            out.finish()
            yield out.taken()

    async def _recording(
        self, out: ZipStream, found: FoundRecording
    ) -> AsyncGenerator[list[bytes], None]:
        recording = found.recording
        start = _moment(recording.started_at)
        folder = "/".join(
            recording_folder(self._contact_center, recording.tenant, start, recording.id)
        )
        if f"{folder}/{RECORDING_FILE}" in out:
            return  # It grew while the archive was made, and came by again.
        media = recording.media_files
        names = media_file_names([(one.media_id, one.encrypted) for one in media])
        files: list[ArchivedFile] = []
        problems: list[Problem] = []
        for one, name in zip(media, names, strict=True):
            try:
                async with aclosing(self._media(out, one, f"{folder}/{name}", files)) as parts:
                    async for made in parts:
                        yield made
            except ObjectFault as fault:
                out.drop()
                problem = Problem(id=recording.id, media_id=one.media_id, problem=str(fault))
                problems.append(problem)
                self._note(problem)
        facts = ArchiveFacts(
            contact_center=self._contact_center,
            tenant=recording.tenant,
            files=files,
            problems=problems,
        )
        document = recording_document(found.answer, facts)
        out.add(f"{folder}/{RECORDING_FILE}", document, _moment(recording.stopped_at))
        self.totals.recordings += 1
        yield out.taken()

    async def _media(
        self, out: ZipStream, media: MediaFile, path: str, files: list[ArchivedFile]
    ) -> AsyncGenerator[list[bytes], None]:
        async with self._objects.open(media) as stored:
            try:
                prefix = file_prefix(media.document.get("pkcs7"), stored.size)
            except RecordingFormatError as error:
                raise ObjectFault(str(error)) from None
            begun = False
            async with aclosing(stored.chunks()) as chunks:
                async for chunk in chunks:
                    if not begun:
                        out.begin(path, len(prefix) + stored.size, _moment(media.stopped_at))
                        out.write(prefix)
                        begun = True
                    out.write(chunk)
                    yield out.taken()
            if not begun:
                raise ObjectFault("the stored object is empty")
            out.end()
            self.totals.media_files += 1
            self.totals.bytes += len(prefix) + stored.size
            files.append(
                ArchivedFile(
                    media_id=media.media_id,
                    name=path.rpartition("/")[2],
                    encrypted=media.encrypted,
                    size=stored.size,
                    sha256=stored.sha256,
                    verified="lab" in media.document,
                )
            )

    def _note(self, problem: Problem) -> None:
        self.totals.damaged += 1
        _log.warning(
            "A media file could not be archived",
            recording_id=problem.id,
            media_id=problem.media_id,
            reason=problem.problem,
        )
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)

    def _summary(self) -> dict[str, object]:
        last = self._last
        return {
            "contactCenter": self._contact_center,
            "madeAt": vendor_date(self._wanted.now),
            "filter": self._wanted.criteria,
            **msgspec.to_builtins(self.totals),
            "last": last and {"stopTime": vendor_date(last.stopped_at), "id": last.id},
            "place": last and last.encode(),
        }


def _moment(instant: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=instant)


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
