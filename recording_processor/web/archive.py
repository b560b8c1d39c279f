"""The archive over HTTP: the list of recordings in the order of their ends, and the zip.

GET /lab/archive/recordings   one page: recordings, their tenants and places
GET /lab/archive.zip          all of them with their media files, as one stream
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from datetime import datetime

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import Counter

from recording_processor.answers import recording_answer
from recording_processor.archive.archive_zip import ArchiveZip, FoundRecording
from recording_processor.archive.finding import ArchiveIndex
from recording_processor.archive.place import Place
from recording_processor.archive.request import ArchiveRequest, read_archive_request
from recording_processor.archive.stored_object import StoredObjects
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.dates import instant_of, vendor_date
from recording_processor.errors import BadParameter, NotFound, ProcessorError
from recording_processor.settings import ProcessorSettings
from recording_processor.storages import Storages
from recording_processor.tenancy import Tenants, tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.metrics import Metrics
from recording_processor.web.recordings import base_url
from recording_processor.web.slots import Slots
from service_shell.web import require_role

_log = structlog.get_logger()
_PEOPLE = ("operator", "admin")
#: Recordings of one page: as they are asked for by default, and at most.
_PAGE, _PAGE_MAXIMUM = 50, 200
#: A zip's directory is written last, so its names are kept: about 2 KiB for each file.
MAX_ZIP_RECORDINGS = 10_000
_PIECE = 256 * 1024
#: Zips that are made at once.
MAX_ZIPS = 4


class ArchiveRoutes:
    """``/lab/archive…``. Each account sees its tenants' recordings only."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: ProcessorSettings,
        storages: Storages,
        http: aiohttp.ClientSession,
        metrics: Metrics,
        now: Callable[[], datetime],
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._now = now
        self._index = ArchiveIndex(catalogue.database, settings.contact_center.ccid)
        self._seconds = settings.limits.store_seconds
        self._objects = StoredObjects(http, storages, self._seconds)
        self._slots = Slots(MAX_ZIPS, "archives being made")
        metrics.streams.labels("archive").set_function(lambda: self._slots.taken)
        self._files = Counter(
            "reclab_processor_zipped_media_files_total",
            "Media files that went into zips, and those that could not: whole, damaged",
            ("outcome",),
            registry=metrics.registry,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [
            web.get("/lab/archive/recordings", self.recordings),
            web.get("/lab/archive.zip", self.zip),
        ]

    async def recordings(self, request: web.Request) -> web.Response:
        """Answer one page of recordings, those first that ended first."""
        tenants = tenants_of(require_role(request, *_PEOPLE))
        wanted = self._read(request)
        mark = wanted.after.mark if wanted.after else await self._index.mark()
        places = await self._index.page(wanted, wanted.after, tenants, mark=mark)
        found = [one async for one in self._load(request, places, tenants)]
        return json_answer(
            {
                "statusCode": 0,
                "contactCenter": self._settings.contact_center.ccid,
                "recordings": [_entry(one) for one in found],
                "next": places[-1].encode() if len(places) == wanted.limit else None,
            }
        )

    async def zip(self, request: web.Request) -> web.StreamResponse:
        """Stream the zip. Its length is not known before: a cut stream is never a whole."""
        tenants = tenants_of(require_role(request, *_PEOPLE))
        wanted = self._read(request)
        with self._slots.hold():
            count = await self._index.count(wanted, tenants, most=MAX_ZIP_RECORDINGS + 1)
            if count > MAX_ZIP_RECORDINGS:
                raise BadParameter(
                    f"more than {MAX_ZIP_RECORDINGS} recordings fit: "
                    "ask for a shorter time by from and to"
                )
            answer = web.StreamResponse(
                headers={
                    "Content-Disposition": f'attachment; filename="{wanted.zip_name}"',
                    "X-Reclab-Recordings": str(count),
                }
            )
            answer.content_type = "application/zip"
            await answer.prepare(request)
            if request.method != "HEAD":
                await self._send(request, answer, wanted, tenants, count)
            return answer

    def _read(self, request: web.Request) -> ArchiveRequest:
        return read_archive_request(
            request.query.items(),
            now=instant_of(self._now()),
            default_limit=_PAGE,
            maximum_limit=_PAGE_MAXIMUM,
        )

    async def _send(
        self,
        request: web.Request,
        answer: web.StreamResponse,
        wanted: ArchiveRequest,
        tenants: Tenants,
        count: int,
    ) -> None:
        made = ArchiveZip(wanted, self._settings.contact_center.ccid, self._objects)
        try:
            async with (
                aclosing(self._all(request, wanted, tenants, count)) as found,
                aclosing(made.stream(found)) as parts,
            ):
                async for part in parts:
                    for piece in _pieces(part):
                        async with asyncio.timeout(self._seconds):
                            await answer.write(piece)
            await answer.write_eof()
        except BaseException as error:
            # The answer has begun: that it is not whole can only be told by breaking it off.
            if request.transport is not None:
                request.transport.abort()
            if isinstance(error, TimeoutError | ProcessorError):
                _log.warning("An archive was broken off", reason=str(error) or "a reader stalled")
                raise ConnectionResetError("the archive was broken off") from None
            raise
        finally:
            self._files.labels("whole").inc(made.totals.media_files)
            self._files.labels("damaged").inc(made.totals.damaged)
        _log.info(
            "An archive was made",
            recordings=made.totals.recordings,
            bytes=made.totals.bytes,
            damaged=made.totals.damaged,
        )

    async def _all(
        self, request: web.Request, wanted: ArchiveRequest, tenants: Tenants, count: int
    ) -> AsyncGenerator[FoundRecording, None]:
        # As many as were counted: what is filed meanwhile does not make the zip endless.
        after, left = wanted.after, count
        mark = after.mark if after else await self._index.mark()
        while left > 0:
            places = await self._index.page(wanted, after, tenants, mark=mark)
            async for found in self._load(request, places[:left], tenants):
                yield found
            left -= len(places)
            if len(places) < wanted.limit:
                return
            after = places[-1]

    async def _load(
        self, request: web.Request, places: list[Place], tenants: Tenants
    ) -> AsyncGenerator[FoundRecording, None]:
        base = base_url(request, self._settings)
        for place in places:
            try:
                recording = await self._catalogue.recording(place.id, tenants=tenants)
            except NotFound:
                continue  # It was deleted meanwhile.
            region = self._settings.contact_center.region
            yield FoundRecording(
                place, recording, recording_answer(recording, region=region, base_url=base)
            )


def _pieces(parts: Iterable[bytes]) -> Iterator[memoryview]:
    """Cut what is big, so that a slow reader does not make the connection hold it again."""
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]


def _entry(found: FoundRecording) -> dict[str, object]:
    return {
        "tenant": found.recording.tenant,
        "stopTime": vendor_date(found.place.stopped_at),
        "place": found.place.encode(),
        "recording": found.answer,
    }
