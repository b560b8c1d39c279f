"""The HTTP side of the store: who may, what is asked, and the bodies in both directions.

Clients are waited for in coroutines. A thread is taken only when there is work for the disk: so a
thousand stalled uploads cost a thousand small buffers, and readers do not notice them.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from aiohttp import web

from service_shell.accounts import Account
from service_shell.web import ACCOUNT
from webdav_store.conditions import passed_headers, refuse_endless
from webdav_store.dav import Dav
from webdav_store.disk import Disk
from webdav_store.errors import Refused
from webdav_store.exchange import Answer, DavRequest
from webdav_store.metrics import StoreMetrics
from webdav_store.path_locks import PathLocks
from webdav_store.reception import Reception
from webdav_store.rights import READING, WRITING, check_right
from webdav_store.sending import Sender
from webdav_store.settings import Limits
from webdav_store.storing import Storing
from webdav_store.target import decode_destination, decode_target
from webdav_store.xml_check import check_xml

_log = structlog.get_logger()
_XML_METHODS = ("PROPFIND", "PROPPATCH", "LOCK")
_ASSETS = "/:dir_browser/"


class StoreFront:
    """Answers every request that is not the service's own (``/-/…``)."""

    def __init__(
        self, dav: Dav, disk: Disk, metrics: StoreMetrics, *, collection: str, limits: Limits
    ) -> None:
        self._dav = dav
        self._disk = disk
        self._metrics = metrics
        self._prefix = f"/{collection}"
        self._limits = limits
        self._paths = PathLocks()
        self._digests = asyncio.Semaphore(limits.digests)
        self._storing = Storing(dav, disk, self._paths, metrics, limits)
        self._sender = Sender(disk, metrics, limits.idle_seconds)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        began = time.monotonic()
        try:
            answer = await self._answer(request)
        except Refused as refused:
            answer = Answer.sentence(refused)
        method = request.method if request.method in READING | WRITING else "other"
        self._metrics.requests.labels(method, str(answer.status)).inc()
        try:
            return await self._sender.send(request, answer)
        finally:
            self._metrics.seconds.labels(method).observe(time.monotonic() - began)

    async def _answer(self, request: web.Request) -> Answer:
        account = request.get(ACCOUNT)
        if account is None:  # one of the open paths, spelled in a way that no route knows
            raise Refused(404, "there is nothing here")
        check_right(account, request.method)
        asked = self._asked(request, account)
        if request.method == "PUT":
            return await self._storing.store(request, asked)
        body = Reception(
            request, limit=self._limits.xml_bytes, idle_seconds=self._limits.idle_seconds
        )
        whole = await body.whole()
        if whole and request.method in _XML_METHODS:
            check_xml(whole)
        asked = asked.with_body(whole)
        if request.method in WRITING:
            return await self._change(asked)
        if "Want-Repr-Digest" in asked.headers:
            async with self._digests:
                return await self._disk.read(self._dav.answer, asked)
        return await self._disk.read(self._dav.answer, asked)

    async def _change(self, asked: DavRequest) -> Answer:
        paths = [asked.path]
        if "Destination" in asked.headers:
            paths.append(decode_destination(asked.headers["Destination"]))
        async with self._paths.hold(*paths):
            answer = await self._disk.write(self._dav.answer, asked)
        _log.info(
            "A change was answered",
            method=asked.method,
            path=asked.path,
            account=asked.account,
            status=answer.status,
        )
        return answer

    def _asked(self, request: web.Request, account: Account) -> DavRequest:
        """Return the checked facts of the request. Raises `Refused`."""
        path = decode_target(request.raw_path)
        ours = path == self._prefix or path.startswith(self._prefix + "/")
        if not ours and not (path.startswith(_ASSETS) and request.method in ("GET", "HEAD")):
            raise Refused(404, f"there is nothing here; recordings are under {self._prefix}/")
        passed = passed_headers(request.method, request.headers)
        refuse_endless(request.method, passed)
        return DavRequest(
            method=request.method,
            path=path,
            host=request.headers.get("Host", "localhost"),
            scheme=request.scheme,
            account=account.name,
            roles=tuple(account.roles),
            headers=passed,
        )
