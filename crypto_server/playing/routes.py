"""The play paths over HTTP: who may listen, what is answered, what is written down.

Until the first piece is checked, a failure is a JSON answer. After that the only honest sign is a
cut connection: no byte follows one that could not be checked, and the length stays unfulfilled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
from aiohttp import web

from crypto_server.audit import Audit, PlaybackRecord
from crypto_server.errors import (
    AuditError,
    NotModified,
    PlaybackRefused,
    PlayerBusy,
)
from crypto_server.metrics import PlaybackMetrics
from crypto_server.playing.media_file import (
    SCREENS,
    SOUNDS,
    MediaName,
)
from crypto_server.playing.play_request import PlayRequest, new_record, read_request
from crypto_server.playing.playback import Playback
from crypto_server.playing.player import Player
from crypto_server.settings import PlaybackSettings
from service_shell.web import RoleMissing, failure, metrics_response, require_role

OPEN_PATHS = ("/livez", "/readyz", "/metrics")
_CENTER = "/rcs/contact-centers/{ccid}"
_SOUND_PATHS = (
    "/rcs/recordings/{recording}/play/{media}",
    f"{_CENTER}/user-recordings/{{recording}}/play/{{media}}",
)
_SCREEN_PATHS = (
    "/rcs/screen-recordings/{recording}/content/{media}",
    f"{_CENTER}/user-screen-recordings/{{recording}}/content/{{media}}",
)
_RETRY = {"Retry-After": "2"}
_log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time that audit lines are labelled with."""
    return datetime.now(UTC)


class PlayRoutes:
    """The handlers of one crypto server."""

    def __init__(
        self,
        player: Player,
        audit: Audit,
        metrics: PlaybackMetrics,
        settings: PlaybackSettings,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._player = player
        self._audit = audit
        self._metrics = metrics
        self._settings = settings
        self._now = now
        self._running = 0

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        for path in _SOUND_PATHS:
            app.router.add_get(path, self.sound)
        for path in _SCREEN_PATHS:
            app.router.add_get(path, self.screen)
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer that the process lives."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer whether recordings can be played: not while audit lines cannot be written."""
        if self._audit.behind:
            return web.json_response({"status": "the audit file is behind"}, status=503)
        return web.json_response({"status": "ready"})

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer the metrics in Prometheus' text form."""
        return metrics_response(self._metrics.registry)

    async def sound(self, request: web.Request) -> web.StreamResponse:
        """Play one sound file to a listener."""
        return await self._answer(request, SOUNDS)

    async def screen(self, request: web.Request) -> web.StreamResponse:
        """Play one screen recording to a listener."""
        return await self._answer(request, SCREENS)

    async def _answer(self, request: web.Request, kinds: Collection[str]) -> web.StreamResponse:
        """Answer a request, whatever becomes of it; a line is written however it ends."""
        record = new_record(request, self._now())
        started = time.monotonic()
        try:
            account = require_role(request, "listener")
            with self._room():
                await self._check_audit()
                return await self._play(request, read_request(request, account, kinds), record)
        except RoleMissing:
            record.outcome, record.status = "forbidden", 403
            raise
        except PlaybackRefused as error:
            record.outcome, record.status = error.outcome, error.status
            if isinstance(error, NotModified):
                return web.Response(status=error.status, headers=error.headers)
            return failure(error.status, error.code, str(error), error.headers)
        except (asyncio.CancelledError, ConnectionError):
            record.outcome = "cut"
            raise
        finally:
            record.seconds = round(time.monotonic() - started, 3)
            await self._note(record)

    async def _play(
        self, request: web.Request, wanted: PlayRequest, record: PlaybackRecord
    ) -> web.StreamResponse:
        async with self._player.open(wanted, record) as playback:
            record.verified, record.part = playback.verified, playback.content_range
            response = _begin_response(playback, wanted.name)
            record.status = response.status
            await response.prepare(request)
            if request.method == "HEAD":
                record.outcome = "probed"
            else:
                await self._send(request, response, playback, record)
        return response

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        playback: Playback,
        record: PlaybackRecord,
    ) -> None:
        """Send every piece, or cut the connection: nothing else may follow on it."""
        try:
            async for piece in playback.pieces():
                async with asyncio.timeout(self._settings.listener_seconds):
                    await response.write(piece)
                record.bytes += len(piece)
            await response.write_eof()
            record.outcome = "played"
        except PlaybackRefused as error:
            record.outcome = error.outcome
            _log.error("A playback was cut", recording_id=record.recording, reason=str(error))
        except (ConnectionError, TimeoutError):
            record.outcome = "cut"
        finally:
            if record.outcome != "played" and request.transport is not None:
                request.transport.abort()

    @contextmanager
    def _room(self) -> Iterator[None]:
        if self._running >= self._settings.concurrent:
            message = f"{self._running} recordings are being played already"
            raise PlayerBusy(message, _RETRY)
        self._running += 1
        self._metrics.running.set(self._running)
        try:
            yield
        finally:
            self._running -= 1
            self._metrics.running.set(self._running)

    async def _check_audit(self) -> None:
        """Refuse to play while earlier playbacks could not be written down."""
        if self._audit.behind:
            try:
                await asyncio.to_thread(self._audit.flush)
            except AuditError:
                message = "nothing is played while the audit file cannot be written"
                raise PlayerBusy(message, _RETRY) from None

    async def _note(self, record: PlaybackRecord) -> None:
        self._metrics.ended(record)
        _log.info(
            "A playback ended",
            outcome=record.outcome,
            who=record.who,
            recording_id=record.recording,
            media=record.media,
            key_alias=record.key_alias,
            part=record.part,
            verified=record.verified,
            sent=record.bytes,
            seconds=record.seconds,
        )
        await self._audit.write(record)


def _begin_response(playback: Playback, name: MediaName) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": name.content_type,
            "Accept-Ranges": "bytes",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Reclab-Verified": "yes" if playback.verified else "no",
        }
    )
    if playback.etag is not None:
        response.headers["ETag"] = playback.etag
    if playback.content_range is not None:
        response.set_status(206)
        response.headers["Content-Range"] = playback.content_range
    if playback.length is not None:
        response.content_length = playback.length
    return response
