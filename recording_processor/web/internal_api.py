"""Recordings from another processor, as the recording web services take them (wire-formats §6).

So one processor can stand in for the web services behind another one. Where the settings ask for a
token against forgery, a GET gives it and a POST without it is refused.
"""

from __future__ import annotations

import structlog
from aiohttp import web

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.errors import NotPermitted
from recording_processor.forgery_token import HEADER, ForgeryTokens
from recording_processor.intake import read_onward_post
from recording_processor.onward.onward import PATH
from recording_processor.settings import ProcessorSettings
from recording_processor.web.answering import json_answer
from recording_processor.web.body import read_body
from recording_processor.web.filing import count_filed, file_for, refusals_counted
from recording_processor.web.metrics import Metrics
from recording_processor.web.recordings import check_contact_center
from service_shell.accounts import Account
from service_shell.web import require_role

_log = structlog.get_logger()


class InternalApiRoutes:
    """``/internal-api/contact-centers/{ccid}/recordings``."""

    def __init__(self, catalogue: Catalogue, settings: ProcessorSettings, metrics: Metrics) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._metrics = metrics
        self._tokens = ForgeryTokens()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [web.get(PATH, self.token), web.post(PATH, self.post)]

    async def token(self, request: web.Request) -> web.Response:
        """Answer the token in two headers."""
        account = self._sender(request)
        answer = json_answer({"statusCode": 0})
        answer.headers["X-CSRF-HEADER"] = HEADER
        answer.headers["X-CSRF-TOKEN"] = self._tokens.current(account.name)
        return answer

    async def post(self, request: web.Request) -> web.Response:
        """File a recording; answered when it is durable."""
        account = self._sender(request)
        given = request.headers.get(HEADER, "")
        if self._settings.internal_api.csrf and not self._tokens.fits(account.name, given):
            raise NotPermitted(f"{HEADER}: it is missing or has expired; a GET gives a new one")
        body = await read_body(request, self._settings.limits.metadata_bytes)
        with refusals_counted(self._metrics):
            filing = read_onward_post(body, ccid=self._settings.contact_center.ccid)
            new = await file_for(account, filing, len(body), self._catalogue)
        count_filed(self._metrics, new)
        _log.info("A recording was taken over", recording_id=filing.recording_id, new_files=new)
        return json_answer({"statusCode": 0, "id": filing.recording_id})

    def _sender(self, request: web.Request) -> Account:
        account = require_role(request, "processor")
        check_contact_center(request, self._settings)
        return account
