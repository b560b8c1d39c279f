"""Envelopes over HTTP: one as it is, its replacement (re-wrap), and who needs a recipient."""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog
from aiohttp import web
from msgspec import Meta

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.envelope_change import LONGEST_BODY, EnvelopeChange, change_envelope
from recording_processor.errors import NotFound
from recording_processor.json_body import decode_body
from recording_processor.tenancy import reaches, tenants_of
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.recordings import READERS
from service_shell.web import require_role

_log = structlog.get_logger()
_LONGEST_QUESTION = 4 << 20
_Alias = Annotated[str, Meta(min_length=1, max_length=4096)]


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    tenant: str
    alias: _Alias
    others: Annotated[list[_Alias], Meta(max_length=1000)] = []


class EnvelopeRoutes:
    """``/lab/recordings/{id}/envelopes/…`` and ``/lab/recordings/need``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        envelopes = "/lab/recordings/{recording_id:[^/]+}/envelopes"
        return [
            web.get(f"{envelopes}/{{play_id}}.pem", self.one),
            web.put(f"{envelopes}/{{play_id:[0-9a-f-]{{36}}}}", self.replace),
            web.post("/lab/recordings/need", self.need),
        ]

    async def one(self, request: web.Request) -> web.Response:
        """Answer a media file's PKCS#7 envelope as the PEM text that it is kept as."""
        account = require_role(request, *READERS)
        recording = await self._catalogue.recording(
            request.match_info["recording_id"], tenants=tenants_of(account)
        )
        play_id = request.match_info["play_id"]
        for media in recording.media_files:
            if media.play_name.partition(".")[0] == play_id and media.encrypted:
                text = media.document["pkcs7"]
                return web.Response(text=text, content_type="application/x-pem-file")
        raise NotFound("the recording has no such envelope")

    async def replace(self, request: web.Request) -> web.Response:
        """Replace a media file's envelope; answered when it is durable."""
        account = require_role(request, "admin", "crypto")
        change = decode_body(await read_body(request, LONGEST_BODY), EnvelopeChange)
        recording_id = request.match_info["recording_id"]
        changed = await self._catalogue.change_envelope(
            recording_id,
            request.match_info["play_id"],
            lambda document: change_envelope(document, change),
            tenants=tenants_of(account),
        )
        if changed:
            _log.info(
                "An envelope was replaced",
                recording_id=recording_id,
                recipients=len(change.cert_alias),
                by=account.name,
            )
        return json_answer({"statusCode": 0, "changed": changed})

    async def need(self, request: web.Request) -> web.Response:
        """Count the recordings that need a recipient, and those that no other could open."""
        account = require_role(request, "admin", "crypto")
        asked = decode_body(await read_body(request, _LONGEST_QUESTION), _Question)
        if not reaches(tenants_of(account), asked.tenant):
            raise NotFound("there is no such tenant")
        need = await self._catalogue.need(asked.tenant, asked.alias, asked.others)
        return json_answer(
            {"statusCode": 0, "recordings": need.recordings, "orphaned": need.orphaned}
        )
