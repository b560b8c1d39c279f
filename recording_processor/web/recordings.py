"""Metadata in, recordings out: the post of the MCP, the search, and a recording by its id."""

from __future__ import annotations

import structlog
from aiohttp import web

from recording_processor.answers import recording_answer
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.errors import NotFound
from recording_processor.intake import read_post
from recording_processor.search import read_search
from recording_processor.settings import ProcessorSettings
from recording_processor.tenancy import tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.filing import count_filed, file_for, refusals_counted
from recording_processor.web.metrics import Metrics
from service_shell.web import require_role

_log = structlog.get_logger()
READERS = ("operator", "admin", "crypto")


class RecordingRoutes:
    """The routes of wire-formats §6 that speak of metadata."""

    def __init__(self, catalogue: Catalogue, settings: ProcessorSettings, metrics: Metrics) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._metrics = metrics
        self._region = settings.contact_center.region

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        recording = "recordings/{recording_id:[^/]+}"
        return [
            web.post("/api/contact-centers/{domain}/recordings", self.post),
            web.get("/api/v2/recordings", self.search),
            web.get(f"/api/v2/{recording}", self.one),
            web.get(f"/api/v2/ops/contact-centers/{{ccid}}/{recording}", self.one),
        ]

    async def post(self, request: web.Request) -> web.Response:
        """File posted metadata; answered when it is durable."""
        account = require_role(request, "mcp")
        if request.match_info["domain"] != self._settings.contact_center.domain:
            raise NotFound("there is no such contact centre")
        body = await read_body(request, self._settings.limits.metadata_bytes)
        with refusals_counted(self._metrics):
            filing = read_post(body)
            new = await file_for(account, filing, len(body), self._catalogue)
        count_filed(self._metrics, new)
        _log.info("A recording was filed", recording_id=filing.recording_id, new_media_files=new)
        return json_answer({"statusCode": 0, "id": filing.recording_id})

    async def search(self, request: web.Request) -> web.Response:
        """Answer one page of recordings, newest first."""
        account = require_role(request, "operator", "admin")
        limits = self._settings.limits
        wanted = read_search(
            request.query.items(), default_limit=limits.page, maximum_limit=limits.page_maximum
        )
        page = await self._catalogue.find(wanted, tenants=tenants_of(account))
        base = base_url(request, self._settings)
        return json_answer(
            {
                "statusCode": 0,
                "recordings": [
                    recording_answer(found, region=self._region, base_url=base)
                    for found in page.recordings
                ],
                "next": page.next and page.next.encode(),
                "previous": page.previous and page.previous.encode(),
            }
        )

    async def one(self, request: web.Request) -> web.Response:
        """Answer one recording by its id."""
        account = require_role(request, *READERS)
        check_contact_center(request, self._settings)
        recording = await self._catalogue.recording(
            request.match_info["recording_id"], tenants=tenants_of(account)
        )
        base = base_url(request, self._settings)
        answer = recording_answer(recording, region=self._region, base_url=base)
        return json_answer({"statusCode": 0, "recording": answer})


def base_url(request: web.Request, settings: ProcessorSettings) -> str:
    """Return the address under which answers name this processor, without a slash behind it."""
    return settings.public_url.rstrip("/") or str(request.url.origin())


def check_contact_center(request: web.Request, settings: ProcessorSettings) -> None:
    """Raise `NotFound` when the path names a contact centre that is not ours."""
    own = settings.contact_center.ccid
    if request.match_info.get("ccid", own) != own:
        raise NotFound("there is no such contact centre")
