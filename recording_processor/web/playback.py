"""The stored bytes of a media file, streamed from the store under the processor's own account."""

from __future__ import annotations

from contextlib import suppress

import aiohttp
from aiohttp import web

from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.errors import UpstreamFailed, UpstreamSlow
from recording_processor.recording import MediaFile
from recording_processor.settings import ProcessorSettings
from recording_processor.storages import NotFetchable, Storages
from recording_processor.tenancy import tenants_of
from recording_processor.web.metrics import Metrics
from recording_processor.web.recordings import READERS, check_contact_center
from recording_processor.web.relay import Relay
from recording_processor.web.slots import Slots
from service_shell.web import require_role

_REFUSALS = {
    401: "the store refused the processor's name or password",
    403: "the store does not let the processor read",
    404: "the store does not hold the media file",
}


class PlaybackRoutes:
    """``…/recordings/{id}/play/{name}``: what is stored, ciphertext where it is encrypted."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: ProcessorSettings,
        storages: Storages,
        http: aiohttp.ClientSession,
        slots: Slots,
        metrics: Metrics,
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._storages = storages
        self._relay = Relay(
            "the store",
            http,
            slots,
            metrics,
            seconds=settings.limits.store_seconds,
            refused=_refused,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        play = "recordings/{recording_id:[^/]+}/play/{play_name}"
        return [
            web.get(f"/api/v2/{play}", self.play),
            web.get(f"/api/v2/ops/contact-centers/{{ccid}}/{play}", self.play),
        ]

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Stream a media file as it lies in the store."""
        account = require_role(request, *READERS)
        check_contact_center(request, self._settings)
        media = await self._catalogue.media_file(
            request.match_info["recording_id"],
            request.match_info["play_name"],
            tenants=tenants_of(account),
        )
        *others, last = media.places
        for place in others:
            with suppress(UpstreamFailed, UpstreamSlow):  # then from the copy
                return await self._stream(request, media, place)
        return await self._stream(request, media, last)

    async def _stream(
        self, request: web.Request, media: MediaFile, place: str
    ) -> web.StreamResponse:
        try:
            stored = self._storages.locate(place)
        except NotFetchable as error:
            raise UpstreamFailed(str(error)) from None
        kind = "application/octet-stream" if media.encrypted else media_type(media.type)
        return await self._relay.stream(
            request,
            stored.url,
            authorization=stored.storage.authorization,
            content_type=lambda _stored: kind,
        )


def media_type(told: str) -> str:
    """Return a sound's media type for an answer; what is no sound is bytes to a browser."""
    return told if told in ("audio/wav", "audio/mp3", "audio/mpeg") else "application/octet-stream"


def _refused(status: int, _told: str) -> UpstreamFailed:
    return UpstreamFailed(_REFUSALS.get(status, f"the store answered {status}"))
