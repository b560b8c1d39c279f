"""A PUT from its first byte to its name.

The body is received before anything else happens under its name. A body of up to one batch costs
one visit to a thread: write, fsync, rename and fsync of the folder together.
"""

from __future__ import annotations

import structlog
from aiohttp import web

from webdav_store.conditions import refuse_unstorable
from webdav_store.dav import Dav
from webdav_store.digests import announced_digests, format_digest, wanted_algorithm
from webdav_store.disk import Disk
from webdav_store.errors import BodyCut, Refused
from webdav_store.exchange import Answer, DavRequest
from webdav_store.metrics import StoreMetrics
from webdav_store.path_locks import PathLocks
from webdav_store.reception import Reception
from webdav_store.settings import Limits
from webdav_store.upload import Upload

_log = structlog.get_logger()
_CREATED = (200, 201, 204)


class Storing:
    """Receives uploads, at most `limits.uploads` at a time."""

    def __init__(
        self, dav: Dav, disk: Disk, paths: PathLocks, metrics: StoreMetrics, limits: Limits
    ) -> None:
        self._dav = dav
        self._disk = disk
        self._paths = paths
        self._metrics = metrics
        self._limits = limits
        self._under_way = 0

    async def store(self, request: web.Request, asked: DavRequest) -> Answer:
        """Receive the body and answer the PUT. Raises `Refused`; then the old file is unchanged."""
        refuse_unstorable(request.headers, self._limits.body_bytes, request.content_length)
        upload = self._upload(request, asked)
        if self._under_way >= self._limits.uploads:
            raise Refused(503, "too many uploads are under way", {"Retry-After": "1"})
        self._under_way += 1
        self._metrics.uploads.inc()
        body = Reception(
            request, limit=self._limits.body_bytes, idle_seconds=self._limits.idle_seconds
        )
        try:
            answer = await self._receive(request, asked, upload, body)
        except BodyCut as cut:
            self._tell_cut(asked, upload, body, cut)
            raise
        finally:
            if upload.is_open:
                await self._disk.write(upload.close)
            self._under_way -= 1
            self._metrics.uploads.dec()
            self._metrics.received.inc(body.received)
        self._tell_stored(asked, upload, answer)
        return _with_digest(answer, upload, asked)

    async def _receive(
        self, request: web.Request, asked: DavRequest, upload: Upload, body: Reception
    ) -> Answer:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await self._disk.write(upload.open)
            await body.invite(request)
        parts = await body.batch()
        while not body.ended:
            await self._disk.write(upload.write, parts)
            parts = await body.batch()
        async with self._paths.hold(asked.path):
            return await self._disk.write(self._dav.store, asked, upload, parts)

    def _upload(self, request: web.Request, asked: DavRequest) -> Upload:
        announced: dict[str, bytes] = {}
        for name in ("Content-Digest", "Repr-Digest"):
            announced |= announced_digests(", ".join(request.headers.getall(name, ())))
        return Upload(
            self._dav.file_path(asked.path),
            declared=request.content_length,
            reserved=self._limits.reserved_bytes,
            only_new=asked.headers.get("If-None-Match", "").strip() == "*",
            announced=announced,
            wanted=wanted_algorithm(asked.headers.get("Want-Repr-Digest")),
        )

    def _tell_cut(self, asked: DavRequest, upload: Upload, body: Reception, cut: BodyCut) -> None:
        self._metrics.cut_uploads.inc()
        _log.warning(
            "An upload was cut off",
            path=asked.path,
            account=asked.account,
            received=body.received,
            declared=upload.declared,
            reason=cut.sentence,
        )

    def _tell_stored(self, asked: DavRequest, upload: Upload, answer: Answer) -> None:
        event = "A file was stored" if answer.status in _CREATED else "An upload was refused"
        _log.info(
            event,
            path=asked.path,
            account=asked.account,
            bytes=upload.size,
            status=answer.status,
        )


def _with_digest(answer: Answer, upload: Upload, asked: DavRequest) -> Answer:
    algorithm = wanted_algorithm(asked.headers.get("Want-Repr-Digest"))
    if algorithm is not None and answer.status in _CREATED:
        digest = format_digest(algorithm, upload.digest(algorithm))
        answer.headers.append(("Repr-Digest", digest))
    return answer
